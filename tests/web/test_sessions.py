"""Who is let in, for how long, and what they must prove."""

from collections.abc import Callable
from pathlib import Path

import pytest
from itsdangerous import TimestampSigner
from starlette.testclient import TestClient

from asktell.errors import ProjectError
from asktell.project import Project
from asktell.web import create_app
from asktell.web.desk import TRIES, TRIES_OF_ALL
from asktell.web.passwords import hash_password, hash_token, is_password, is_token, make_token
from asktell.web.sessions import DAYS, RefusedError, Sessions, check_annotator
from asktell.web.settings import Settings
from asktell.web.throttle import Throttle

PASSWORD, TOKEN = "wrens in the hedge", "a token of the tests"  # as in conftest
Visit = Callable[..., TestClient]
ProofIn = Callable[[str], str]
SignIn = Callable[..., TestClient]

ROOMS = ["/", "/dashboard", "/dashboard/live", "/items", "/items/item?id=t-01", "/items/image?id=t-01",
         "/export/labels.csv", "/events"]  # fmt: skip
API = ["/api/questions", "/api/status", "/api/why?item=t-01", "/api/items", "/api/item?id=t-01", "/api/export"]
CHANGES = {
    "/api/answers": {"receipt": "receipt-1", "item": "t-01", "label": "owl"},
    "/api/undo": {"receipt": "receipt-1"},
    "/api/flags": {"item": "t-01", "flagged": True},
    "/api/release": {},
}
FORMS = {
    "/items/label": {"id": "t-01", "label": "owl", "receipt": "receipt-1"},
    "/items/flag": {"id": "t-01", "flagged": "true"},
    "/sign-out": {},
}


def try_password(client: TestClient, password: str, proof_in: ProofIn) -> int:
    proof = proof_in(client.get("/sign-in").text)
    return int(client.post("/sign-in", data={"password": password, "proof": proof}).status_code)


# The door --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROOMS)
def test_pages_lead_to_the_door(guest: TestClient, path: str) -> None:
    reply = guest.get(path)
    assert reply.status_code == 303
    assert reply.headers["location"].startswith("/sign-in?next=%2F")


@pytest.mark.parametrize("path", API)
def test_the_api_lets_in_nobody_without_a_session_or_token(guest: TestClient, path: str) -> None:
    assert guest.get(path).status_code == 401


@pytest.mark.parametrize("path", [*CHANGES, *FORMS])
def test_changes_need_a_session(guest: TestClient, project: Project, path: str) -> None:
    reply = guest.post(path, json=CHANGES[path]) if path in CHANGES else guest.post(path, data=FORMS[path])
    assert reply.status_code in (303, 401)
    assert (project.labels, project.flagged) == ({}, ())


def test_a_script_that_was_signed_out_is_led_to_the_door(guest: TestClient) -> None:
    reply = guest.get("/dashboard/live", headers={"hx-request": "true"})
    assert (reply.status_code, reply.headers["hx-redirect"]) == (401, "/sign-in")


def test_signing_in_leads_where_one_wanted_to_go(guest: TestClient, proof_in: ProofIn) -> None:
    page = guest.get("/sign-in?next=/items%3Fstate%3Dfree")
    sent = {"password": PASSWORD, "name": "ann", "proof": proof_in(page.text), "next": "/items?state=free"}
    assert guest.post("/sign-in", data=sent).headers["location"] == "/items?state=free"
    assert guest.get("/sign-in").status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_never_leads_elsewhere(guest: TestClient, elsewhere: str, proof_in: ProofIn) -> None:
    page = guest.get("/sign-in", params={"next": elsewhere})
    sent = {"password": PASSWORD, "proof": proof_in(page.text), "next": elsewhere}
    assert guest.post("/sign-in", data=sent).headers["location"] == "/"


def test_a_wrong_password_is_refused_and_the_name_is_kept(guest: TestClient, proof_in: ProofIn) -> None:
    proof = proof_in(guest.get("/sign-in").text)
    reply = guest.post("/sign-in", data={"password": "wrong", "name": "Zoë <b>", "proof": proof})
    assert reply.status_code == 403
    assert "Zoë &lt;b&gt;" in reply.text
    assert guest.get("/").status_code == 303


