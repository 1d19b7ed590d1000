"""Docstrings of this project as Markdown: an extension of griffe, which reads the code for the API pages.

They are prose. A doctest becomes a block of code, a star is a star, and a line `name: what it is` about a field becomes
an entry of a list; so does a field whose type is `Annotated` with what it is. Indented blocks are code to Markdown.
"""

import ast
import re
from collections.abc import Iterator

from griffe import Attribute, Class, Docstring, ExprSubscript, ExprTuple, Extension, Module, Object

_LITERAL = re.compile(r"(`[^`]*`)")


class Docstrings(Extension):
    """Rewrites a package when all of it is read, before signatures are made of the fields of dataclasses."""

    def on_package(self, *, pkg: Module, **_: object) -> None:
        _rewrite(pkg)


def markdown(docstring: str, fields: frozenset[str] = frozenset()) -> str:
    """The docstring as Markdown; `fields` are the names that a line can explain."""
    return "\n\n".join(_block(block, fields) for block in docstring.split("\n\n"))


def _rewrite(found: Object) -> None:
    members = [member for member in found.members.values() if isinstance(member, Object)]
    if found.docstring is not None:
        found.docstring.value = markdown(found.docstring.value, frozenset(found.members))
    if isinstance(found, Class):
        explained = [_field(m.name, said) for m in members if isinstance(m, Attribute) for said in _said(m)]
        if explained:
            prose, example, code = (found.docstring.value if found.docstring else "").partition("\n\n```pycon")
            found.docstring = Docstring("\n".join([prose, "", *explained]) + example + code, parent=found)
    for member in members:
        _rewrite(member)


def _said(field: Attribute) -> Iterator[str]:
    """What `Annotated` says of a field, whose type is then the bare one."""
    annotation = field.annotation
    if isinstance(annotation, ExprSubscript) and str(annotation.left) == "Annotated":
        assert isinstance(annotation.slice, ExprTuple)
        kind, said = annotation.slice.elements
        field.annotation = kind
        yield ast.literal_eval(str(said))


def _block(block: str, fields: frozenset[str]) -> str:
    if block.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if block.startswith("    "):
        return block
    return "\n".join(_lines(block.split("\n"), fields))


def _lines(lines: list[str], fields: frozenset[str]) -> Iterator[str]:
    for line in lines:
        name, colon, rest = line.partition(": ")
        yield _field(name, rest) if colon and name in fields else _prose(line)


def _field(name: str, said: str) -> str:
    return f"- `{name}`: {_prose(said)}"


def _prose(line: str) -> str:
    """A line with its stars escaped, except in literals."""
    return "".join(part if part.startswith("`") else part.replace("*", r"\*") for part in _LITERAL.split(line))
