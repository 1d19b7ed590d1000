"""Rows of numbers, read without numpy: the same as with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import DataError
from asktell.web.rows import read_cached, read_row

KINDS = ["<f4", "<f8", ">f4", ">f8", "<f2", "|i1", "|u1", "<i2", ">i4", "<u4", "<i8", ">u8", "|b1"]


@given(
    kind=st.sampled_from(KINDS), n=st.integers(1, 6), d=st.integers(1, 5), order=st.sampled_from("CF"),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0)]), seed=st.integers(0, 100),
)  # fmt: skip
def test_a_row_is_what_numpy_says_it_is(
    tmp_path_factory: pytest.TempPathFactory, kind: str, n: int, d: int, order: str, version: tuple[int, int], seed: int
) -> None:
    file = tmp_path_factory.mktemp("rows") / "x.npy"
    array = np.asarray(np.random.default_rng(seed).integers(0, 100, (n, d)).astype(kind), order=order)  # type: ignore[call-overload]
    with file.open("wb") as opened:
        np.lib.format.write_array(opened, array, version=version)
    for row in range(n):
        assert read_row(file, row) == tuple(array[row].tolist())


@pytest.mark.parametrize("row", [-1, 3, 10**12])
def test_a_row_that_is_not_there(tmp_path: Path, row: int) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(DataError, match="3 rows"):
        read_row(tmp_path / "x.npy", row)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"\x93NUMPY\x01\x00\x05\x00open(", b"PK\x03\x04" + b"x" * 100],
)
def test_what_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match="not a table of numbers"):
        read_row(tmp_path / "x.npy", 0)


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((2, 2, 2)), np.array([["a"]]), np.array([[1j]])])
def test_what_is_no_table_of_numbers_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match="not a table of numbers"):
        read_row(tmp_path / "x.npy", 0)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a table of numbers"):
        read_row(tmp_path / "x.npy", 0)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_row(tmp_path / "x.npy", 0)


def test_rows_that_the_worker_kept(tmp_path: Path) -> None:
    np.arange(6, dtype="<f4").tofile(tmp_path / "features-1.f32")
    (tmp_path / "features-1.json").write_text(json.dumps({"width": 3, "rows": 2}))
    assert read_cached(tmp_path, 2) == (3.0, 4.0, 5.0)
    with pytest.raises(DataError, match="has not read this row yet"):
        read_cached(tmp_path, 3)
    with pytest.raises(DataError, match="has not read this row yet"):
        read_cached(tmp_path / "nowhere", 1)
