"""Figures as files: png, svg or pdf by the ending; what is drawn again gives the same bytes."""

import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from asktell.errors import DataError
from asktell.experiments.figures.style import styled
from asktell.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DATED: Mapping[str, Mapping[str, None]] = MappingProxyType(
    {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
)
"""Formats, and what they would say of when and by what they were made."""


def check_target(path: Path) -> str:
    """The format that the ending names; raises `DataError` for another, and where there is no folder to write in."""
    ending = path.suffix.lower().removeprefix(".")
    if ending not in _DATED:
        raise DataError(f"{path} cannot be a figure: its ending must be .png, .svg or .pdf")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path} cannot be written: there is no folder {path.parent}")
    return ending


def rendered(figure: "Figure", format: str = "png", *, dpi: int = 300) -> bytes:  # noqa: A002
    """The figure as bytes; `dpi` is that of a png, and of the parts of other formats that are pictures."""
    buffer = BytesIO()
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in scripts that the font lacks show as boxes
        figure.savefig(buffer, format=format, dpi=dpi, metadata=dict(_DATED[format]))
    return buffer.getvalue()


def save(figure: "Figure", path: Path) -> None:
    """Write the figure in the format that the ending names, whole or not at all. Raises `DataError` if it cannot."""
    write(path, rendered(figure, check_target(path)))


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises `DataError` if it cannot."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise DataError(f"cannot write {path} ({error})") from error
