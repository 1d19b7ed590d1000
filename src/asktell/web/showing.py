"""What a person sees of an item: its text, its image, or its row of numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

from asktell.errors import DataError
from asktell.pools.images import image_file, open_image
from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.web.rows import read_cached, read_row
from asktell.web.settings import Settings

LONGEST = 60_000
"""Characters of a text that are shown at once."""
START = 160
"""Characters of a text in a list."""
IMAGES = "/items/image?id="


@dataclass(frozen=True)
class Shown:
    """An item as it is shown; `kind` is text, image, row, or name where nothing else is known of it.

    Of a text, `text` is all or, if `cut`, the beginning. `trouble` says why there is nothing to see.
    """

    item: str
    kind: str
    text: str = ""
    cut: bool = False
    image: str = ""
    row: tuple[float, ...] = ()
    trouble: str = ""

    @property
    def start(self) -> str:
        """One line of text that stands for the item in a list, a dot between paragraphs.

        >>> Shown("a", "text", text="Wrens sing\\n\\nIn the hedge\\nat dawn").start
        'Wrens sing · In the hedge at dawn'
        """
        paragraphs = re.split(r"\n\s*\n", (self.text[: 4 * START] or self.item).strip())
        line = " · ".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        return line if len(line) <= START else line[: START - 1].rstrip() + "…"


class Showing:
    """Items of a project, by id. Nothing is read from a path that came with a request."""

    def __init__(self, project: Project, settings: Settings, catalogue: Catalogue) -> None:
        self._project, self._settings, self._catalogue = project, settings, catalogue

    def items(self, ids: Sequence[str], *, longest: int = LONGEST) -> dict[str, Shown]:
        """What there is to see of these items. Raises `UnknownItemError`."""
        source, contents = self._source, self._project.contents(list(ids))
        kind = source.get("kind", "text") if contents else None
        if kind == "features":
            numbers = self._catalogue.numbers(ids)
            return {id_: self._row(id_, source, contents.get(id_, ""), numbers[id_]) for id_ in ids}
        show = {"images": _image, "text": _text}.get(str(kind), _text)
        return {id_: show(id_, contents[id_], longest) if id_ in contents else Shown(id_, "name") for id_ in ids}

    def item(self, id_: str) -> Shown:
        """One item with all of its text. Raises `UnknownItemError`."""
        return self.items([id_], longest=100 * LONGEST)[id_]

    def image(self, id_: str) -> tuple[Path | bytes, str]:
        """The file, or the bytes, to serve as an item's image, and its type.

        Raises `UnknownItemError`; `DataError` if the item is no image, or none that may be served.
        """
        contents, source = self._project.contents([id_]), self._source
        if source.get("kind") != "images" or id_ not in contents:
            raise DataError(f"item {id_!r} is no image")
        path, mime = image_file(str(source["path"]), contents[id_])
        if mime != "image/tiff":
            return path, mime
        written = BytesIO()  # browsers show no TIFF
        open_image(str(source["path"]), contents[id_]).save(written, "PNG")
        return written.getvalue(), "image/png"

    @property
    def _source(self) -> Mapping[str, object]:
        source = self._settings.get("source")
        return source if isinstance(source, Mapping) else {}

    def _row(self, id_: str, source: Mapping[str, object], content: str, number: int) -> Shown:
        file = Path(str(source.get("path")))
        try:
            if file.suffix.lower() == ".npy":
                return Shown(id_, "row", row=read_row(file, int(content) - 1))
            return Shown(id_, "row", row=read_cached(self._project.folder / "embeddings", number))
        except (DataError, ValueError) as error:
            return Shown(id_, "row", trouble=str(error))


def _text(id_: str, content: str, longest: int) -> Shown:
    return Shown(id_, "text", text=content[:longest], cut=len(content) > longest)


def _image(id_: str, _content: str, _longest: int) -> Shown:
    return Shown(id_, "image", image=IMAGES + quote(id_, safe=""))
