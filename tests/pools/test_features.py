"""Features from files: the same rows whichever way they are stored, and clear words about the others."""

import hashlib
import os
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import ContentError, DataError
from asktell.pools import features
from asktell.pools.features import Features
from asktell.pools.protocols import Embedder
from asktell.pools.sources import read_features

pa = import_module("pyarrow")
pq = import_module("pyarrow.parquet")

ROWS = np.random.default_rng(0).normal(size=(7, 3))
ROWS[4] = ROWS[1]
NAMES = ["a", "b", "c", "d", "e", "f", "g"]


def stored(folder: Path, how: str, rows: np.ndarray = ROWS) -> Path:
    """The rows in one of the ways to store them."""
    file = folder / f"birds.{'npy' if how in ('float64', 'float32', 'columns', 'big-endian') else 'parquet'}"
    kinds = ["owl", "", None, "x"] * 10
    beside = {"name": [f"{NAMES[row % 7]}{row // 7 or ''}" for row in range(len(rows))], "kind": kinds[: len(rows)]}
    if how == "numbers":
        pq.write_table(pa.table({**beside, **{f"x{axis}": rows[:, axis] for axis in range(3)}}), file)
    elif how in ("lists", "fixed"):
        kind = pa.list_(pa.float64(), -1 if how == "lists" else 3)
        pq.write_table(pa.table({**beside, "x": pa.array(list(rows), kind)}), file, row_group_size=4)
    else:
        dtype = {"float32": "<f4", "big-endian": ">f8"}.get(how, "<f8")
        np.save(file, rows.astype(dtype, order="F" if how == "columns" else "C"))
    return file


@pytest.mark.parametrize("how", ["float64", "float32", "columns", "big-endian", "numbers", "lists", "fixed"])
def test_every_way_of_storing_gives_the_same(how: str, tmp_path: Path) -> None:
    table = how in ("numbers", "lists", "fixed")
    columns = {"id": "name", "label": "kind"} if table else {}
    file = stored(tmp_path, how)
    found = read_features(file, **columns)
    assert found.ids == (NAMES if table else [f"birds-{row}" for row in range(1, 8)])
    assert found.values == ["1", "2", "3", "4", "5", "6", "7"]
    assert found.digests == [hashlib.sha256(row.astype("<f4").tobytes()).hexdigest() for row in ROWS]
    assert found.labels == (["owl", None, None, "x", "owl", None, None] if table else [None] * 7)
    assert found.duplicates() == [(found.ids[4], found.ids[1])]
    embedder = Features(file, **columns)
    assert isinstance(embedder, Embedder)
    assert embedder.width == 3
    assert np.array_equal(embedder.embed(found.values), ROWS.astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@given(numbers=st.lists(st.integers(1, 40), max_size=20))
def test_rows_come_by_number_in_any_order(folder: Path, numbers: list[int]) -> None:
    rows = np.arange(120.0).reshape(40, 3)
    for how in ("float64", "lists"):
        file = folder / f"birds.{'npy' if how == 'float64' else 'parquet'}"
        columns = {"id": "name", "label": "kind"} if how == "lists" else {}
        found = Features(file if file.exists() else stored(folder, how, rows), **columns).embed(list(map(str, numbers)))
        assert np.array_equal(found, rows[[number - 1 for number in numbers]].astype(np.float32).reshape(-1, 3))


def test_rows_of_a_table_that_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_BLOCK", 2)
    embedder = Features(stored(tmp_path, "lists"), id="name", label="kind")
    for numbers in ([1, 2, 3], [4, 7], [2], [7], [7, 1, 4]):
        assert np.array_equal(
            embedder.embed(list(map(str, numbers))), ROWS[[number - 1 for number in numbers]].astype(np.float32)
        )
    assert len(read_features(stored(tmp_path, "float64"))) == 7


def test_rows_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[1, 2], rows[3, 0], rows[5, 1] = np.nan, np.inf, 1e300
    left_out = [(f"row {row}", "is not 3 finite numbers in float32") for row in (2, 4, 6)]
    for how in ("float64", "numbers", "lists"):
        columns = {} if how == "float64" else {"id": "name", "label": "kind"}
        file = stored(tmp_path, how, rows)
        found = read_features(file, **columns)
        assert found.values == ["1", "3", "5", "7"]
        assert found.left_out == left_out
        with pytest.raises(ContentError, match="row 4: is not 3 finite numbers"):
            Features(file, **columns).embed(["1", "4"])


def test_empty_fields_and_short_lists_are_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, None, 3], "y": [True, True, False]}), tmp_path / "a.parquet")
    found = read_features(tmp_path / "a.parquet")
    assert (found.values, found.left_out) == (["1", "3"], [("row 2", "is not 2 finite numbers in float32")])
    lists = pa.array([None, [1.0, 2.0], [3.0], [4.0, None], [5.0, 6.0]], pa.large_list(pa.float32()))
    pq.write_table(pa.table({"x": lists}), tmp_path / "a.parquet")
    found = read_features(tmp_path / "a.parquet")
    assert found.values == ["2", "5"]
    assert np.array_equal(Features(tmp_path / "a.parquet").embed(["5", "2"]), [[5, 6], [1, 2]])


