"""Files written whole or not at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asktell.writing import write_whole


def test_it_makes_a_file_and_replaces_one(tmp_path: Path) -> None:
    file = tmp_path / "Größe.json"
    for content in (b"old", b"", b"new\x00"):
        write_whole(file, content)
        assert file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state"
    write_whole(file, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    write_whole(link, b"through")
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"through"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_whole(pipe, b"along")
    assert reader.communicate(timeout=20)[0] == b"along"
    assert pipe.is_fifo()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "file", b"x")


WRITER = """
import sys
from pathlib import Path
from asktell.writing import write_whole
for number in range(40):
    write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 5000)
"""


def test_two_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "shared"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if file.exists():
            seen.add(file.read_bytes())
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {b"a" * 5000, b"b" * 5000}
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]
