"""What is refused whatever is behind it, and what every response says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from asktell.web.guard import MOST, POLICY, allowed_hosts, hostname

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize(
    "path", ["/sign-in", "/", "/dashboard", "/items", "/api/status", "/nowhere", "/api/nowhere", "/static/page.js"]
)
def test_every_response_has_the_headers(ann: TestClient, path: str) -> None:
    found = ann.get(path).headers
    assert {name: found[name] for name in HEADERS} == HEADERS


def test_refusals_have_them_too(guest: TestClient) -> None:
    for reply in (guest.get("/", headers={"host": "evil.example"}), guest.post("/sign-in", content=b"x" * (MOST + 1))):
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS


def test_nothing_inline_or_from_elsewhere_is_allowed() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_pages_are_not_kept_by_the_browser_and_named_assets_are(ann: TestClient) -> None:
    assert ann.get("/").headers["cache-control"] == "no-store"
    assert ann.get("/api/questions").headers["cache-control"] == "no-store"
    assert "immutable" in ann.get("/static/page.js?v=1").headers["cache-control"]
    assert ann.get("/static/page.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1234", "[::1]:8000"])
def test_its_own_names_are_answered(guest: TestClient, host: str) -> None:
    assert guest.get("/sign-in", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil@localhost", "localhost/", "", "10.0.0.1",
     "localhost:port"],
)  # fmt: skip
def test_other_names_are_refused_so_that_no_foreign_page_rebinds_one(guest: TestClient, host: str) -> None:
    assert guest.get("/sign-in", headers={"host": host}).status_code == 400


def test_where_it_is_bound_everywhere_addresses_in_numbers_are_answered_and_names_must_be_given() -> None:
    assert allowed_hosts("0.0.0.0", ["lab.example"])[-2:] == ("*", "lab.example")
    assert allowed_hosts("[::1]")[-1] == "::1"
    assert "*" not in allowed_hosts("192.168.1.5")


@given(st.text(max_size=40))
def test_any_host_header_is_understood_or_refused(host: str) -> None:
    found = hostname(host)
    assert found is None or found == found.lower()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"origin": "file://localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_changes_from_other_sites_are_refused(ann: TestClient, headers: dict[str, str]) -> None:
    sent = {"item": "t-01", "flagged": True}
    assert ann.post("/api/flags", json=sent, headers=headers).status_code == 403
    ours = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert ann.post("/api/flags", json=sent, headers=ours).status_code == 200


def test_large_bodies_are_refused_whether_they_say_so_or_not(ann: TestClient) -> None:
    def pieces() -> object:
        for _ in range(2 * MOST // 1024):
            yield b" " * 1024

    kind = {"content-type": "application/json"}
    assert ann.post("/api/answers", content=b" " * (MOST + 1), headers=kind).status_code == 413
    assert ann.post("/api/answers", content=pieces(), headers=kind).status_code == 413  # type: ignore[arg-type]
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ann.post("/items/flag", content=pieces(), headers=form).status_code == 413  # type: ignore[arg-type]
    assert ann.post("/api/answers", content=b"{}", headers={**kind, "content-length": "-1"}).status_code == 413


@pytest.mark.parametrize("query", ["id=" + "x" * 5000, "id=%00", "id=%ff%fe", "id="])
def test_strange_ids_are_refused(ann: TestClient, query: str) -> None:
    assert ann.get(f"/items/image?{query}").status_code in (404, 409, 422)
    assert ann.get(f"/items/item?{query}").status_code in (404, 409, 422)


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/vendor",
     "/export/labels.exe", "/export/..%2f..%2fproject.db", "/project.db", "/docs", "/redoc", "/openapi.json"],
)  # fmt: skip
def test_no_path_leads_out(ann: TestClient, path: str) -> None:
    assert ann.get(path).status_code in (404, 405)


def test_the_project_itself_is_not_served(ann: TestClient, folder: Path) -> None:
    for file in folder.iterdir():
        assert ann.get(f"/{file.name}").status_code == 404
        assert ann.get(f"/static/{file.name}").status_code == 404


def test_errors_say_nothing_of_the_inside(visit: Callable[..., TestClient], folder: Path) -> None:
    client = visit(folder, raise_server_exceptions=False)
    client.app.state.desk.sessions = None  # type: ignore[attr-defined]
    reply = client.get("/sign-in")
    assert (reply.status_code, reply.text) == (500, "Internal Server Error")
