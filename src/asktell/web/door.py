"""Signing in and out: the only pages that are shown to everybody."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from asktell.web.api import PROOF, AtDesk
from asktell.web.rendering import Look
from asktell.web.sessions import DAYS, NAME_LENGTH, RefusedError, Visitor

router = APIRouter(include_in_schema=False)


async def guest(request: Request, desk: AtDesk) -> Visitor:
    """Who has signed in. Raises `RefusedError`."""
    visitor = desk.sessions.by_cookie(request.cookies)
    if visitor is None:
        raise RefusedError("Sign in first.", 401)
    return visitor


Guest = Annotated[Visitor, Depends(guest)]


async def author(request: Request, desk: AtDesk, visitor: Guest) -> Visitor:
    """Who has signed in and sends a change from one of our own pages. Raises `RefusedError`."""
    given = request.headers.get(PROOF) or str((await request.form()).get("proof", ""))
    if not desk.sessions.is_proof(visitor, given):
        raise RefusedError("The page is out of date; load it again.", 403)
    return visitor


Author = Annotated[Visitor, Depends(author)]


@router.get("/sign-in")
def sign_in_page(
    request: Request,
    desk: AtDesk,
    look: Look,
    next: Annotated[str, Query(max_length=4096)] = "/",  # noqa: A002
) -> Response:
    """Where the name and the password are asked for."""
    if desk.sessions.by_cookie(request.cookies) is not None:
        return RedirectResponse(_local(next), 303)
    return _door(request, desk, look, next=_local(next))


@router.post("/sign-in")
def sign_in(
    request: Request,
    desk: AtDesk,
    look: Look,
    password: Annotated[str, Form(max_length=1024)] = "",
    name: Annotated[str, Form(max_length=NAME_LENGTH)] = "",
    proof: Annotated[str, Form(max_length=128)] = "",
    next: Annotated[str, Form(max_length=4096)] = "/",  # noqa: A002
) -> Response:
    """Begin a session, or say why not."""
    typed = {"next": _local(next), "name": name}
    if not desk.sessions.is_door_proof(request.cookies, proof):
        return _door(request, desk, look, 403, trouble="The page was out of date. Please try again.", **typed)
    try:
        cookie = desk.sessions.sign_in(password, name, request.client.host if request.client else "")
    except RefusedError as refused:
        response = _door(request, desk, look, refused.status, trouble=str(refused), **typed)
        if refused.wait:
            response.headers["Retry-After"] = str(round(refused.wait) or 1)
        return response
    welcome = RedirectResponse(_local(next), 303)
    _set_cookie(welcome, request, desk.sessions.cookie, cookie, DAYS * 86_400)
    welcome.delete_cookie(desk.sessions.door_cookie, path="/")
    return welcome


@router.post("/sign-out")
def sign_out(desk: AtDesk, _author: Author) -> Response:
    """End the session in this browser."""
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(desk.sessions.cookie, path="/", httponly=True, samesite="strict")
    return response


def _door(request: Request, desk: AtDesk, look: Look, status: int = 200, **values: Any) -> HTMLResponse:
    kept, proof = desk.sessions.door(request.cookies)
    shown = {"proof": proof, "project": desk.name, "path": request.url.path, "next": "/", "name": "", **values}
    response = HTMLResponse(look.render("sign_in", shown), status)
    _set_cookie(response, request, desk.sessions.door_cookie, kept, None)
    return response


def _local(path: str) -> str:
    """A path on this server, and nothing that leads elsewhere.

    >>> _local("/items?state=free"), _local("//elsewhere"), _local("https://elsewhere")
    ('/items?state=free', '/', '/')
    """
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_local else "/"


def _set_cookie(response: Response, request: Request, name: str, value: str, seconds: int | None) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)
