"""Rows in files: the same rows as in memory, and clear words for files that are not what they seem."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell.errors import EvidenceError
from asktell.rows import FileRows, Reading, Rows, file_rows, plan, score, tile_rows
from asktell.rows.budget import MAX_BLOCK_BYTES, free_memory


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool])
def test_a_npy_file_gives_the_rows_it_was_made_of(dtype: torch.dtype, tmp_path: Path) -> None:
    array = (numbers(30, 4, 3) * 9).to(dtype)
    np.save(tmp_path / "Größe.npy", array.numpy())
    rows = file_rows(tmp_path / "Größe.npy")
    assert isinstance(rows, Rows)
    assert len(rows) == 30
    assert torch.equal(rows[0:30], array)
    assert torch.equal(rows[28:99], array[28:])
    assert rows[7:3].shape == (0, 4, 3)
    assert rows[0:1].dtype == dtype


@given(st.sets(st.integers(0, 49)))
def test_take_gives_the_rows_that_are_named(wanted: set[int]) -> None:
    array = numbers(50, 3)
    file = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"asktell-{id(array)}.npy"
    try:
        np.save(file, array.numpy())
        indices = torch.tensor(sorted(wanted), dtype=torch.int64)
        assert torch.equal(file_rows(file).take(indices), array[indices])
    finally:
        file.unlink(missing_ok=True)


def test_safetensors_and_raw_files_too(tmp_path: Path) -> None:
    features, others = numbers(20, 5).bfloat16(), torch.arange(6)
    safetensors.torch.save_file({"features": features, "others": others}, tmp_path / "a.safetensors")
    assert torch.equal(file_rows(tmp_path / "a.safetensors", name="features")[0:20], features)
    assert torch.equal(file_rows(tmp_path / "a.safetensors", name="others")[2:4], others[2:4])
    safetensors.torch.save_file({"only": others}, tmp_path / "one.safetensors")
    assert len(file_rows(tmp_path / "one.safetensors")) == 6
    (tmp_path / "raw.bin").write_bytes(features.float().numpy().tobytes())
    for shape in ((20, 5), (-1, 5)):
        assert torch.equal(file_rows(tmp_path / "raw.bin", dtype=torch.float32, shape=shape)[0:20], features.float())


def test_scores_of_a_file_do_not_depend_on_the_budget(tmp_path: Path) -> None:
    array = numbers(5_000, 16)
    np.save(tmp_path / "x.npy", array.numpy())
    tile = 8 * tile_rows((16,)) * 16
    for memory in (tile, 3 * tile, 10**9):
        assert torch.equal(
            score(lambda x: x.double()[:, 0], file_rows(tmp_path / "x.npy"), memory=memory), array[:, 0].double()
        )


def test_a_block_is_read_into_the_place_of_the_one_before(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbers(4_096, 2).numpy())
    reading = Reading(file_rows(tmp_path / "x.npy"), memory=8 * 1024 * 2)
    places = {tile.data_ptr() for _, tile in reading.tiles()}
    assert len(places) == 1


def test_reading_counts_passes_and_rows_and_takes_in_any_order(tmp_path: Path) -> None:
    array = numbers(3_000, 2)
    np.save(tmp_path / "x.npy", array.numpy())
    reading = Reading(file_rows(tmp_path / "x.npy"))
    for _ in range(2):
        assert torch.equal(torch.cat([tile.clone() for _, tile in reading.tiles()]), array)
    indices = torch.tensor([2_999, 0, 17, 18, 3])
    assert torch.equal(reading.take(indices), array[indices])
    assert (reading.passes, reading.rows_read) == (2, 6_005)


@given(n=st.integers(1, 10**7), d=st.integers(1, 5_000), memory=st.integers(1, 10**9), state=st.integers(0, 10**7))
def test_a_plan_stays_within_its_budget_or_says_what_would_do(n: int, d: int, memory: int, state: int) -> None:
    try:
        planned = plan(n, (d,), memory, state=state)
    except EvidenceError as error:
        least = int(str(error).split("smallest budget that does is ")[1].split()[0])
        assert least > memory
        planned = plan(n, (d,), least, state=state)
        assert planned.tiles == 1
        memory = least
    assert planned.peak <= memory
    assert planned.tile == tile_rows((d,))
    assert planned.tiles >= 1
    assert planned.peak - state <= MAX_BLOCK_BYTES
    assert f"{n:,} rows of {d} numbers" in str(planned)


def test_without_a_budget_a_part_of_what_is_free_is_used() -> None:
    assert 0 < plan(10, (2,)).budget <= free_memory()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def header(tmp_path: Path, array: np.ndarray) -> bytes:
    np.save(tmp_path / "whole.npy", array)
    return (tmp_path / "whole.npy").read_bytes()


def test_files_that_are_not_what_they_seem_are_named(tmp_path: Path) -> None:
    whole = header(tmp_path, numbers(10, 4).numpy())
    with pytest.raises(EvidenceError, match=r"cut\.npy has .* it was cut off"):
        file_rows(write(tmp_path / "cut.npy", whole[:-1]))
    with pytest.raises(EvidenceError, match=r"no \.npy of numbers"):
        file_rows(write(tmp_path / "text.npy", b"id,x\n1,2\n"))
    with pytest.raises(EvidenceError, match=r"no \.npy of numbers"):
        file_rows(write(tmp_path / "empty.npy", b""))
    with pytest.raises(EvidenceError, match="byte order"):
        file_rows(write(tmp_path / "big.npy", header(tmp_path, numbers(3, 2).numpy().astype(">f4"))))
    with pytest.raises(EvidenceError, match="byte order"):
        file_rows(write(tmp_path / "objects.npy", header(tmp_path, np.array([{}], dtype=object))))
    with pytest.raises(EvidenceError, match="column by column"):
        file_rows(write(tmp_path / "f.npy", header(tmp_path, np.asfortranarray(numbers(3, 2).numpy()))))
    with pytest.raises(EvidenceError, match="a single number"):
        file_rows(write(tmp_path / "one.npy", header(tmp_path, np.array(1.0))))
    with pytest.raises(EvidenceError, match="No such file"):
        file_rows(tmp_path / "none.npy")
    with pytest.raises(EvidenceError, match=r"no readable \.safetensors"):
        file_rows(write(tmp_path / "a.safetensors", b"\x05\x00\x00\x00\x00\x00\x00\x00hello"))
    with pytest.raises(EvidenceError, match="pass dtype= and shape="):
        file_rows(write(tmp_path / "raw.bin", b"1234"))
    with pytest.raises(EvidenceError, match="has 4 bytes, not the 8"):
        file_rows(tmp_path / "raw.bin", dtype=torch.float32, shape=(2,))
    safetensors.torch.save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path / "two.safetensors")
    with pytest.raises(EvidenceError, match="holds a, b; say which"):
        file_rows(tmp_path / "two.safetensors")
    with pytest.raises(EvidenceError, match="not in steps of 2"):
        file_rows(write(tmp_path / "steps.npy", whole))[::2]


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbers(1_000, 4).numpy())
    rows = file_rows(tmp_path / "x.npy")
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(rows.path.stat().st_size - 16 * 500)
    assert len(rows[0:500]) == 500
    with pytest.raises(EvidenceError, match="ends in row 500"):
        rows[0:1_000]


def test_a_file_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbers(10, 2).numpy())
    (tmp_path / "x.npy").chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert len(file_rows(tmp_path / "x.npy")[0:10]) == 10
    finally:
        tmp_path.chmod(0o700)


def test_two_readers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    array = numbers(100, 2)
    np.save(tmp_path / "x.npy", array.numpy())
    rows = file_rows(tmp_path / "x.npy")
    first = rows[0:10]
    assert torch.equal(rows[50:60], array[50:60])
    assert torch.equal(first, array[0:10])


GROWTH = """
import sys
from pathlib import Path
import torch
from asktell.rows import FileRows, score
def resident(name):  # ru_maxrss would begin with what the parent held
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
rows = FileRows(sys.argv[1], torch.float32, (50_000, 512))
total = score(lambda tile: tile.double().sum(1), rows, memory=20_000_000).sum()
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_a_pass_over_a_file_holds_no_more_than_its_budget(tmp_path: Path) -> None:
    file = tmp_path / "zeros.bin"
    with file.open("wb") as stream:
        stream.truncate(50_000 * 512 * 4)
    done = subprocess.run([sys.executable, "-c", GROWTH, str(file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 64 * 2**20
    assert isinstance(file_rows(file, dtype=torch.float32, shape=(-1, 512)), FileRows)
