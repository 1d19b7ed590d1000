"""Embeddings are computed once: whatever happens in between, the rows are those of an undisturbed run."""

import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import ContentError, DataError
from asktell.pools import embedded
from asktell.pools.embedded import CHUNK, Embedded
from asktell.pools.protocols import Embedder, Embeddings
from asktell.rows import FileRows, Rows

IDS = [f"id {number}" for number in range(1, 701)]
VALUES = [f"text {number}" for number in range(1, 701)]


class Hashes:
    """Numbers out of a text's sha256. Texts that begin with "bad" cannot be read, "gone" means that none can."""

    name = "hashes"

    def __init__(self, width: int = 8) -> None:
        self.width = width
        self.seen: list[int] = []

    def embed(self, values: Sequence[str], /) -> Embeddings:
        self.seen.append(len(values))
        return np.stack([self.row(value) for value in values])

    def row(self, value: str) -> np.ndarray:
        if value.startswith("bad"):
            raise ContentError(value, f"{value} is bad")
        if value == "gone":
            raise DataError("all is gone")
        digest = hashlib.shake_256(value.encode()).digest(2 * self.width)
        return np.frombuffer(digest, np.uint16).astype(np.float32)


def expected(values: Sequence[str]) -> torch.Tensor:
    return torch.from_numpy(np.stack([Hashes().row(value) for value in values]))


def test_every_item_gets_the_row_of_its_number(tmp_path: Path) -> None:
    embedder, told = Hashes(), list[tuple[int, int]]()
    assert isinstance(embedder, Embedder)
    kept = Embedded(tmp_path / "embeddings", embedder)
    assert len(kept) == 0
    assert kept.rows()[0:9].shape == (0, 8)
    kept.extend(IDS[:600], VALUES[:600], lambda done, of: told.append((done, of)))
    kept.extend(IDS[600:], VALUES[600:])
    kept.extend([], [])
    assert embedder.seen == [256, 256, 88, 100]
    assert told == [(256, 600), (512, 600), (600, 600)]
    for again in (kept, Embedded(tmp_path / "embeddings", Hashes())):
        rows = again.rows()
        assert isinstance(rows, FileRows)
        assert (len(again), again.failed) == (700, {})
        assert torch.equal(rows[0:700], expected(VALUES))
    assert sorted(path.name for path in (tmp_path / "embeddings").iterdir()) == ["hashes.f32", "hashes.json"]
    assert json.loads((tmp_path / "embeddings" / "hashes.json").read_text()) == {
        "name": "hashes", "width": 8, "rows": 700, "failed": {},
    }  # fmt: skip
    assert (tmp_path / "embeddings" / "hashes.f32").read_bytes() == expected(VALUES).numpy().astype("<f4").tobytes()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    made = Embedded(tmp_path_factory.mktemp("embeddings"), Hashes())
    made.extend(IDS[:40], VALUES[:40])
    return made


@given(numbers=st.lists(st.integers(1, 40), max_size=30), start=st.integers(0, 30), stop=st.integers(0, 30))
def test_chosen_rows_come_in_any_order(kept: Embedded, numbers: list[int], start: int, stop: int) -> None:
    rows, whole = kept.rows(numbers), expected(VALUES[:40])[[number - 1 for number in numbers]]
    assert isinstance(rows, Rows)
    assert len(rows) == len(numbers)
    assert torch.equal(rows[start:stop], whole[start:stop])
    some = torch.arange(len(numbers))[start:stop]
    assert torch.equal(rows.take(some), whole[some])


@pytest.mark.parametrize("number", [0, -1, 41])
def test_a_number_without_a_row_is_named(kept: Embedded, number: int) -> None:
    with pytest.raises(DataError, match=f"item number {number} is not among the 40"):
        kept.rows([3, number])


def test_an_item_that_cannot_be_read_gets_a_zero_row_and_a_reason(tmp_path: Path) -> None:
    kept = Embedded(tmp_path, Hashes())
    values = [*VALUES[:9], "bad 1", *VALUES[9:299], "bad 2"]
    kept.extend(IDS[:301], values)
    for again in (kept, Embedded(tmp_path, Hashes())):
        assert again.failed == {"id 10": "bad 1 is bad", "id 301": "bad 2 is bad"}
        rows = again.rows()[0:301]
        assert rows[[9, 300]].abs().sum() == 0
        assert torch.equal(rows[:9], expected(VALUES[:9]))
        assert torch.equal(rows[10:300], expected(VALUES[9:299]))


def test_an_embedding_that_is_not_finite_counts_as_failed(tmp_path: Path) -> None:
    class Broken(Hashes):
        def row(self, value: str) -> np.ndarray:
            return super().row(value) * (np.nan if value == "text 2" else 1)

    kept = Embedded(tmp_path, Broken())
    kept.extend(IDS[:3], VALUES[:3])
    assert kept.failed == {"id 2": "its embedding is not finite"}
    assert torch.equal(kept.rows([1, 3])[0:2], expected([VALUES[0], VALUES[2]]))


def test_when_nothing_can_be_read_nothing_is_counted_as_failed(tmp_path: Path) -> None:
    kept = Embedded(tmp_path, Hashes())
    with pytest.raises(DataError, match="all is gone"):
        kept.extend(IDS[:300], [*VALUES[:299], "gone"])
    assert (len(kept), len(Embedded(tmp_path, Hashes())), kept.failed) == (CHUNK, CHUNK, {})


