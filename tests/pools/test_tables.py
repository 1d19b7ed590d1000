"""Texts from tables: every row is found or left out with its reason, whatever stands in it."""

import csv
import hashlib
import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import DataError
from asktell.pools import tables
from asktell.pools.found import Found
from asktell.pools.sources import read_table

pa = import_module("pyarrow")
pq = import_module("pyarrow.parquet")

ROWS: list[dict[str, Any]] = [
    {"name": "a", "said": "two\nlines, and a comma", "kind": "owl"},
    {"name": "b", "said": '"quoted", she said', "kind": ""},
    {"name": "c", "said": "Zaunkönig 🦉", "kind": "wren"},
    {"name": "d", "said": "  \n", "kind": "wren"},
    {"name": "e", "said": "", "kind": "wren"},
    {"name": "f", "said": "Zaunkönig 🦉", "kind": "3"},
]


def written(folder: Path, ending: str, rows: list[dict[str, Any]]) -> Path:
    file = folder / f"birds{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif ending == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    else:
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), delimiter="," if ending == ".csv" else "\t")
        table.writeheader()
        table.writerows(rows)
        file.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    return file


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_kind_of_table_gives_the_same(ending: str, tmp_path: Path) -> None:
    found = read_table(written(tmp_path, ending, ROWS), text="said", id="name", label="kind")
    texts = ["two\nlines, and a comma", '"quoted", she said', "Zaunkönig 🦉", "Zaunkönig 🦉"]
    assert found == Found(
        ids=["a", "b", "c", "f"],
        values=texts,
        digests=[hashlib.sha256(text.encode()).hexdigest() for text in texts],
        labels=["owl", None, "wren", "3"],
        left_out=[("row 4", "no text"), ("row 5", "no text")],
    )
    assert found.duplicates() == [("f", "c")]
    assert len(found) == 4


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_without_an_id_column_the_number_of_the_row_is_the_id(ending: str, tmp_path: Path) -> None:
    found = read_table(written(tmp_path, ending, ROWS), text="said")
    assert found.ids == ["birds-1", "birds-2", "birds-3", "birds-6"]
    assert found.labels == [None] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row[1],
    ),
    ending=st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]),
)
def test_texts_come_out_as_they_went_in(folder: Path, rows: list[tuple[str, str]], ending: str) -> None:
    file = folder / f"drawn{ending}"
    table = [{"text": text, "id": id_.replace("\0", "0") + str(row)} for row, (text, id_) in enumerate(rows)]
    if ending in (".csv", ".tsv"):
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="," if ending == ".csv" else "\t", quoting=csv.QUOTE_ALL)
        writer.writerows([["text", "id"], *([row["text"], row["id"]] for row in table)])
        file.write_bytes(out.getvalue().encode())
    else:
        written(folder, ending, table).rename(file)
    usable = [row for row in table if row["text"].strip() and "\0" not in row["text"]]
    found = read_table(file, text="text", id="id")
    assert found.values == [row["text"] for row in usable]
    assert found.ids == [row["id"] for row in usable]
    assert len(found.left_out) == len(table) - len(usable)


# ---- rows that are left out ----


def test_bad_rows_of_a_text_file_cost_themselves_alone(tmp_path: Path) -> None:
    file = tmp_path / "birds.csv"
    long = b"x" * (tables.MAX_TEXT + 1)
    rows = [b"a,owl", b"b,\xfcber", b"c", b"d,owl,wren", b"", b"e," + long, b"f," + long[:-1], b"g,\0", b"h,hawk"]
    file.write_bytes(b"id,text\r\n" + b"\r\n".join(rows))
    found = read_table(file, text="text", id="id")
    assert found.ids == ["a", "f", "h"]
    assert found.left_out == [
        ("row 2", "not UTF-8; save the file as UTF-8"),
        ("row 3", "1 fields under 2 column names"),
        ("row 4", "3 fields under 2 column names"),
        ("row 5", "a text of 1,000,001 bytes; the most is 1,000,000"),
        ("row 7", "holds NUL, which no text does"),
    ]


