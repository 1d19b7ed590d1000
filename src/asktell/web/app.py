"""The application: a project, its pages and its API, behind one guard."""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import asktell
from asktell.errors import AsktellError, DataError, ProjectError, UnknownClassError, UnknownItemError
from asktell.web import api, door, pages
from asktell.web.desk import Desk
from asktell.web.guard import LOOPBACK, Guard
from asktell.web.rendering import STATIC, Templates
from asktell.web.sessions import RefusedError

_STATUS: tuple[tuple[type[AsktellError], int], ...] = (
    (UnknownItemError, 404),
    (UnknownClassError, 422),
    (DataError, 404),
    (ProjectError, 409),
)
_TITLES = {
    400: "That is not a request",
    403: "Not allowed",
    404: "There is no such thing",
    405: "Not allowed",
    409: "That cannot be done now",
    422: "That was not understood",
    503: "The project cannot be used now",
}


def create_app(folder: str | PathLike[str], *, secret: str, hosts: Iterable[str] = LOOPBACK) -> FastAPI:
    """The web application of the project in `folder`.

    `secret` signs the sessions: who knows it can make one. `hosts`: the names it may be reached under, without port.
    Raises `ProjectError` if there is no project, or if it has no password (setting `password`).
    """
    desk = Desk(Path(folder), secret)
    if not isinstance(desk.settings.get("password"), str):
        desk.close()
        raise ProjectError(f"{folder} has no password, and pages are not shown without one; set one first")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="asktell",
        version=asktell.__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages would be fetched from elsewhere
        redoc_url=None,
    )
    app.state.desk, app.state.templates = desk, Templates()
    for router in (api.router, door.router, pages.router):
        app.include_router(router)
    app.mount("/static", _Static(directory=STATIC))
    _explain_errors(app, app.state.templates)
    app.add_middleware(Guard, hosts=hosts)
    return app


class _Static(StaticFiles):
    """Our own files. An address that names the content may be kept for ever, others are asked for again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        named = scope["query_string"].startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if named else "no-cache"
        return response


def status_of(error: AsktellError) -> int:
    """The HTTP status that an error means. What the disk or the database refused is nobody's request's fault."""
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error.__cause__, DBAPIError | sqlite3.Error | OSError):
        return 503
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _explain_errors(app: FastAPI, templates: Templates) -> None:
    def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, AsktellError)  # nothing else is sent here
        return _answer(request, templates, status_of(error), str(error))

    def decline(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # nothing else is sent here
        return _answer(request, templates, error.status_code, str(error.detail))

    def not_understood(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # nothing else is sent here
        wrong = "; ".join(f"{_place(one['loc'])}: {one['msg']}" for one in error.errors())
        return _answer(request, templates, 422, wrong)

    app.add_exception_handler(AsktellError, refuse)
    app.add_exception_handler(HTTPException, decline)
    app.add_exception_handler(RequestValidationError, not_understood)


def _place(location: Iterable[object]) -> str:
    """Where in a request something is wrong: without whether it was the body or the query."""
    return ".".join(map(str, list(location)[1:])) or "the request"


def _answer(request: Request, templates: Templates, status: int, message: str) -> Response:
    """An error as JSON for programs and as a page for people; who is not signed in is led to the door."""
    path = request.url.path
    if path.startswith("/api/"):
        return JSONResponse({"detail": message}, status)
    here = path + (f"?{request.url.query}" if request.url.query else "")
    door = f"/sign-in?next={quote(here, safe='')}" if request.method == "GET" else "/sign-in"
    if status == 401:
        partial = request.headers.get("hx-request") == "true"
        return (
            Response(status_code=401, headers={"HX-Redirect": "/sign-in"}) if partial else RedirectResponse(door, 303)
        )
    desk = request.app.state.desk
    title = _TITLES.get(status, "Something went wrong")
    values = {"title": title, "message": message, "project": desk.name, "path": path}
    return Response(templates.render("error", values), status, media_type="text/html")
