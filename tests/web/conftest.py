import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from asktell.project import Project
from asktell.web import create_app
from asktell.web.passwords import hash_token

PASSWORD, TOKEN = "wrens in the hedge", "a token of the tests"
KEPT = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)  # quick, as tests are
CLASSES = ["owl", "wren", "hawk"]

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a project with texts t-01, t-02, ... and the password and token of the tests; gives its folder."""

    def made(name: str = "birds", n: int = 30, **options: object) -> Path:
        ids = [f"t-{number:02d}" for number in range(1, n + 1)]
        told = {"classes": CLASSES, "contents": [f"Text of {id_}." for id_ in ids], "seed": 7, **options}
        with Project.create(tmp_path / name, ids, **told) as project:  # type: ignore[arg-type]
            project.set("password", KEPT)
            project.set("token", hash_token(TOKEN))
        return tmp_path / name

    return made


@pytest.fixture
def folder(make: Make) -> Path:
    """A project of thirty texts without an audit."""
    return make()


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    """The same project, as another process would see it."""
    with Project.open(folder) as opened:
        yield opened


@pytest.fixture
def visit() -> Iterator[Callable[[Path], TestClient]]:
    """A browser that has not signed in, at a project."""
    clients: list[TestClient] = []

    def visiting(folder: Path, **options: object) -> TestClient:
        app = create_app(folder, secret="a secret of the tests" * 2)
        client = TestClient(app, base_url="http://localhost", follow_redirects=False, **options)  # type: ignore[arg-type]
        clients.append(client.__enter__())
        return client

    yield visiting
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def guest(visit: Callable[[Path], TestClient], folder: Path) -> TestClient:
    """Somebody at the door."""
    return visit(folder)


@pytest.fixture
def sign_in() -> Callable[..., TestClient]:
    """Signs somebody in; every change then proves where it comes from."""

    def signing(client: TestClient, name: str = "ann") -> TestClient:
        proof = find_proof(client.get("/sign-in").text)
        answer = client.post("/sign-in", data={"password": PASSWORD, "name": name, "proof": proof})
        assert answer.status_code == 303, answer.text
        client.headers["X-CSRF-Token"] = find_proof(client.get("/").text)
        return client

    return signing


@pytest.fixture
def proof_in() -> Callable[[str], str]:
    """Finds the proof that a page holds: in its form, or for its script."""
    return find_proof


@pytest.fixture
def ann(guest: TestClient, sign_in: Callable[..., TestClient]) -> TestClient:
    """Ann, signed in."""
    return sign_in(guest)


@pytest.fixture
def program(visit: Callable[[Path], TestClient], folder: Path) -> TestClient:
    """A program with the project's token."""
    client = visit(folder)
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    return client


def find_proof(page: str) -> str:
    """The proof that a page holds: in its form, or for its script."""
    found = re.search(r'name="proof" (?:value|content)="([^"]+)"', page)
    assert found is not None, page
    return found[1]