def test_after_some_wrong_passwords_even_the_right_one_must_wait(guest: TestClient, proof_in: ProofIn) -> None:
    assert [try_password(guest, f"wrong {k}", proof_in) for k in range(TRIES + 1)] == [403] * TRIES + [429]
    assert try_password(guest, PASSWORD, proof_in) == 429
    proof = proof_in(guest.get("/sign-in").text)
    assert 1 <= int(guest.post("/sign-in", data={"password": "x", "proof": proof}).headers["retry-after"]) <= 60


def test_wrong_passwords_from_everywhere_together_are_bounded(folder: Path) -> None:
    with Project.open(folder) as project:
        sessions = Sessions(project, Settings(project), "secret", Throttle(TRIES, TRIES_OF_ALL, 60.0))
        statuses = []
        for k in range(TRIES_OF_ALL + 1):
            with pytest.raises(RefusedError) as refused:
                sessions.sign_in("wrong", "ann", f"10.0.0.{k}")
            statuses.append(refused.value.status)
    assert statuses == [403] * TRIES_OF_ALL + [429]


def test_the_address_is_that_of_the_connection_whatever_headers_say(guest: TestClient, proof_in: ProofIn) -> None:
    for k in range(TRIES):
        proof = proof_in(guest.get("/sign-in").text)
        guest.post("/sign-in", data={"password": "x", "proof": proof}, headers={"x-forwarded-for": f"10.0.0.{k}"})
    assert try_password(guest, PASSWORD, proof_in) == 429


def test_signing_in_needs_our_own_page(guest: TestClient, proof_in: ProofIn) -> None:
    assert guest.post("/sign-in", data={"password": PASSWORD}).status_code == 403
    other = guest.get("/sign-in").text
    guest.cookies.clear()
    assert guest.post("/sign-in", data={"password": PASSWORD, "proof": proof_in(other)}).status_code == 403


@pytest.mark.parametrize("name", ["x" * 61, "a\nb", "\x1b[2J"])
def test_names_are_short_and_printable(guest: TestClient, name: str, proof_in: ProofIn) -> None:
    proof = proof_in(guest.get("/sign-in").text)
    assert guest.post("/sign-in", data={"password": PASSWORD, "name": name, "proof": proof}).status_code == 422
    assert check_annotator(" Zoë ") == "Zoë"


# Sessions --------------------------------------------------------------------------------------------------------


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(guest: TestClient, proof_in: ProofIn) -> None:
    proof = proof_in(guest.get("/sign-in").text)
    cookies = guest.post("/sign-in", data={"password": PASSWORD, "proof": proof}).headers.get_list("set-cookie")
    (session,) = [cookie for cookie in cookies if "Max-Age=1209600" in cookie]
    assert "HttpOnly" in session
    assert "SameSite=strict" in session
    assert "Path=/" in session


def test_over_tls_cookies_stay_there(visit: Visit, folder: Path) -> None:
    client = visit(folder)
    client.base_url = "https://localhost"
    assert "Secure" in client.get("/sign-in").headers["set-cookie"]


def test_projects_on_one_machine_do_not_share_sessions(
    visit: Visit, sign_in: SignIn, make: Callable[..., Path]
) -> None:
    one, other = sign_in(visit(make("one"))), visit(make("other"))
    other.cookies.update(one.cookies)
    assert other.get("/").status_code == 303


def test_a_forged_changed_or_old_cookie_is_no_session(ann: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ann.app.state.desk.sessions.cookie  # type: ignore[attr-defined]
    real = ann.cookies[name]
    for forged in (real[:-9] + ("A" if real[-9] != "A" else "B") + real[-8:], real[1:], "", "x.y.z", "é"):
        ann.cookies.clear()
        ann.cookies.set(name, forged.encode("ascii", "ignore").decode())
        assert ann.get("/").status_code == 303
    ann.cookies.clear()
    ann.cookies.set(name, real)
    assert ann.get("/").status_code == 200
    later = TimestampSigner.get_timestamp
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: later(self) + DAYS * 86_400 + 60)
    assert ann.get("/").status_code == 303


