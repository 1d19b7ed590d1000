"""The API keeps to its own description, whatever is sent: no server error, no status or body that it does not name."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from asktell.web import create_app

TOKEN = "a token of the tests"  # as in conftest
ROUTES = [
    ("GET", "/api/questions"), ("POST", "/api/answers"), ("POST", "/api/undo"), ("POST", "/api/flags"),
    ("POST", "/api/release"), ("GET", "/api/status"), ("GET", "/api/why"), ("GET", "/api/items"), ("GET", "/api/item"),
    ("GET", "/api/export"),
]  # fmt: skip
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def app(make: Callable[..., Path]) -> Iterator[FastAPI]:
    made = create_app(make(n=60, audit=0.2, budget=1000), secret="x" * 32, hosts=["localhost", "testserver"])
    yield made
    made.state.desk.close()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_whatever_is_sent_the_api_keeps_to_its_description(
    app: FastAPI, method: str, path: str, mode: GenerationMode
) -> None:
    description = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    cases = description[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=12)
    @given(cases, st.booleans(), st.sampled_from(["t-01", "t-02", "t-60"]), st.sampled_from(["owl", "wren", None]))
    def check(case: "Case[Any]", known: bool, item: str, label: str | None) -> None:
        if known and isinstance(case.body, dict) and "item" in case.body:
            case.body |= {"item": item, **({"label": label} if "label" in case.body else {})}
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)

    check()


def test_every_route_of_the_api_is_described_and_closed(app: FastAPI) -> None:
    client = TestClient(app, base_url="http://localhost")
    paths = client.get("/api/openapi.json").json()["paths"]
    assert sorted((method.upper(), path) for path, methods in paths.items() for method in methods) == sorted(ROUTES)
    for method, path in ROUTES:
        assert client.request(method, path, json={} if method == "POST" else None).status_code == 401, path
