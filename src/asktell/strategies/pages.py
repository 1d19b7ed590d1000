"""What the documentation says of the strategies. It comes with the package; in a checkout it lies in docs/."""

import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from asktell.errors import DataError, ProtocolError
from asktell.strategies.registry import recipe

_CHECKOUT = Path(__file__).parents[3] / "docs"
_HEADING = re.compile(r"^#{2,3} .*$", re.MULTILINE)
_FACT = re.compile(r"^\| (\w+) \| (.+) \|$", re.MULTILINE)
_PLAIN = (
    (re.compile(r"^\{ .+ \}\n", re.MULTILINE), ""),  # attributes of what stands above
    (re.compile(r" \{#[\w-]+\}$", re.MULTILINE), ""),
    (re.compile(r"<sub>"), "_"),
    (re.compile(r"<sup>"), "^"),
    (re.compile(r"</su[bp]>"), ""),
    (re.compile(r"\[([^]]+)\]\([^)]+\)"), r"\1"),
)


@dataclass(frozen=True)
class Page:
    """A strategy's section of the list of all, and the page of its own if it has one; Markdown."""

    section: str
    whole: str | None

    @property
    def source(self) -> str:
        """Where it comes from, in plain text; nothing for what comes from nowhere."""
        return plain(dict(_FACT.findall(self.section)).get("source", ""))

    @property
    def text(self) -> str:
        """The page, or the section where there is none, without what only a browser understands."""
        return plain(self.whole or self.section)


def page(name: str) -> Page:
    """What the documentation says of the recipe called `name`.

    Raises `ProtocolError` for an unknown name and for a recipe of one's own, and `DataError` if the documentation did
    not come along.

    >>> page("bald").source
    'Houlsby et al. 2011, eq. 2'
    """
    found = find(recipe(name).name)
    if found is None:
        raise ProtocolError(f"{name} is registered, but it is not one of asktell's own and has no page")
    return found


def find(name: str) -> Page | None:
    """The same, and None for what has no page."""
    root = _root()
    sections = root.joinpath("strategies.md").read_text(encoding="utf-8")
    start = sections.find(f"### {name} {{#{name}}}\n")
    if start < 0:
        return None
    end = _HEADING.search(sections, sections.index("\n", start))
    own = root.joinpath("methods", f"{name}.md")
    return Page(sections[start : end.start() if end else None], own.read_text("utf-8") if own.is_file() else None)


def plain(markdown: str) -> str:
    """Markdown that can be read as it is: no attributes, no HTML, and of links what they are called.

    >>> plain("p<sub>c</sub> of [BALD](#bald)")
    'p_c of BALD'
    """
    for pattern, instead in _PLAIN:
        markdown = pattern.sub(instead, markdown)
    return markdown.strip()


def _root() -> Traversable | Path:
    packed = resources.files("asktell") / "pages"
    for root in (packed, _CHECKOUT):
        if root.joinpath("strategies.md").is_file():
            return root
    raise DataError("the pages on strategies are not there; install asktell again")
