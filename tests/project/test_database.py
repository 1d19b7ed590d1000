import errno
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from asktell.errors import ProjectError
from asktell.project import Project, mounts
from asktell.types import Candidates

NOBODY = 65534
Fork = Callable[[Callable[[], object]], int]


@pytest.fixture
def in_child(fork: Fork, exit_status: Callable[[int], int]) -> Callable[[Callable[[], object]], int]:
    return lambda work: exit_status(fork(work))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, as `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def as_nobody(work: Callable[[], object], message: str) -> Callable[[], None]:
    def checked() -> None:
        if os.getuid() == 0:
            os.setuid(NOBODY)  # root may write anywhere
        with pytest.raises(ProjectError, match=message):
            work()

    return checked


def test_a_folder_that_cannot_be_written(open_folder: Path, in_child: Fork) -> None:
    birds = open_folder / "birds"
    Project.create(birds, ["a"], classes=["owl"]).close()
    for path, mode in ((birds / "project.db", 0o444), (birds, 0o555), (open_folder, 0o555)):
        path.chmod(mode)
    writable = "writable for this user"
    assert in_child(as_nobody(lambda: Project.open(birds), writable)) == 0
    (birds / "project.db").unlink() if os.getuid() == 0 else None
    assert (
        in_child(as_nobody(lambda: Project.create(open_folder / "new", ["a"], classes=["owl"]), "cannot be made")) == 0
    )
    assert in_child(as_nobody(lambda: Project.create(open_folder, ["a"], classes=["owl"]), writable)) == 0
    for path in (birds, open_folder):
        path.chmod(0o755)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "project.db").write_bytes(b"these are not the pages you are looking for" * 100)
    with pytest.raises(ProjectError, match="not an SQLite database"):
        Project.open(tmp_path)
    with pytest.raises(ProjectError, match="not an SQLite database"):
        Project.create(tmp_path, ["a"], classes=["owl"])


def test_a_damaged_database(project: Project) -> None:
    project.add_items([f"{number:06d}" for number in range(5_000)])
    project.close()
    with open(project.path, "r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * (os.path.getsize(project.path) - 9 * 4096))
    with pytest.raises(ProjectError, match=r"damaged.*restore a backup"), Project.open(project.folder) as damaged:
        damaged.candidates()


def test_a_full_disk_changes_nothing(project: Project) -> None:
    def full(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {project.path.stat().st_size // 4096 + 60}")

    project.close()
    event.listen(Engine, "connect", full)
    try:
        with Project.open(project.folder) as small:
            with pytest.raises(ProjectError, match=r"disk is full and nothing was changed; free some space"):
                small.add_items([f"{number:06d}" for number in range(50_000)])
            assert small.candidates() == Candidates(ids=("a", "b", "c", "d", "e", "f"))
            small.tell(["a"], ["owl"], "ann")
    finally:
        event.remove(Engine, "connect", full)


def test_a_lock_that_is_held_for_too_long(project: Project) -> None:
    with Project.open(project.folder, wait=0.05) as hasty, closing(sqlite3.connect(project.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProjectError, match="locked for too long"):
            hasty.tell(["a"], ["owl"], "ann")
        assert len(hasty.candidates().ids) == 6  # reading needs no lock
        other.rollback()
        hasty.tell(["a"], ["owl"], "ann")
        assert hasty.labels == {"a": "owl"}


def test_projects_on_a_network_are_refused(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/export {tmp_path.resolve()} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    with pytest.raises(ProjectError, match=r"network file system \(nfs4\)"):
        Project.open(project.folder)
    with pytest.raises(ProjectError, match=r"network file system \(nfs4\)"):
        Project.create(tmp_path / "new", ["a"], classes=["owl"])
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "there is none")
    Project.open(project.folder).close()


def test_the_deepest_and_newest_mount_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mounts"
    here = tmp_path.resolve()
    table.write_text(
        f"h:/ {here} nfs rw 0 0\nh:/ {here}/b nfs rw 0 0\n/dev/sdb {here}/b ext4 rw 0 0\nx {here}/bb cifs rw 0 0"
    )
    monkeypatch.setattr(mounts, "MOUNTS", table)
    Project.create(tmp_path / "b" / "birds", ["a"], classes=["owl"]).close()
    for folder in ("c", "bb"):
        with pytest.raises(ProjectError, match="network"):
            Project.create(tmp_path / folder, ["a"], classes=["owl"])


def test_a_create_that_is_killed_leaves_nothing_that_opens(tmp_path: Path, in_child: Fork) -> None:
    def die_at_commit() -> None:
        event.listen(Engine, "commit", lambda _connection: os.kill(os.getpid(), 9))
        Project.create(tmp_path, [str(number) for number in range(50_000)], classes=["owl"])

    assert in_child(die_at_commit) == -9
    with pytest.raises(ProjectError, match="not an asktell project"):
        Project.open(tmp_path)
    with Project.create(tmp_path, ["a"], classes=["owl"]) as project:
        assert project.candidates().ids == ("a",)


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_creates_at_once_one_wins(
    tmp_path: Path, fork: Fork, exit_status: Callable[[int], int], attempt: int
) -> None:
    gate, opener = os.pipe()

    def create(name: str) -> None:
        os.close(opener)
        os.read(gate, 1)  # both begin when the parent closes the pipe
        Project.create(tmp_path, [name], classes=["owl"]).close()

    children = {name: fork(partial(create, name)) for name in ("left", "right")}
    os.close(opener)
    os.close(gate)
    statuses = {name: exit_status(child) for name, child in children.items()}
    assert sorted(statuses.values()) == [0, 1]
    with Project.open(tmp_path) as project:
        assert statuses[project.candidates().ids[0]] == 0


def test_the_durable_half_loads_no_torch() -> None:
    code = "import asktell.project, sys; sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_disk_that_is_really_full(open_folder: Path) -> None:
    if os.system(f"mount -t tmpfs -o size=1m none {open_folder} 2>/dev/null"):
        pytest.skip("needs the right to mount")
    try:
        with Project.create(open_folder / "birds", ["a"], classes=["owl"]) as project:
            with pytest.raises(ProjectError, match="disk is full and nothing was changed"):
                project.add_items([f"{number:060d}" for number in range(20_000)])
            assert project.candidates().ids == ("a",)
            project.tell(["a"], ["owl"], "ann")
        with Project.open(open_folder / "birds") as project:
            assert project.labels == {"a": "owl"}
    finally:
        os.system(f"umount {open_folder}")


def test_errno_of_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "birds").write_text("a file")
    with pytest.raises(ProjectError, match=os.strerror(errno.EEXIST)):
        Project.create(tmp_path / "birds", ["a"], classes=["owl"])