def test_another_password_ends_all_sessions(ann: TestClient, project: Project) -> None:
    assert ann.get("/").status_code == 200
    project.set("password", hash_password("another password"))
    assert ann.get("/").status_code == 303


def test_a_session_outlives_a_restart(visit: Visit, sign_in: SignIn, folder: Path) -> None:
    before, after = sign_in(visit(folder)), visit(folder)
    after.cookies.update(before.cookies)
    assert after.get("/").status_code == 200


def test_signing_out_ends_the_session_in_this_browser(ann: TestClient) -> None:
    assert ann.post("/sign-out").headers["location"] == "/sign-in"
    assert ann.get("/").status_code == 303


# Proof that our own page asked -----------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", ["", "wrong", "é", None])
@pytest.mark.parametrize("path", [*CHANGES, *FORMS])
def test_changes_without_proof_are_refused(ann: TestClient, project: Project, path: str, proof: str | None) -> None:
    del ann.headers["X-CSRF-Token"]
    headers = {} if proof is None else {"X-CSRF-Token": proof.encode()}
    sent = {"json": CHANGES[path]} if path in CHANGES else {"data": FORMS[path]}
    assert ann.post(path, headers=headers, **sent).status_code == 403  # type: ignore[arg-type]
    assert (project.labels, project.flagged) == ({}, ())


def test_the_proof_of_another_session_is_none(visit: Visit, sign_in: SignIn, folder: Path) -> None:
    ann, bob = sign_in(visit(folder)), sign_in(visit(folder), "bob")
    bob.headers["X-CSRF-Token"] = ann.headers["X-CSRF-Token"]
    assert bob.post("/api/release").status_code == 403


@pytest.mark.parametrize("path", [*CHANGES, *FORMS])
def test_reading_changes_nothing(ann: TestClient, path: str) -> None:
    assert ann.get(path).status_code in (404, 405)


# Programs --------------------------------------------------------------------------------------------------------


def test_a_token_opens_the_api_and_nothing_else(program: TestClient) -> None:
    assert program.get("/api/status").status_code == 200
    assert program.post("/api/release").status_code == 200
    assert program.get("/").status_code == 303


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", hash_token(TOKEN)])
def test_a_wrong_token_opens_nothing(guest: TestClient, token: str) -> None:
    assert guest.get("/api/status", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_without_a_token_set_none_is_right(guest: TestClient, project: Project) -> None:
    project.set("token", None)
    assert guest.get("/api/status", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 401


def test_tokens_are_made_of_256_random_bits_and_kept_as_hashes() -> None:
    (one, kept), (other, _) = make_token(), make_token()
    assert one != other
    assert len(one) >= 43
    assert one not in kept
    assert is_token(one, kept)
    assert not is_token(other, kept)


# Passwords -------------------------------------------------------------------------------------------------------


def test_passwords_are_kept_as_argon2id_with_a_salt() -> None:
    one, other = hash_password("a password"), hash_password("a password")
    assert one.startswith("$argon2id$")
    assert one != other
    assert is_password("a password", one)
    assert not is_password("another one", one)


@pytest.mark.parametrize("kept", ["", "plain", "$argon2id$broken", hash_token("x")])
def test_what_is_no_hash_matches_no_password(kept: str) -> None:
    assert not is_password("plain", kept)


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025])
def test_short_and_endless_passwords_are_refused(password: str) -> None:
    with pytest.raises(ProjectError, match="characters"):
        hash_password(password)
    assert not is_password("x" * 1025, hash_password("a password"))


def test_a_project_without_a_password_is_not_served(folder: Path, project: Project) -> None:
    project.set("password", None)
    with pytest.raises(ProjectError, match="no password"):
        create_app(folder, secret="x" * 32)
