"""The server as a process: how it starts, what it leaves, how it stops."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asktell.errors import ProjectError
from asktell.web.server import SECRET, _bound, address, is_loopback, secret, serve

CODE = "import sys; from asktell.web import serve; serve(sys.argv[1], port=0, ready=lambda at: print(at, flush=True))"
TOKEN = "a token of the tests"  # as in conftest


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def opened(address_: str, path: str) -> object:
    request = urllib.request.Request(address_ + path, headers={"Authorization": f"Bearer {TOKEN}"})
    return urllib.request.urlopen(request, timeout=20)


def test_it_serves_until_told_to_stop_and_open_streams_do_not_hold_it(
    served: tuple[subprocess.Popen[str], str], folder: Path
) -> None:
    process, at = served
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", at)
    with opened(at, "/api/status") as reply:  # type: ignore[attr-defined]
        assert reply.status == 200
    stream = _stream(at, folder)
    assert stream.recv(4096).startswith(b"HTTP/1.1 200")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    stream.close()
    assert not (folder / "project.db-wal").exists()


def test_replies_do_not_wait_for_acknowledgements() -> None:
    with _bound("127.0.0.1", 0) as bound, socket.create_connection(bound.getsockname()) as _client:
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_stops_by_ctrl_c(served: tuple[subprocess.Popen[str], str]) -> None:
    process, _ = served
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_it_says_nothing_about_itself_and_answers_no_other_host(served: tuple[subprocess.Popen[str], str]) -> None:
    _, at = served
    with urllib.request.urlopen(f"{at}/sign-in", timeout=20) as reply:
        assert "server" not in reply.headers
    request = urllib.request.Request(f"{at}/sign-in", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=20)


def _stream(at: str, folder: Path) -> socket.socket:
    """A page that listens for news: signed in as the server itself would."""
    from asktell.project import Project
    from asktell.web.desk import Desk

    desk = Desk(folder, secret(folder))
    with Project.open(folder) as project:
        kept = str(project.settings["password"])
    from asktell.web.sessions import _mark

    cookie = desk.sessions._signer.dumps({"annotator": "ann", "session": "s", "password": _mark(kept)})
    name = desk.sessions.cookie
    desk.close()
    host, port = at.removeprefix("http://").split(":")
    connected = socket.create_connection((host, int(port)), timeout=20)
    connected.sendall(f"GET /events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {name}={cookie}\r\n\r\n".encode())
    return connected


def test_the_secret_is_made_once_and_is_its_owners(folder: Path) -> None:
    made = secret(folder)
    assert (len(made), secret(folder)) == (64, made)
    assert stat.S_IMODE((folder / SECRET).stat().st_mode) == 0o600
    assert [file.name for file in folder.iterdir() if "partial" in file.name] == []


def test_servers_that_start_at_once_share_one_secret(folder: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(secret(folder))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1


def test_a_secret_that_is_too_short_is_refused(folder: Path) -> None:
    (folder / SECRET).write_text("short")
    with pytest.raises(ProjectError, match="too short"):
        secret(folder)


def test_a_folder_that_cannot_be_written_is_said(folder: Path) -> None:
    folder.chmod(0o500)
    assert as_nobody(lambda: secret(folder)) == "make room, and the folder writable for this user"
    folder.chmod(0o700)


def as_nobody(work: Callable[[], object]) -> str:
    """The last words of the `ProjectError` that it raises in a process of a user who is not root, who may all."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            work()
        except ProjectError as error:
            os.write(writing, str(error).rpartition("; ")[2].encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as told:
        return told.read()


def test_a_port_that_is_taken_is_said(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ProjectError, match="cannot be bound"):
        serve(folder, port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False), ("", False),
     ("::", False), ("192.168.1.5", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_the_address_can_be_typed() -> None:
    assert [address(host, 80) for host in ("127.0.0.1", "0.0.0.0", "::1", "::")] == [
        "http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80", "http://localhost:80"
    ]  # fmt: skip