def test_whole_numbers_and_decimals_are_features_too(tmp_path: Path) -> None:
    table = pa.table(
        {"a": pa.array([1, 2], pa.uint8()), "b": pa.array([2**40, 3]), "c": pa.array([1, 2], pa.decimal128(5, 2))}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert np.array_equal(Features(tmp_path / "a.parquet").embed(["1", "2"]), [[1, 2**40, 1], [2, 3, 2]])
    np.save(tmp_path / "a.npy", np.array([[1, 2], [3, 4]], np.int16))
    assert np.array_equal(Features(tmp_path / "a.npy").embed(["2"]), [[3, 4]])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"x": [1.0], "y": ["a"]}, r"has x \(double\), y \(string\) besides"),
        ({"x": [[1.0]], "y": [1.0]}, "numeric columns, or one column of lists"),
        ({"x": [[1.0]], "y": [[1.0]]}, "numeric columns, or one column of lists"),
        ({"x": [["a"]]}, "one column of lists of numbers"),
        ({"x": [{"a": 1}]}, "numeric columns"),
        ({"x": pa.array([], pa.float32())}, "0 rows of 1 numbers"),
        ({"x": pa.array([[]], pa.list_(pa.float32()))}, "1 rows of 0 numbers"),
        ({"x": pa.array([None], pa.list_(pa.float32()))}, "1 rows of 0 numbers"),
    ],
)
def test_tables_of_anything_else_are_refused(table: dict[str, object], reason: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=reason):
        read_features(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros((2, 2, 2)),
        np.zeros((2, 2), complex),
        np.array([["a"]]),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
    ],
)
def test_arrays_of_anything_else_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"a\.npy"):
        read_features(tmp_path / "a.npy")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"no readable \.npy of numbers"):
        read_features(tmp_path / "a.npy")


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    for how in ("float64", "numbers"):
        file = stored(tmp_path, how)
        whole = file.read_bytes()
        for content in (b"", whole[: len(whole) // 2], b"text"):
            file.write_bytes(content)
            with pytest.raises(DataError, match="birds"):
                read_features(file)
        file.unlink()
        with pytest.raises(DataError, match="there is no file"):
            Features(file)
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match=r"must end in \.npy or \.parquet"):
        read_features(tmp_path / "a.csv")
    with pytest.raises(DataError, match="has no columns, so no 'name'"):
        read_features(stored(tmp_path, "float64"), id="name")
    with pytest.raises(DataError, match="column 'nom' is nowhere among 'name', 'kind', 'x'"):
        Features(stored(tmp_path, "lists"), id="nom")


def test_a_value_that_is_no_row_fails_alone(tmp_path: Path) -> None:
    embedder = Features(stored(tmp_path, "float64"))
    for value in ("0", "8", "-1", "1.0", "", "x", "²"):
        with pytest.raises(ContentError, match="not among the 7 rows"):
            embedder.embed(["1", value])


def test_the_name_tells_one_file_from_another(tmp_path: Path) -> None:
    file = stored(tmp_path, "float64")
    embedder = Features(file)
    assert embedder.name == Features(file).name
    os.utime(file, ns=(1, 1))
    assert embedder.name != Features(file).name
    with pytest.raises(DataError, match="changed while it was read") as caught:
        embedder.embed(["1"])
    assert not isinstance(caught.value, ContentError)
    file.unlink()
    with pytest.raises(DataError, match="is gone"):
        embedder.embed(["1"])
