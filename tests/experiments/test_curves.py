import json
from pathlib import Path

import pytest

from asktell.errors import DataError
from asktell.experiments import curves

from .results import cell, rows, write


def test_a_cell_is_read_as_written(tmp_path: Path) -> None:
    found = cell(tmp_path, [0.5, 0.75], strategy="bald", seed=3, saturated_at=4, fill_share=0.6)
    assert found.key == ("toy", "bald", 3)
    assert found.finished
    assert found.accuracies == {20: 0.5, 30: 0.75}
    first = found.outcomes[0]
    assert (first.n_validation, first.nll, first.ece, first.saturated_at, first.fill_share) == (100, 0.5, 0.1, 4, 0.6)
    assert first.ids == tuple(f"0-{pick}" for pick in range(10))
    assert first.seconds == {"fit": 2.0, "select": 0.5}


def test_curves_hold_finished_cells_by_seed(tmp_path: Path) -> None:
    for strategy, seed, finished in (("bald", 1, True), ("bald", 0, True), ("random", 0, True), ("bald", 2, False)):
        write(tmp_path, rows([0.5, 0.6], strategy=strategy, seed=seed, finished=finished))
    (tmp_path / "plan.json").write_text(json.dumps([["toy", "bald", 0], ["toy", "random", 1]]))
    results = curves.read(tmp_path)
    assert [(c.strategy, [x.seed for x in c.cells]) for c in results.curves] == [("bald", [0, 1]), ("random", [0])]
    assert [c.key for c in results.unfinished] == [("toy", "bald", 2)]
    assert results.missing == (("toy", "random", 1),)


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, rows([0.5, 0.6, 0.7], strategy="größe"))
    content = path.read_bytes()
    path.write_bytes(content[: -1 - cut])
    found = curves.read_cell(path)
    assert found is not None
    assert list(found.accuracies) == [20, 30]
    assert not found.finished


def test_a_last_line_without_its_newline_was_never_acknowledged(tmp_path: Path) -> None:
    path = write(tmp_path, rows([0.5, 0.6]))
    path.write_bytes(path.read_bytes()[:-1])
    found = curves.read_cell(path)
    assert found is not None
    assert [outcome.round for outcome in found.outcomes] == [0]
    assert not found.finished


@pytest.mark.parametrize("damage", ["{", "", "[1]", "\x00\x00"])
@pytest.mark.parametrize("line", [1, 3])
def test_a_damaged_line_is_named(tmp_path: Path, damage: str, line: int) -> None:
    path = write(tmp_path, rows([0.5, 0.6, 0.7]))
    written = path.read_text().splitlines()
    written[line - 1] = damage
    path.write_text("\n".join(written) + "\n")
    with pytest.raises(DataError, match=rf"toy--random--0.jsonl, line {line}: not a JSON object"):
        curves.read_cell(path)


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": 95.0},
        {"accuracy": "high"},
        {"n_labelled": 20.5},
        {"seed": True},
        {"strategy": None},
        {"ids": "a"},
        {"seconds": 3},
        {"seconds": {"fit": "long"}},
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, change: dict[str, object]) -> None:
    content = rows([0.5, 0.6])
    content[1] |= change
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=rf"line 2: .*{next(iter(change)) if 'fit' not in str(change) else 'fit'}"):
        curves.read_cell(path)


def test_rounds_that_do_not_follow_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [*rows([0.5, 0.6]), *rows([0.5])])
    with pytest.raises(DataError, match="line 3: round 0 with 20 labels cannot follow round 1 with 30"):
        curves.read_cell(path)


def test_cells_that_are_mixed_or_twice_are_refused(tmp_path: Path) -> None:
    mixed = write(tmp_path / "mixed", [*rows([0.5]), *rows([0.6], seed=1)])
    with pytest.raises(DataError, match="mixes several cells"):
        curves.read_cell(mixed)
    for name in ("a", "b"):
        write(tmp_path / "twice", rows([0.5]), name)
    with pytest.raises(DataError, match="two files hold the cell"):
        curves.read(tmp_path / "twice")


def test_a_file_without_a_whole_line_is_no_cell(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    for content in (b"", b'{"protocol": "toy", "stra'):
        path.write_bytes(content)
        assert curves.read_cell(path) is None


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no results"):
        curves.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("plan.json", "{}"), ("plan.json", '[["toy", 1]]'), ("protocol.json", '{"toy": 1}'), ("plan.json", "[")],
)
def test_damaged_records_are_named(tmp_path: Path, name: str, content: str) -> None:
    write(tmp_path, rows([0.5]))
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        curves.read(tmp_path)