def test_bad_lines_of_json_cost_themselves_alone(tmp_path: Path) -> None:
    lines = [
        b'{"text": "owl", "id": 7}',
        b'{"text": null}',
        b'{"text": 3}',
        b'{"id": "x"}',
        b"[1]",
        b'{"text": "ow',
        b'{"text": "\xfc"}',
        b'{"text": "\\ud800"}',
        b'{"text": "' + b"[" * 10_000 + b'"}',
        b"[" * 100_000,
        b'{"text": "wren", "id": "8", "kind": true}',
        b'{"text": "hawk", "id": "9", "kind": 0}',
    ]
    (tmp_path / "birds.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    found = read_table(tmp_path / "birds.jsonl", text="text", label="kind")
    assert [
        (id_, value[:4], label) for id_, value, label in zip(found.ids, found.values, found.labels, strict=True)
    ] == [
        ("birds-1", "owl", None),
        ("birds-9", "[[[[", None),
        ("birds-11", "wren", "true"),
        ("birds-12", "hawk", "0"),
    ]
    assert [where for where, _ in found.left_out] == [f"row {row}" for row in (2, 3, 4, 5, 6, 7, 8, 10)]
    reasons = [reason.partition(" (")[0] for _, reason in found.left_out]
    assert reasons == [
        "no text",
        "int where a text should be",
        "no text",
        "not an object",
        "not JSON",
        "not UTF-8; save the file as UTF-8",
        "not UTF-8; save the file as UTF-8",
        "not JSON",
    ]


def test_bad_rows_of_a_parquet_file_cost_themselves_alone(tmp_path: Path) -> None:
    broken = pa.array([b"owl", None, b"\xfc", b"wren"]).cast(pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 4, broken.buffers())
    labels = pa.array(["a", "b", "a", None]).dictionary_encode()
    table = pa.table({"text": texts, "id": pa.array([10, 11, 12, 13], pa.int8()), "label": labels})
    pq.write_table(table, tmp_path / "birds.parquet", row_group_size=3)
    found = read_table(tmp_path / "birds.parquet", text="text", id="id", label="label")
    assert (found.ids, found.values, found.labels) == (["10", "13"], ["owl", "wren"], ["a", None])
    assert found.left_out == [("row 2", "no text"), ("row 3", "not UTF-8; write the text again")]


# ---- files that cannot be used ----


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_missing_column_lists_those_there_are(ending: str, tmp_path: Path) -> None:
    file = written(tmp_path, ending, ROWS)
    for columns in ({"text": "txt"}, {"text": "said", "id": "txt"}, {"text": "said", "label": "txt"}):
        with pytest.raises(DataError, match=r"column 'txt' is nowhere among 'name', 'said', 'kind'"):
            read_table(file, **columns)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "birds.csv").write_text("text,text\na,b\n")
    with pytest.raises(DataError, match="column 'text' is twice"):
        read_table(tmp_path / "birds.csv", text="text")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(("wrong", "reason"), [("a", "id 'a' comes twice"), ("", "'' *, which is no id")])
def test_ids_are_there_and_differ(ending: str, wrong: str, reason: str, tmp_path: Path) -> None:
    file = written(tmp_path, ending, [*ROWS[:3], {**ROWS[2], "name": wrong}])
    with pytest.raises(DataError, match=f"row 4: .*{reason}"):
        read_table(file, text="said", id="name")


def test_what_is_no_id_and_no_label(tmp_path: Path) -> None:
    file = tmp_path / "birds.jsonl"
    for given_id in (None, 1.5, [1], "a\0"):
        file.write_text(json.dumps({"text": "owl", "id": given_id}))
        with pytest.raises(DataError, match=r"row 1: 'id' holds .* is no id"):
            read_table(file, text="text", id="id")
    file.write_text(json.dumps({"text": "owl", "kind": {"a": 1}}))
    with pytest.raises(DataError, match=r"row 1: \{'a': 1\} cannot name a class"):
        read_table(file, text="text", label="kind")
    pq.write_table(pa.table({"text": ["a"], "kind": [1.5]}), tmp_path / "birds.parquet")
    with pytest.raises(DataError, match="column 'kind' holds double, neither text nor whole numbers"):
        read_table(tmp_path / "birds.parquet", text="text", label="kind")


def test_quotes_that_are_never_closed_are_named_and_swallow_nothing(tmp_path: Path) -> None:
    file = tmp_path / "birds.csv"
    file.write_text('text\nfirst\n"second\nthird\n')
    with pytest.raises(DataError, match=r"row 2, which ends in line 4: .*close every quote"):
        read_table(file, text="text")
    file.write_text('text\n"first"second\n')
    with pytest.raises(DataError, match="row 1"):
        read_table(file, text="text")


def test_the_limit_for_fields_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_FIELD", 1000)
    before = csv.field_size_limit()
    (tmp_path / "birds.csv").write_text("text\n" + "x" * 1001)
    with pytest.raises(DataError, match="field larger than field limit"):
        read_table(tmp_path / "birds.csv", text="text")
    (tmp_path / "birds.jsonl").write_text('{"text": "' + "x" * 1001 + '"}')
    with pytest.raises(DataError, match="a line of 1,000 bytes or more"):
        read_table(tmp_path / "birds.jsonl", text="text")
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_utf_16_is_named(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"birds{ending}").write_text("text\nowl\n", encoding="utf-16")
    with pytest.raises(DataError, match="is UTF-16; save it as UTF-8"):
        read_table(tmp_path / f"birds{ending}", text="text")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_empty_and_damaged_files_are_refused(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"birds{ending}"
    with pytest.raises(DataError, match="there is no file"):
        read_table(file, text="text")
    for content in (b"", b"\n", b"\x93NUMPY", b"PAR1 nothing"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"birds\{ending}"):
            read_table(file, text="text")


def test_another_ending_names_those_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must end in \.csv, \.tsv, \.jsonl, \.ndjson, \.parquet"):
        read_table(tmp_path / "birds.xlsx", text="text")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, ".parquet", ROWS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'asktell\[serve\]'"):
        read_table(file, text="said")
