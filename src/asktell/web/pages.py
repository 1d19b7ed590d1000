"""The pages behind the door: each is whole without a script, except for labelling itself."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse

from asktell.types import SKIP
from asktell.web.api import AtDesk, ItemId, batch, download, explained
from asktell.web.dashboard import board
from asktell.web.desk import Desk
from asktell.web.door import Author, Guest, guest
from asktell.web.export import Kind, What
from asktell.web.forms import Wanted
from asktell.web.guard import SANDBOX
from asktell.web.keys import columns, keys
from asktell.web.rendering import Look, Templates
from asktell.web.sessions import RefusedError, Visitor
from asktell.web.watching import news

STATES = ("free", "pending", "labelled", "skipped", "withdrawn", "audit", "held-out")
router = APIRouter(include_in_schema=False, dependencies=[Depends(guest)])


class Page:
    """A page as one visitor sees it: renders a template with what every page shows."""

    def __init__(self, request: Request, desk: Desk, look: Templates, visitor: Visitor) -> None:
        self._look = look
        self.visitor = visitor
        self.is_part = request.headers.get("hx-request") == "true"
        self._known = {
            "visitor": visitor,
            "proof": desk.sessions.proof(visitor),
            "project": desk.name,
            "path": request.url.path,
        }

    def __call__(self, name: str, **values: Any) -> HTMLResponse:
        """The page with these values."""
        return HTMLResponse(self._look.render(name, {**self._known, **values}))


async def _here(request: Request, desk: AtDesk, look: Look, visitor: Guest) -> Page:
    return Page(request, desk, look, visitor)


Here = Annotated[Page, Depends(_here)]


@router.get("/")
def label(desk: AtDesk, page: Here) -> Response:
    """Where labels are given; it begins with the first questions."""
    classes = desk.project.classes
    buttons = list(zip(keys(classes), classes, strict=True))
    return page(
        "label",
        buttons=buttons,
        columns=columns(classes),
        first=batch(desk, 6).model_dump_json(),
        cookie=desk.sessions.cookie,
    )


@router.get("/dashboard")
def dashboard(desk: AtDesk, page: Here) -> Response:
    """How the project does."""
    return page("dashboard", board=board(desk))


@router.get("/dashboard/live")
def live(desk: AtDesk, page: Here) -> Response:
    """The part of the dashboard that changes."""
    return page("_board", board=board(desk))


@router.get("/events")
def events(desk: AtDesk) -> StreamingResponse:
    """News, as long as somebody listens."""
    stream: AsyncIterator[str] = news(desk.project.changes, desk.folder, lambda: desk.is_over)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/items")
def items(desk: AtDesk, page: Here, wanted: Annotated[Wanted, Query()]) -> Response:
    """Items that are like that; only the rows where a script asks."""
    entries = desk.catalogue.page(wanted.filter, after=wanted.after, limit=wanted.limit + 1)
    listed = entries[: wanted.limit]
    return page(
        "_entries" if page.is_part else "items",
        entries=listed,
        shown=desk.showing.items([entry.id for entry in listed]),
        more=wanted.link(listed[-1].number) if len(entries) > wanted.limit else None,
        wanted=wanted,
        classes=desk.project.classes,
        states=STATES,
    )


@router.get("/items/item")
def item(desk: AtDesk, page: Here, id: ItemId) -> Response:  # noqa: A002
    """One item, its answers, and why it was asked."""
    return page("item", **_item(desk, id))


@router.post("/items/label")
def correct(
    desk: AtDesk,
    page: Here,
    author: Author,
    id: Annotated[str, Form(max_length=4096)],  # noqa: A002
    receipt: Annotated[str, Form(min_length=8, max_length=64)],
    label: Annotated[str, Form(max_length=4096)] = "",
) -> Response:
    """Another answer for an item; none is a skip. The page shows what stands, so that this is a correction."""
    desk.answering.answer(receipt, id, label or SKIP, author.annotator, corrects=True)
    return _after_change(desk, page, id)


@router.post("/items/flag")
def flag(
    desk: AtDesk,
    page: Here,
    author: Author,
    id: Annotated[str, Form(max_length=4096)],  # noqa: A002
    flagged: Annotated[bool, Form()] = False,
    receipt: Annotated[str | None, Form(min_length=8, max_length=64)] = None,
) -> Response:
    """Flag an item, or take the flag away."""
    desk.answering.flag(receipt, id, author.annotator, flagged)
    return _after_change(desk, page, id)


@router.get("/items/image")
def image(desk: AtDesk, id: ItemId) -> Response:  # noqa: A002
    """An item's image, by the item's id."""
    found, mime = desk.showing.image(id)
    headers = {"Content-Security-Policy": SANDBOX, "Cache-Control": "private, max-age=3600"}
    if isinstance(found, bytes):
        return Response(found, media_type=mime, headers=headers)
    return FileResponse(found, media_type=mime, headers=headers)


@router.get("/export/{name}")
def exported(desk: AtDesk, name: str) -> Response:
    """A file: labels or annotations, .csv or .jsonl."""
    what, _, kind = name.partition(".")
    if what not in list(What) or kind not in list(Kind):
        raise RefusedError(f"There is nothing to export as {name}.", 404)
    return download(desk, What(what), Kind(kind))


def _item(desk: Desk, id_: str) -> Mapping[str, Any]:
    """All about one item, for its page."""
    entry, question = desk.catalogue.entry(id_), desk.project.question(id_)
    return {
        "entry": entry,
        "shown": desk.showing.item(id_),
        "answers": desk.project.annotations(id_)[::-1],
        "why": None if question is None else explained(question),
        "classes": desk.project.classes,
        "SKIP": SKIP,
    }


def _after_change(desk: Desk, page: Page, id_: str) -> Response:
    """The part that changed, for a script; the whole page, loaded anew, without one."""
    if page.is_part:
        return page("_history", **_item(desk, id_))
    return RedirectResponse("/items/item?" + urlencode({"id": id_}), 303)
