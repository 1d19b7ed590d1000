"""Serving a project in the foreground until it is told to stop."""

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from secrets import token_hex
from types import FrameType

import uvicorn

from asktell.errors import ProjectError
from asktell.web.app import create_app
from asktell.web.guard import LOOPBACK, allowed_hosts

SECRET = "web.secret"
"""The file that holds what sessions are signed with, in the project's folder; deleting it ends them all."""
PATIENCE = 5
"""Seconds that requests in flight get to end when the server stops."""


def serve(
    folder: str | PathLike[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    hosts: Sequence[str] = (),
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve the project in `folder` until SIGINT or SIGTERM; `ready` is told the address once it is reachable.

    `port` 0 takes a free one. `hosts`: more names that the server answers to. Raises `ProjectError` if there is no
    project, it has no password, or the address is taken.
    """
    app = create_app(folder, secret=secret(Path(folder)), hosts=allowed_hosts(host, hosts))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # anybody can write those
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = _Server(config, app.state.desk)
    try:
        with _bound(host, port) as bound:
            if ready is not None:
                server.ready = lambda: ready(address(host, bound.getsockname()[1]))
            server.run(sockets=[bound])
    finally:
        app.state.desk.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound there.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    return host.strip("[]").lower() in LOOPBACK


def address(host: str, port: int) -> str:
    """What to type into a browser.

    >>> address("::1", 8000)
    'http://[::1]:8000'
    """
    shown = {"": "localhost", "0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def secret(folder: Path) -> str:
    """What sessions are signed with, made when first needed; only its owner may read it. Raises `ProjectError`."""
    path = folder / SECRET
    partial = folder / f".{SECRET}.{token_hex(4)}.partial"
    try:
        if not path.exists():
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(token_hex(32))
            with suppress(FileExistsError):  # another server was faster
                os.link(partial, path)
        found = path.read_text(encoding="ascii")
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be made or read ({error.strerror}); make room, and the folder writable for this user"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    if len(found) < 32:
        raise ProjectError(f"{path} is too short to sign with; delete it, and all sessions end")
    return found


def _bound(host: str, port: int) -> socket.socket:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host.strip("[]"), port), family=kind, backlog=256)
        # Connections inherit it. Without, each reply waits some 40 ms for the other side to acknowledge its head.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bound
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProjectError(f"{host}:{port} cannot be bound ({reason}); choose another address or port") from None


class _Server(uvicorn.Server):
    """Ends open event streams when it is told to stop, and tells when it can be reached."""

    def __init__(self, config: uvicorn.Config, desk: object) -> None:
        super().__init__(config)
        self._desk = desk
        self.ready: Callable[[], object] = lambda: None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if not self.should_exit:
            self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._desk.is_over = True  # type: ignore[attr-defined]
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, without raising the signal again afterwards: stopping is what was asked for."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)
