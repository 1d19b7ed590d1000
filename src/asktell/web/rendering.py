"""The pages' templates: everything that is put in is escaped, and what is missing is an error."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asktell.web.accuracies import accuracy

HERE = Path(__file__).parent
STATIC = HERE / "static"
_THIN = "\N{NARROW NO-BREAK SPACE}"


class Templates:
    """Renders `templates/NAME.html.j2`, or NAME beside this file: pages that are served, and what is no such page."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader([HERE / "templates", HERE]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        marks = {file: sha256(file.read_bytes()).hexdigest()[:10] for file in STATIC.rglob("*") if file.is_file()}

        def asset(name: str) -> str:
            """Where a file of ours is; another address for other content, so that it may be kept for ever."""
            return f"/static/{name}?v={marks[STATIC / name]}"

        self._environment.globals.update(asset=asset, receipt=lambda: token_urlsafe(16))
        self._environment.filters.update(
            accuracy_on=accuracy,
            percent=percent,
            count=count,
            number=number,
            moment=moment,
            sentence=sentence,
            quoted=lambda text: quote(text, safe=""),
            json=partial(json.dumps, ensure_ascii=False),
        )

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The page with these values."""
        return self._environment.get_template(f"{name}.html.j2").render(values)


async def _look(request: Request) -> Templates:
    templates: Templates = request.app.state.templates
    return templates


Look = Annotated[Templates, Depends(_look)]
"""The templates of the application that answers a request."""


def percent(share: float, digits: int = 1) -> str:
    """A share as people read it.

    >>> percent(0.8768).replace("\\u202f", " ")
    '87.7 %'
    """
    return f"{100 * share:.{digits}f}{_THIN}%"


def count(whole: int) -> str:
    """A whole number in groups of three from five digits on.

    >>> count(2225), count(100000).replace("\\u202f", " ")
    ('2225', '100 000')
    """
    return f"{whole:,}".replace(",", _THIN) if abs(whole) >= 10_000 else str(whole)


def sentence(message: str) -> str:
    """An error's message as a sentence of its own.

    >>> sentence("the project holds no item 'x'; check the spelling"), sentence("Sign in first.")
    ("The project holds no item 'x'; check the spelling.", 'Sign in first.')
    """
    return message[:1].upper() + message[1:] + ("" if message.endswith((".", "!", "?")) else ".")


def number(value: float, digits: int = 3) -> str:
    """A number to `digits` significant places.

    >>> number(0.123456), number(float("inf"))
    ('0.123', '∞')
    """
    return f"{value:.{digits}g}" if math.isfinite(value) else "∞"


def moment(written: str) -> str:
    """A time as the project writes it, to the minute, in UTC.

    >>> moment("2026-03-01T08:30:12.000000+00:00")
    '2026-03-01 08:30'
    """
    try:
        return datetime.fromisoformat(written).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return written
