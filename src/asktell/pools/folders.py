"""Images from a folder and all that lies in it."""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from asktell.errors import ContentError
from asktell.pools import images
from asktell.pools.found import Found

Progress = Callable[[int, int], None]
"""Is told how many are done, of how many."""
THREADS = 4
_BATCH = 256


def read_images(folder: Path | str, *, labels: bool = False, progress: Progress | None = None) -> Found:
    """Every image in `folder` and its sub-folders, sorted by id: the path relative to `folder`, with slashes.

    Each is decoded once, whole. With `labels`, the first sub-folder names the class. Files and folders whose names
    begin with a dot are passed over; all else that is no usable image is left out with its reason, and so are links to
    folders and links that lead out.

    Raises `DataError` without the folder or without Pillow.
    """
    root = images.folder(folder)
    names, left_out = _walked(root)
    found = Found(left_out=left_out)
    for done, (name, result) in enumerate(_digests(root, names), start=1):
        if isinstance(result, ContentError):
            found.left_out.append((result.where, result.reason))
        else:
            found.add(name, name, result, name.partition("/")[0] if labels and "/" in name else None)
        if progress is not None:
            progress(done, len(names))
    found.left_out.sort()
    return found


def _walked(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Relative paths of all files that are not hidden, sorted; and what is not looked at, with the reason."""
    names: list[str] = []
    left_out: list[tuple[str, str]] = []

    def unreadable(error: OSError) -> None:
        left_out.append((_printable(os.path.relpath(error.filename, root)), f"cannot be read ({error.strerror})"))

    for place, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(place).relative_to(root)
        links = [_printable((here / name).as_posix()) for name in folders if Path(place, name).is_symlink()]
        left_out += [(link, "a link to a folder, which is not followed") for link in links]
        for path in ((here / name).as_posix() for name in files if not name.startswith(".")):
            if _printable(path) == path:
                names.append(path)
            else:
                left_out.append((_printable(path), "its name is not UTF-8; rename it"))
    return sorted(names), left_out


def _printable(path: str) -> str:
    """A path whose bytes need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _digests(root: Path, names: list[str]) -> Iterator[tuple[str, str | ContentError]]:
    """sha256 of each usable image, in order. Pillow releases the interpreter while it decodes."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about files that it reads all the same
        for start in range(0, len(names), _BATCH):
            some = names[start : start + _BATCH]
            yield from zip(some, pool.map(partial(_digest, root), some), strict=True)


def _digest(root: Path, name: str) -> str | ContentError:
    try:
        content = images.image_bytes(root, name)
        images.check_image(content, name)
    except ContentError as error:
        return error
    return hashlib.sha256(content).hexdigest()
