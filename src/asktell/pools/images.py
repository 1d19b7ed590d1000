"""Images by folder and relative path: checked, opened for a model, found for serving. No torch; Pillow when used.

A path never leads out of its folder, not by `..` and not by links. What is too large, broken, or of a type that
browsers would run or guess at is refused, whatever its name ends in.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from asktell.errors import ContentError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 64_000_000
MAX_PIXELS = 50_000_000
MIME = MappingProxyType(
    {
        "PNG": "image/png",
        "JPEG": "image/jpeg",
        "MPO": "image/jpeg",  # what some telephones write: a JPEG with more behind it
        "WEBP": "image/webp",
        "GIF": "image/gif",
        "BMP": "image/bmp",
        "TIFF": "image/tiff",
    }
)
"""What Pillow calls a format, and what a browser calls it."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_NO_RANGE = ("I", "F")
_ORIENTATION = 0x0112
_UPRIGHT: Mapping[object, int] = MappingProxyType({2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2})
"""EXIF's orientation, and Pillow's number for what undoes it."""
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for files that are damaged."""


def open_image(root: Path | str, value: str) -> "Image":
    """The image at the relative path `value` in the folder `root`: RGB, upright as EXIF says, on white.

    Raises `ContentError` for what cannot be used, `DataError` without the folder or without Pillow.
    """
    content = image_bytes(root, value)
    with _explained(value):
        return _rgb(_upright(_opened(BytesIO(content), value)), value)


def image_file(root: Path | str, value: str) -> tuple[Path, str]:
    """(path, mime type) to serve the image at the relative path `value`; the type is that of the content.

    The path is resolved: it holds no link, and lies in `root`. Only the header is read.
    Raises `ContentError` for what must not be served, `DataError` without the folder or without Pillow.
    """
    path = _path(root, value)
    with _explained(value), _opened(path, value) as image:
        return path, MIME[image.format or ""]


def image_bytes(root: Path | str, value: str) -> bytes:
    """What the file at the relative path `value` in `root` holds. Raises `ContentError` for one out of bounds."""
    path = _path(root, value)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ContentError(value, f"cannot be read ({error.strerror})") from None
    _check_size(len(content), value)
    return content


def check_image(content: bytes, value: str) -> None:
    """Decode the whole image once. Raises `ContentError` unless `open_image` can use it."""
    with _explained(value), _opened(BytesIO(content), value) as image:
        image.draft("L", (8, 8))  # a JPEG is read to its end all the same, at an eighth of its size
        image.getexif()
        image.load()
        _check_mode(image, value)


def folder(root: Path | str) -> Path:
    """The folder without links. Raises `DataError` if it is not there."""
    try:
        found = Path(root).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        found = None
    if found is None or not found.is_dir():
        raise DataError(f"there is no folder {root}; check the name, or mount it again")
    return found


def _path(root: Path | str, value: str) -> Path:
    base = folder(root)
    pure = PurePosixPath(value)
    if pure.is_absolute() or ".." in pure.parts:
        raise ContentError(value, "leads out of its folder")
    try:
        path = (base / pure).resolve(strict=True)
        size, is_file = path.stat().st_size, path.is_file()
    except (OSError, RuntimeError, ValueError):  # a loop of links; NUL
        raise ContentError(value, "there is no such file") from None
    if not path.is_relative_to(base):
        raise ContentError(value, "a link that leads out of its folder")
    if not is_file:
        raise ContentError(value, "no file")
    _check_size(size, value)
    return path


def _check_size(size: int, value: str) -> None:
    if size > MAX_BYTES:
        raise ContentError(value, f"more than {MAX_BYTES:,} bytes")
    if not size:
        raise ContentError(value, "an empty file")


def _opened(source: Path | BytesIO, value: str) -> "Image":
    """The header is read, no pixels."""
    from PIL import Image

    image: Image.Image = Image.open(source, formats=_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ContentError(value, f"{image.width:,} x {image.height:,} pixels; the most is {MAX_PIXELS:,}")
    return image


def _upright(image: "Image") -> "Image":
    """Turned or mirrored as EXIF says."""
    from PIL.Image import Transpose

    turned = image.getexif().get(_ORIENTATION)
    return image.transpose(Transpose(_UPRIGHT[turned])) if turned in _UPRIGHT else image


def _rgb(image: "Image", value: str) -> "Image":
    from PIL import Image

    _check_mode(image, value)
    if image.mode in _SIXTEEN_BITS:
        image = image.convert("I").point(lambda level: level * (1 / 257)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _check_mode(image: "Image", value: str) -> None:
    if image.mode in _NO_RANGE:
        raise ContentError(value, "levels of 32 bits have no agreed range; save it with 8 or 16")


@contextmanager
def _explained(value: str) -> Iterator[None]:
    """What Pillow raises for files that are broken or hostile, as `ContentError`."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        raise DataError("images need Pillow, which is not installed: pip install 'asktell[images]'") from None
    try:
        yield
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ContentError(value, f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise ContentError(value, f"no image of a known type ({', '.join(_FORMATS)})") from None
    except MemoryError:
        raise ContentError(value, "does not fit into memory") from None
    except _BROKEN as error:
        raise ContentError(value, f"a broken image ({' '.join(str(error).split()) or type(error).__name__})") from None
