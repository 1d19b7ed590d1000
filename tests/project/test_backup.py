import threading
from pathlib import Path

import pytest

from asktell.errors import ProjectError
from asktell.project import Project


def test_a_backup_is_a_project(project: Project, tmp_path: Path) -> None:
    project.tell(["a"], ["owl"], "ann")
    project.backup(tmp_path / "vögel.db")
    project.tell(["b"], ["wren"], "ann")
    with Project.open(tmp_path / "vögel.db") as copy:
        assert copy.labels == {"a": "owl"}
        copy.tell(["c"], ["hawk"], "ann")
    assert project.labels == {"a": "owl", "b": "wren"}


def test_a_backup_is_one_file_and_overwrites_nothing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    project.backup(tmp_path / "copies" / "a.db")
    before = (tmp_path / "copies" / "a.db").read_bytes()
    project.tell(["a"], ["owl"], "ann")
    with pytest.raises(ProjectError, match="overwrites nothing"):
        project.backup(tmp_path / "copies" / "a.db")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["a.db"]
    assert (tmp_path / "copies" / "a.db").read_bytes() == before


def test_a_backup_that_cannot_be_written(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be written"):
        project.backup(tmp_path / "nowhere" / "a.db")


def test_a_damaged_project_gives_no_backup(project: Project, tmp_path: Path) -> None:
    project.add_items([f"{number:06d}" for number in range(5_000)])
    project.close()
    with open(project.path, "r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 4096)
    with (
        Project.open(project.folder) as damaged,
        pytest.raises(ProjectError, match=r"restore an older backup|the backup failed"),
    ):
        damaged.backup(tmp_path / "a.db")
    assert not (tmp_path / "a.db").exists()


def test_a_backup_while_others_write_is_consistent(tmp_path: Path) -> None:
    ids = [str(number) for number in range(300)]
    with Project.create(tmp_path / "birds", ids, classes=["owl", "wren"]) as project:

        def write() -> None:
            for first, second in zip(ids[::2], ids[1::2], strict=True):
                project.tell([first, second], ["owl", "wren"], "ann")

        writer = threading.Thread(target=write)
        writer.start()
        project.backup(tmp_path / "a.db")
        writer.join()
        with Project.open(tmp_path / "a.db") as copy:
            told = list(copy.labels)
            assert len(told) % 2 == 0
            assert told == ids[: len(told)]