def test_a_full_disk_keeps_what_was_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Embedded(tmp_path, Hashes())
    kept.extend(IDS[:10], VALUES[:10])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for module, name in ((os, "pwrite"), (os, "fsync"), (embedded, "write_whole")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
                kept.extend(IDS[10:20], ["bad", *VALUES[11:20]])
        for again in (kept, Embedded(tmp_path, Hashes())):
            assert (len(again), again.failed) == (10, {})
            assert torch.equal(again.rows()[0:10], expected(VALUES[:10]))
    kept.extend(IDS[10:20], VALUES[10:20])
    assert torch.equal(Embedded(tmp_path, Hashes()).rows()[0:20], expected(VALUES[:20]))
    assert kept.failed == {}


def test_what_a_crash_left_behind_the_count_is_written_again(tmp_path: Path) -> None:
    kept = Embedded(tmp_path, Hashes())
    kept.extend(IDS[:10], VALUES[:10])
    with kept.path.open("ab") as file:
        file.write(b"x" * 1001)
    again = Embedded(tmp_path, Hashes())
    again.extend(IDS[10:12], VALUES[10:12])
    assert kept.path.read_bytes() == expected(VALUES[:12]).numpy().tobytes()
    (tmp_path / "hashes.json").unlink()
    anew = Embedded(tmp_path, Hashes())
    anew.extend(IDS[:1], VALUES[:1])
    assert kept.path.read_bytes() == expected(VALUES[:1]).numpy().tobytes()


def test_damage_is_named_with_the_way_out(tmp_path: Path) -> None:
    kept = Embedded(tmp_path, Hashes())
    kept.extend(IDS[:10], VALUES[:10])
    state = tmp_path / "hashes.json"
    whole = state.read_bytes()
    with pytest.raises(
        DataError, match=r"rows of 8 numbers from hashes, not of 9 .* delete hashes.f32 and hashes.json"
    ):
        Embedded(tmp_path, Hashes(9))
    for content in (b"", b"[]", b"{}", whole[:20]):
        state.write_bytes(content)
        with pytest.raises(DataError, match=r"hashes.json cannot be read .*made again"):
            Embedded(tmp_path, Hashes())
    state.write_bytes(whole)
    os.truncate(kept.path, 319)
    with pytest.raises(DataError, match="319 bytes where 10 rows were counted"):
        Embedded(tmp_path, Hashes())
    kept.path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        Embedded(tmp_path, Hashes())


def test_rows_of_another_shape_and_lists_that_do_not_match(tmp_path: Path) -> None:
    class Narrow(Hashes):
        def embed(self, values: Sequence[str], /) -> Embeddings:
            return super().embed(values)[:, 1:]

    with pytest.raises(DataError, match=r"gave rows of shape \[2, 7\] for 2 items, not \[2, 8\]"):
        Embedded(tmp_path, Narrow()).extend(IDS[:2], VALUES[:2])
    with pytest.raises(DataError, match="2 ids and 1 values"):
        Embedded(tmp_path, Hashes()).extend(IDS[:2], VALUES[:1])


# Real kills --------------------------------------------------------------------------------------------------------

ITEMS = 8_000
KILLS = 20


written = mmap.mmap(-1, 1)
"""Chunks that a child has written, shared with it."""


def extend(folder: Path) -> None:
    """As a worker does: go on where the files end, some at a time."""

    def count(*_: int) -> None:
        written[0] = (written[0] + 1) % 256

    kept = Embedded(folder, Hashes(64))
    while len(kept) < ITEMS:
        done = len(kept)
        numbers = range(done + 1, min(done + 1000, ITEMS) + 1)
        kept.extend([f"id {number}" for number in numbers], [_value(number) for number in numbers], count)


def _value(number: int) -> str:
    return "bad" if number % 1111 == 0 else f"text {number}"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_at_any_moment_it_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    chance, kills, counts, folder = random.Random(0), 0, set[int](), tmp_path / "killed"
    extend(tmp_path / "calm")
    finished = False
    while not finished:
        written[0] = 0
        child = os.fork()
        if child == 0:
            try:
                extend(folder)
                os._exit(0)
            finally:
                os._exit(1)
        if kills < KILLS:
            wait_for_chunks(chance.randrange(3), child)
            time.sleep(chance.uniform(0.0, 0.01))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL)
        kills += status == -signal.SIGKILL
        counts.add(check(folder))
        if status == 0:
            assert contents(folder) == contents(tmp_path / "calm")
            finished = kills >= KILLS
            shutil.rmtree(folder)
    assert len(counts) >= KILLS // 3, "the kills met no work"


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("hashes.f32", "hashes.json")]


def wait_for_chunks(count: int, child: int) -> None:
    """Until the child has written so many, or all that were left."""
    while written[0] < count and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.0005)


def check(folder: Path) -> int:
    """How many rows count; each is what it should be, and so are the failures."""
    kept = Embedded(folder, Hashes(64))
    count = len(kept)
    assert np.array_equal(kept.rows()[0:count].numpy(), undisturbed()[:count])
    assert list(kept.failed) == [f"id {number}" for number in range(1, count + 1) if _value(number) == "bad"]
    return count


@cache
def undisturbed() -> np.ndarray:
    values, embedder = map(_value, range(1, ITEMS + 1)), Hashes(64)
    return np.stack([np.zeros(64) if value == "bad" else embedder.row(value) for value in values])
