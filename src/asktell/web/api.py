"""The API for programs and for the pages' own scripts: questions out, answers in, all as JSON."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from asktell.errors import UnknownItemError
from asktell.project.catalogue import Entry
from asktell.types import SKIP, Annotation, Question, Training
from asktell.web import forms, why
from asktell.web.accuracies import accuracy
from asktell.web.asking import Upcoming
from asktell.web.desk import Desk
from asktell.web.export import MIME, Kind, What, export
from asktell.web.forms import MOST_QUESTIONS
from asktell.web.sessions import RefusedError, Visitor, check_annotator

PROOF = "X-CSRF-Token"
ItemId = Annotated[str, Query(max_length=4096)]
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": reason, "content": {"application/json": {"schema": _DETAIL}}}
    for _DETAIL in [{"type": "object", "properties": {"detail": {}}, "required": ["detail"]}]
    for status, reason in {
        400: "Not a request that can be read, or another host's",
        401: "Nobody signed in",
        403: "Not from one of our own pages",
        404: "No such item",
        409: "The project does not allow it now",
        413: "Too large",
        422: "Not what was expected",
        503: "The project cannot be read or written now",
    }.items()
}
_token = HTTPBearer(auto_error=False, scheme_name="token", description="What `asktell token` printed.")


async def desk_of(request: Request) -> Desk:
    """The project that is served. What a request depends on runs in the loop: it is quick, and a thread is not."""
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


async def entered(
    request: Request, desk: AtDesk, token: Annotated[HTTPAuthorizationCredentials | None, Depends(_token)]
) -> Visitor:
    """Who has a session or a token. For changes, a session must prove that one of our pages asked.

    Raises `RefusedError`.
    """
    known = desk.sessions.by_cookie(request.cookies)
    if known is None and token is not None:
        known = desk.sessions.by_token(token.credentials)
    if known is None:
        raise RefusedError("Sign in first, or send the project's token.", 401)
    changes = request.method not in ("GET", "HEAD")
    if changes and not desk.sessions.is_proof(known, request.headers.get(PROOF, "")):
        raise RefusedError("The page is out of date; load it again.", 403)
    return known


Guest = Annotated[Visitor, Depends(entered)]
router = APIRouter(prefix="/api", responses=_ERRORS, dependencies=[Depends(entered)])


@router.get("/questions")
def questions(desk: AtDesk, ahead: Annotated[int, Query(ge=1, le=MOST_QUESTIONS)] = 6) -> forms.Batch:
    """The next questions, in the order in which to ask them."""
    return batch(desk, ahead)


@router.post("/answers")
def answer(desk: AtDesk, guest: Guest, sent: forms.Answer) -> forms.Answered:
    """Take an answer, once, and give the next questions."""
    label = SKIP if sent.label is None else sent.label
    taken = desk.answering.answer(sent.receipt, sent.item, label, _name(guest, sent.annotator))
    before = None if taken.before is None else _told(taken.before)
    return forms.Answered(**dict(batch(desk, sent.ahead)), item=sent.item, recorded=taken.recorded, before=before)


@router.post("/undo")
def undo(desk: AtDesk, guest: Guest, sent: forms.Undo) -> forms.Answered:
    """Take the newest answer back, once, and give the next questions: the item is usually the first."""
    item = desk.answering.take_back(sent.receipt, _name(guest, sent.annotator), sent.item)
    return forms.Answered(**dict(batch(desk, sent.ahead)), item=item)


@router.post("/flags")
def flag(desk: AtDesk, guest: Guest, sent: forms.Flag) -> forms.Listed:
    """Flag an item, or take the flag away."""
    desk.answering.flag(sent.receipt, sent.item, _name(guest, sent.annotator), sent.flagged)
    return _listed(desk.catalogue.entry(sent.item))


@router.post("/release")
def release(desk: AtDesk) -> forms.Batch:
    """Let skipped items be asked again."""
    desk.project.release_skipped()
    return batch(desk, 6)


@router.get("/status")
def status(desk: AtDesk) -> forms.State:
    """Where the project stands."""
    return state(desk)


@router.get("/why")
def reason(desk: AtDesk, item: ItemId) -> forms.Why:
    """Why an item was asked. 404 if it never was."""
    question = desk.project.question(item)
    if question is None:
        raise UnknownItemError(f"nobody has asked for item {item!r} yet")
    return explained(question)


@router.get("/items")
def items(desk: AtDesk, wanted: Annotated[forms.Wanted, Query()]) -> list[forms.Listed]:
    """Items in insertion order, from the one after number `after`."""
    found = desk.catalogue.page(wanted.filter, after=wanted.after, limit=wanted.limit)
    return [_listed(entry) for entry in found]


@router.get("/item")
def item(desk: AtDesk, id: ItemId) -> forms.Whole:  # noqa: A002
    """All about one item."""
    return _whole(desk, id)


@router.get("/export", response_class=StreamingResponse)
def exported(desk: AtDesk, what: What = What.LABELS, kind: Kind = Kind.JSONL) -> StreamingResponse:
    """Labels, or all answers, as a file."""
    return download(desk, what, kind)


def batch(desk: Desk, ahead: int) -> forms.Batch:
    """The next questions with what there is to see of them."""
    upcoming = desk.upcoming(ahead)
    budget = desk.project.budget
    return forms.Batch(
        questions=list(_asked(desk, upcoming)),
        progress=forms.Progress(spent=budget.spent, pending=budget.pending, limit=budget.limit, left=budget.left),
        audit_used_up=upcoming.audit_used_up,
        end=upcoming.end,
        worker=desk.notice(),
    )


def explained(question: Question) -> forms.Why:
    """Why it was asked."""
    return forms.Why(
        item=question.item,
        sentence=why.sentence(question),
        strategy=why.described(question.strategy),
        score=question.score if math.isfinite(question.score) else None,
        rank=question.position + 1,
        probability=question.probability,
        model=question.model,
        seed=question.seed,
        query=question.query,
        created=question.created,
    )


def download(desk: Desk, what: What, kind: Kind) -> StreamingResponse:
    """A file to keep, written while it is sent."""
    named = f'attachment; filename="{what.value}.{kind.value}"'
    pieces: Iterator[str] = export(desk.project, desk.catalogue, what, kind)
    return StreamingResponse(pieces, media_type=MIME[kind], headers={"Content-Disposition": named})


def state(desk: Desk) -> forms.State:
    """Counts, and the newest training."""
    status, trainings, advice = desk.project.status(), desk.project.trainings, desk.advice()
    budget = status.budget
    return forms.State(
        name=desk.name,
        classes=list(status.classes),
        items=dict(status.states),
        labels=dict(status.labels),
        audit=dict(status.audit),
        held_out=dict(status.held_out),
        flagged=status.flagged,
        queries=status.queries,
        closed=desk.project.n_closed_questions,
        progress=forms.Progress(spent=budget.spent, pending=budget.pending, limit=budget.limit, left=budget.left),
        trainings=len(trainings),
        newest=_trained(trainings[-1]) if trainings else None,
        stop=advice is not None and advice.stop,
        worker=desk.notice(),
    )


def _asked(desk: Desk, upcoming: Upcoming) -> Iterator[forms.Asked]:
    ids = [question.item for question in upcoming.questions]
    shown, flagged = desk.showing.items(ids), desk.catalogue.flagged(ids)
    for question in upcoming.questions:
        seen = vars(shown[question.item])
        yield forms.Asked(**seen, query=question.query, flagged=question.item in flagged)


def _name(visitor: Visitor, given: str) -> str:
    """People answer under the name of their session, programs under the one they give."""
    return visitor.annotator if visitor.session is not None else check_annotator(given)


def _trained(training: Training) -> forms.Trained:
    told = {name: getattr(training, name) for name in ("number", "model", "n_labelled", "started", "seconds", "error")}
    return forms.Trained(**told, held_out=_evaluated(training, "held_out"), audit=_evaluated(training, "audit"))


def _evaluated(training: Training, on: str) -> forms.Evaluated | None:
    found = accuracy(training, on)
    return None if found is None else forms.Evaluated(**vars(found), value=found.value)


def _listed(entry: Entry) -> forms.Listed:
    return forms.Listed(**vars(entry))


def _told(told: Annotation) -> forms.Told:
    return forms.Told(
        number=told.number,
        annotator=told.annotator,
        label=None if told.label is SKIP else told.label,
        query=told.query,
        created=told.created,
        stands=told.stands,
    )


def _whole(desk: Desk, id_: str) -> forms.Whole:
    shown, entry = desk.showing.item(id_), desk.catalogue.entry(id_)
    answers = [_told(told) for told in desk.project.annotations(id_)]
    return forms.Whole(
        **vars(entry), kind=shown.kind, text=shown.text, image=shown.image, row=shown.row, answers=answers
    )
