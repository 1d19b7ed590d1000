"""News for the pages that are open: the project has changed, or the worker does something else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from anyio.to_thread import run_sync

from asktell.project.worker import notice, read_worker

_HEARTBEAT = 15.0


async def news(
    changes: Callable[[], int], folder: Path, is_over: Callable[[], bool], *, pause: float = 1.0
) -> AsyncIterator[str]:
    """Server-sent events: one at once, and one whenever the project or the worker's state has changed.

    Looks every `pause` seconds; ends soon after `is_over`.
    """
    last, silent_since = None, time.monotonic()
    while not is_over():
        seen = await run_sync(_look, changes, folder)
        if seen != last:
            last, silent_since = seen, time.monotonic()
            yield f"event: changed\ndata: {json.dumps({'version': seen[0], 'worker': seen[1]})}\n\n"
        elif time.monotonic() - silent_since > _HEARTBEAT:
            silent_since = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(pause)


def _look(changes: Callable[[], int], folder: Path) -> tuple[int, dict[str, object]]:
    """What has changed if it differs from the last look. The beat itself is no news."""
    worker = read_worker(folder)
    said = notice(worker, folder, time.time())
    return changes(), {**vars(said), "share": worker.share}
