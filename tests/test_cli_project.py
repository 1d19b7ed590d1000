"""The commands for a model of one's own, from `init` to `backup`, as their users see them."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import asktell
from asktell.cli.arrays import open_arrays
from asktell.cli.ask import size
from asktell.cli.evidence import Lookup
from asktell.cli.parameters import parameters, parsed, with_settings
from asktell.errors import EvidenceError, ProtocolError
from asktell.project import Project
from asktell.project.files import Format, read_answers, write_labels
from asktell.strategies import BatchBALD, Entropy, Softmax, recipe, recipes
from asktell.types import SKIP, Candidates

Run = Callable[..., tuple[int, str, str]]
IDS = [f"item-{number}" for number in range(12)]
HAS_PYARROW = find_spec("pyarrow") is not None


@pytest.fixture
def run(tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, stdout and stderr of `asktell WORDS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASKTELL_ANNOTATOR", raising=False)

    def asktell_(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        return command(*words)

    return asktell_


@pytest.fixture
def birds(run: Run, tmp_path: Path) -> Path:
    """A project with twelve items; two labelled, two pending."""
    with Project.create(tmp_path / "birds", IDS, classes=["owl", "wren"], seed=3) as project:
        loop = asktell.Loop(project, asktell.strategies.Random())
        query = loop.ask(loop.candidates(), 4)
        loop.tell(query.ids[:2], ["wren", "owl"], "ann")
    return tmp_path / "birds"


def fails(run: Run, *words: str, stdin: str = "") -> str:
    """The one line that the command says before it exits with 1."""
    code, out, err = run(*words, stdin=stdin)
    assert (code, out) == (1, ""), err
    assert err.startswith("asktell: ")
    assert err.count("\n") == 1
    return err


def evidence(ids: list[str], *, k: int = 8) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    probs = generator.dirichlet([1.0, 1.0], size=(len(ids), k))
    return {
        "ids": np.array(ids),
        "log_probs": np.log(probs),
        "point_log_probs": np.log(probs.mean(1)),
        "features": generator.normal(size=(len(ids), 3)),
        "utility": generator.normal(size=len(ids)),
    }


def save(file: str, arrays: dict[str, np.ndarray], *, compressed: bool = False) -> str:
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file


# init ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("ids.txt", "b\n\nä, x\r\n c\n", []),
        ("ids.csv", 'size,id\n3,b\n4,"ä, x"\n5, c\n', []),
        ("ids.tsv", "key\tsize\nb\t3\nä, x\t4\n c\t5\n", ["--id-column", "key"]),
        ("ids.jsonl", '{"id": "b"}\n{"id": "ä, x", "more": 1}\n\n{"id": " c"}\n', []),
        ("-", "b\nä, x\n c\n", []),
    ],
)
def test_init_takes_ids_as_they_stand(run: Run, file: str, content: str, words: list[str]) -> None:
    if file != "-":
        Path(file).write_text(content, encoding="utf-8", newline="")
    code, out, err = run("init", "p", "--classes", "owl, wren", "--items", file, *words, stdin=content)
    assert (code, err) == (0, "")
    assert out == "p: a project with 3 items and 2 classes\n"
    with Project.open("p") as project:
        assert project.candidates().ids == ("b", "ä, x", " c")
        assert project.classes == ("owl", "wren")


@pytest.mark.parametrize("dtype", ["str", "int32", "uint8"])
def test_init_takes_the_ids_of_an_npz(run: Run, dtype: str) -> None:
    np.savez("a.npz", ids=np.array([7, 5, 6]).astype(dtype), other=np.zeros(3))
    Path("classes.txt").write_text("red, or not\nblue\n", encoding="utf-8")
    words = ["--classes-file", "classes.txt", "--items", "a.npz", "--seed", "5", "--budget", "2", "--json"]
    code, out, _ = run("init", "p", *words)
    assert code == 0
    assert json.loads(out)["budget"]["limit"] == 2
    with Project.open("p") as project:
        assert project.candidates().ids == ("7", "5", "6")
        assert project.classes == ("red, or not", "blue")
        assert project.seed == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes", "a", "--items", "none.txt"], "none.txt cannot be read"),
        (["--classes", "a,,b", "--items", "ids.txt"], "an empty class name"),
        (["--classes", "a", "--items", "twice.txt"], "item 'x' comes twice"),
        (["--classes", "a", "--items", "latin.txt"], "is not UTF-8 text (byte 1)"),
        (["--classes", "a", "--items", "t.csv"], "t.csv, line 1: column 'id' is nowhere among the names there ('key')"),
        (["--classes", "a", "--items", "t.csv", "--id-column", "key"], "line 3: key must be text and not empty"),
        (["--classes", "a", "--items", "ids.txt", "--id-column", "key"], "has no column 'key'"),
        (["--classes", "a", "--items", "f.npz"], "ids holds float64 of shape [2]"),
        (["--classes", "a", "--items", "o.npz"], "it holds Python objects"),
        (["--classes", "a", "--items", "f.npz", "--id-column", "key"], "f.npz has no key; it has ids"),
        (["--classes", "a", "--items", "ids.npz"], "there is no file ids.npz"),
    ],
)
def test_what_is_wrong_with_a_file_of_ids_is_said_and_nothing_is_made(run: Run, words: list[str], message: str) -> None:
    Path("ids.txt").write_text("x\n")
    Path("twice.txt").write_text("x\ny\nx\n")
    Path("latin.txt").write_bytes(b"x\xe4\n")
    Path("t.csv").write_text('key\nx\n""\n')
    np.savez("f.npz", ids=np.zeros(2))
    np.savez("o.npz", ids=np.array(["a", 1], dtype=object))
    assert message in fails(run, "init", "p", *words)
    assert not Path("p/project.db").exists()


def test_init_overwrites_nothing(run: Run, birds: Path) -> None:
    assert "there is a project" in fails(run, "init", "birds", "--classes", "a", "--items", "-", stdin="x\n")
    with Project.open(birds) as project:
        assert project.classes == ("owl", "wren")


# items -----------------------------------------------------------------------------------------------------------


def test_items_counts_lists_adds_withdraws_and_releases(run: Run, birds: Path) -> None:
    assert run("items", "birds")[1].split("\n")[:3] == ["8\tfree", "2\tpending", "2\tlabelled"]
    assert json.loads(run("items", "birds", "--json")[1])["free"] == 8
    with Project.open(birds) as project:
        snapshot = project.candidates()
    assert run("items", "birds", "--state", "free")[1].splitlines() == list(snapshot.ids)
    assert run("items", "birds", "--state", "pending")[1].splitlines() == list(snapshot.pending_ids)
    assert run("items", "birds", "--state", "labelled")[1].splitlines() == list(snapshot.labelled_ids)
    assert run("items", "birds", "--add", "-", stdin="new\n")[1] == "added 1 items; 9 of 13 items are free\n"
    assert run("items", "birds", "--withdraw", "-", stdin=f"new\n{snapshot.ids[0]}\n")[0] == 0
    assert run("tell", "birds", "--id", snapshot.pending_ids[0], "--skip", "--annotator", "ann")[0] == 0
    assert json.loads(run("items", "birds", "--state", "skipped", "--json")[1]) == [snapshot.pending_ids[0]]
    states = json.loads(run("items", "birds", "--release-skipped", "--json")[1])["states"]
    assert states == {"free": 8, "pending": 1, "labelled": 2, "skipped": 0, "withdrawn": 2}
    assert "holds item 'item-0' already" in fails(run, "items", "birds", "--add", "-", stdin="item-0\n")


# ask -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_ask_finds_rows_by_id_and_asks_what_the_loop_would(
    run: Run, birds: Path, tmp_path: Path, compressed: bool
) -> None:
    arrays = evidence([*IDS[::-1], "of nobody"])
    save("e.npz", arrays, compressed=compressed)
    row = {item: number for number, item in enumerate(arrays["ids"].tolist())}
    with Project.open(birds) as project:
        project.backup(tmp_path / "copy")
    with Project.open(tmp_path / "copy") as project:
        loop = asktell.Loop(project, BatchBALD(), seed=9)
        snapshot = loop.candidates()
        expected = loop.ask(
            snapshot,
            3,
            log_probs=arrays["log_probs"][[row[item] for item in snapshot.ids]],
            pending_log_probs=arrays["log_probs"][[row[item] for item in snapshot.pending_ids]],
        )
    words = ["--strategy", "batchbald", "-b", "3", "--evidence", "e.npz", "--seed", "9", "--model", "v1", "--json"]
    code, out, err = run("ask", "birds", *words, "--memory", "1 MiB")
    assert (code, err) == (0, "")
    asked = json.loads(out)
    assert asked["ids"] == list(expected.ids)
    assert asked["scores"] == pytest.approx(expected.scores)
    assert (asked["number"], asked["seed"], asked["model"]) == (1, 9, "v1")
    assert asked["strategy"]["name"] == "batchbald"
    with Project.open(birds) as project:
        assert project.queries[-1].ids == expected.ids
        assert project.queries[-1].report == expected.report


def test_ask_prints_an_id_and_its_score_a_line(run: Run, birds: Path) -> None:
    save("e.npz", evidence(IDS))
    code, out, _ = run("ask", "birds", "--strategy", "entropy", "-b", "3", "--evidence", "e.npz")
    assert code == 0
    asked = [line.split("\t") for line in out.splitlines()]
    with Project.open(birds) as project:
        query = project.queries[-1]
    assert [id_ for id_, _ in asked] == list(query.ids)
    assert [float(score) for _, score in asked] == pytest.approx(query.scores, rel=1e-5)
    assert run("ask", "birds", "--strategy", "random", "-b", "2")[1].count("\t0\n") == 2


def test_ask_covers_the_pool_before_anything_is_labelled(run: Run, tmp_path: Path) -> None:
    Project.create(tmp_path / "new", IDS, classes=["owl", "wren"], seed=3).close()
    save("e.npz", evidence(IDS))
    code, out, err = run("ask", "new", "--strategy", "core-set", "-b", "12", "--evidence", "e.npz", "--json")
    assert (code, err) == (0, "")
    assert sorted(json.loads(out)["ids"]) == sorted(IDS)


@pytest.mark.parametrize("strategy", ["core-set", "badge", "batchbald"])
def test_ask_says_how_it_will_read_when_asked_to(run: Run, birds: Path, strategy: str) -> None:
    save("e.npz", evidence(IDS))
    words = ["ask", "birds", "--strategy", strategy, "-b", "1", "--evidence", "e.npz", "--memory", "5MB"]
    code, _, err = run(*words, "--verbose")
    assert code == 0
    assert err.startswith("asktell: reading 8 rows of ")
    assert "of 5 MB" in err
    assert run(*words)[2] == ""


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8"])
def test_ask_reads_every_kind_of_number(run: Run, birds: Path, dtype: str) -> None:
    arrays = evidence(IDS)
    arrays["log_probs"] = np.asfortranarray(arrays["log_probs"].astype(dtype))
    save("e.npz", arrays)
    code, out, err = run("ask", "birds", "--strategy", "bald", "-b", "8", "--evidence", "e.npz", "--json")
    assert (code, err) == (0, "")
    bald = dict(zip(IDS, asktell.scores.bald(torch.from_numpy(evidence(IDS)["log_probs"])).tolist(), strict=True))
    asked = json.loads(out)
    assert asked["scores"] == pytest.approx([bald[item] for item in asked["ids"]], rel=0.03)


def test_targets_are_the_files_or_drawn_from_the_candidates_by_the_seed(run: Run, birds: Path) -> None:
    arrays = evidence(IDS)
    save("drawn.npz", arrays)
    save("own.npz", {**arrays, "target_log_probs": arrays["log_probs"][:1]})
    candidates = Candidates(tuple(IDS[2:]))
    found = {}
    for name in ("own", "drawn"):
        lookup = Lookup(open_arrays(Path(f"{name}.npz")), candidates, ["owl", "wren"], asktell.derive(0))
        found[name] = lookup.find(recipe("epig").strategy.needs)["target_log_probs"]
    assert torch.equal(torch.as_tensor(found["own"]), torch.from_numpy(arrays["log_probs"][:1]))
    assert torch.equal(torch.as_tensor(found["drawn"]), torch.from_numpy(arrays["log_probs"][2:]))  # all: under 200
    assert run("ask", "birds", "--strategy", "epig", "-b", "2", "--evidence", "drawn.npz")[0] == 0


def test_labelled_and_pending_rows_come_from_the_same_arrays() -> None:
    from asktell.cli.arrays import ArrayFile

    arrays = evidence(IDS)
    file = ArrayFile(Path("e.npz"), "ids", tuple(arrays), lambda name: arrays[name])
    snapshot = Candidates(("item-5", "item-1"), ("item-7", "item-0"), ("wren", "owl"), ("item-3",))
    needs = frozenset({"features", "labelled_features", "pending_features", "labels", "utility", "pending_log_probs"})
    found = Lookup(file, snapshot, ["owl", "wren"], asktell.derive(0)).find(needs)
    for name, rows in {"features": [5, 1], "labelled_features": [7, 0], "pending_features": [3]}.items():
        assert torch.equal(torch.as_tensor(found[name][: len(rows)]), torch.from_numpy(arrays["features"][rows]))
    assert torch.equal(torch.as_tensor(found["utility"]), torch.from_numpy(arrays["utility"][[5, 1]]))
    assert torch.equal(torch.as_tensor(found["pending_log_probs"]), torch.from_numpy(arrays["log_probs"][[3]]))
    assert torch.equal(torch.as_tensor(found["labels"]), torch.tensor([1, 0]))
    nothing = Lookup(file, Candidates(("item-5",)), ["owl", "wren"], asktell.derive(0)).find(needs)
    assert set(nothing) == {"features", "labelled_features", "utility", "labels"}
    assert nothing["labelled_features"][0:1].shape == (0, 3)


def test_an_uncompressed_array_stays_on_disk_until_rows_are_asked_for(tmp_path: Path) -> None:
    save(str(tmp_path / "e.npz"), evidence(IDS))
    arrays = open_arrays(tmp_path / "e.npz")
    assert isinstance(arrays.array("log_probs"), np.memmap)
    assert np.array_equal(arrays.array("log_probs"), evidence(IDS)["log_probs"])


def test_evidence_that_does_not_fit_is_named_and_nothing_is_asked(run: Run, birds: Path) -> None:
    good = evidence(IDS)
    nan = good["log_probs"].copy()
    nan[5] = np.nan
    files: dict[str, dict[str, np.ndarray]] = {
        "few.npz": evidence(IDS[2:4]),
        "no-ids.npz": {"log_probs": good["log_probs"]},
        "no-draws.npz": {"ids": good["ids"], "features": good["features"]},
        "short.npz": {"ids": good["ids"], "log_probs": good["log_probs"][1:]},
        "twice.npz": evidence([*IDS, "item-0"]),
        "whole.npz": {"ids": good["ids"], "log_probs": np.zeros((12, 8, 2), dtype=np.int64)},
        "nan.npz": {"ids": good["ids"], "log_probs": nan},
        "logits.npz": {"ids": good["ids"], "log_probs": good["log_probs"] + 1},
    }
    for name, arrays in files.items():
        save(name, arrays)
    Path("broken.npz").write_bytes(Path("few.npz").read_bytes()[:-30])
    messages = {
        "few.npz": "few.npz has no row for 6 of 8 candidates: ",
        "no-ids.npz": "no-ids.npz has no ids; it has log_probs",
        "no-draws.npz": "no-draws.npz has no log_probs; it has ids, features",
        "short.npz": "log_probs has 11 rows for 12 ids",
        "twice.npz": "id 'item-0' comes twice",
        "whole.npz": "log_probs holds int64 of shape [12, 8, 2]",
        "nan.npz": "nan.npz: log_probs of item 'item-5' holds NaN",
        "logits.npz": "pass log_softmax(logits)",
        "broken.npz": "broken.npz: the archive cannot be read",
        "none.npz": "there is no file none.npz",
        "e.pickle": "e.pickle is neither .npz nor .parquet",
    }
    for name, message in messages.items():
        assert message in fails(run, "ask", "birds", "--strategy", "bald", "-b", "2", "--evidence", name), name
    assert "batchbald needs log_probs, pending_log_probs" in fails(
        run, "ask", "birds", "--strategy", "batchbald", "-b2"
    )
    assert "did you mean batchbald" in fails(run, "ask", "birds", "--strategy", "batch-bald", "-b", "2")
    with Project.open(birds) as project:
        assert len(project.queries) == 1


def test_nothing_is_unpickled(run: Run, birds: Path) -> None:
    for compressed in (False, True):
        arrays = {"ids": np.array(IDS), "log_probs": np.array([{}] * 12, dtype=object)}
        save("e.npz", arrays, compressed=compressed)
        message = fails(run, "ask", "birds", "--strategy", "bald", "-b", "2", "--evidence", "e.npz")
        assert "log_probs cannot be read" in message


# Parameters ------------------------------------------------------------------------------------------------------


def test_set_changes_parameters_and_the_project_remembers_them(run: Run, birds: Path) -> None:
    save("e.npz", evidence(IDS))
    words = ["--strategy", "power-bald", "--set", "beta=2.0", "-b", "2", "--evidence", "e.npz"]
    assert run("ask", "birds", *words)[0] == 0
    words = ["--strategy", "entropy", "--set", "point=true", "-b", "2", "--evidence", "e.npz"]
    assert run("ask", "birds", *words)[0] == 0
    with Project.open(birds) as project:
        assert [query.strategy["parameters"] for query in project.queries[1:]] == [{"beta": 2.0}, {"point": True}]


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("power-bald", "alpha=1", "Power(inner=BALD(), beta=1.0) takes --set NAME=VALUE for beta (a number)"),
        ("power-bald", "beta", "cannot set 'beta'"),
        ("power-bald", "beta=high", "beta must be a number, not 'high'"),
        ("power-bald", "beta=nan", "beta must be a number"),
        ("entropy", "point=1", "point must be true or false, not '1'"),
        ("batchbald", "particles=1.5", "particles must be a whole number, not '1.5'"),
        ("random", "beta=1", "Random() takes no parameters"),
    ],
)
def test_a_wrong_parameter_is_one_line_that_names_what_there_is(
    run: Run, birds: Path, name: str, setting: str, message: str
) -> None:
    assert message in fails(run, "ask", "birds", "--strategy", name, "-b", "1", "--set", setting)


def test_what_a_wrapped_strategy_takes_is_set_by_its_dotted_name() -> None:
    changed = with_settings(Softmax(Entropy()), ["inner.point=true", "beta=0.5"])
    assert changed == Softmax(Entropy(point=True), beta=0.5)
    with pytest.raises(ProtocolError, match="set twice"):
        with_settings(Softmax(Entropy()), ["beta=1", "beta=2"])


@given(st.sampled_from([r.name for r in recipes()]))
def test_every_parameter_set_to_what_it_is_changes_nothing(name: str) -> None:
    strategy = recipe(name).strategy
    settings = []
    for dotted in parameters(strategy):
        value: object = strategy
        for part in dotted.split("."):
            value = getattr(value, part)
        settings.append(f"{dotted}={'none' if value is None else str(value).lower()}")
    assert with_settings(strategy, settings) == strategy


def test_a_value_may_be_none_or_one_of_a_few_words_where_its_type_says_so() -> None:
    from typing import Literal

    assert parsed("limit", "none", int | None) is None
    assert parsed("limit", "3", int | None) == 3
    assert parsed("metric", "cosine", Literal["cosine", "euclidean"]) == "cosine"
    with pytest.raises(ProtocolError, match="'cosine' or 'euclidean', not 'l1'"):
        parsed("metric", "l1", Literal["cosine", "euclidean"])
    with pytest.raises(ProtocolError, match="none or a whole number"):
        parsed("limit", "x", int | None)


@given(st.integers(0, 10**6), st.sampled_from([("", 1), ("kB", 10**3), ("MiB", 2**20), ("gb", 10**9)]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: tuple[str, int]) -> None:
    assert size(f"{number}{unit[0]}") == number * unit[1]


# tell ------------------------------------------------------------------------------------------------------------

ANSWERS = {
    "a.csv": "label,id,score\nowl,item-0,1\nwren,item-1,2\nIDK,item-2,3\n",
    "a.tsv": "id\tlabel\nitem-0\towl\n\nitem-1\twren\nitem-2\tIDK\n",
    "a.jsonl": '{"id": "item-0", "label": "owl"}\n{"id": "item-1", "label": "wren"}\n{"id": "item-2", "label": null}\n',
}


@pytest.mark.parametrize("file", ANSWERS)
@pytest.mark.parametrize("stdin", [False, True])
def test_tell_records_all_answers_of_a_file(run: Run, file: str, stdin: bool) -> None:
    run("init", "p", "--classes", "owl,wren", "--items", "-", stdin="item-0\nitem-1\nitem-2\n")
    Path(file).write_text(ANSWERS[file])
    source = ["-", "--format", file[2:]] if stdin else [file]
    words = [*source, "--annotator", "ann", "--skip-label", "IDK"]
    code, out, err = run("tell", "p", *words, stdin=ANSWERS[file])
    assert (code, out, err) == (0, "answers recorded: 3, of them skipped: 1; still pending: 0\n", "")
    with Project.open("p") as project:
        assert project.labels == {"item-0": "owl", "item-1": "wren"}
        assert project.skipped == ("item-2",)
        assert project.annotations("item-2")[0].annotator == "ann"


def test_tell_takes_one_answer_and_its_annotator_from_the_environment(
    run: Run, birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("tell", "birds", "--id", "item-5", "--label", "owl")[0] == 2
    monkeypatch.setenv("ASKTELL_ANNOTATOR", "eve")
    code, out, _ = run("tell", "birds", "--id", "item-5", "--label", "owl", "--json")
    assert code == 0
    assert json.loads(out)["answers"] == 1
    assert json.loads(out)["status"]["states"]["labelled"] == 3
    assert run("tell", "birds", "--id", "item-5", "--skip")[0] == 0
    with Project.open(birds) as project:
        assert [(a.annotator, a.label) for a in project.annotations("item-5")] == [("eve", "owl"), ("eve", SKIP)]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.csv", "id,label\nitem-0,owl\nitem-1,crow\n", "a.csv, line 3: the project has no class 'crow'"),
        ("a.csv", 'id,label\n"item\n0",owl\n', "a.csv, line 3: the project holds no item 'item\\n0'"),
        ("a.csv", "id,label\nitem-0,owl\nitem-11,owl\nitem-99,owl\n", "a.csv, line 4: the project holds no item"),
        ("a.csv", "id,label\nitem-0,owl\nitem-0,wren\n", "line 3: item 'item-0' was answered in line 2 already"),
        ("a.csv", "id,label\nitem-0,\n", "line 2: no label"),
        ("a.csv", "id,label\nitem-0,owl,x\n", "line 2: 3 fields under 2 column names"),
        ("a.csv", "item-0,owl\n", "line 1: column 'id' is nowhere among the names there ('item-0', 'owl')"),
        ("a.csv", "id,label,id\n", "line 1: column 'id' is twice"),
        ("a.csv", 'id,label\nitem-0,"owl\n', "a.csv, line 2: unexpected end of data"),
        ("a.csv", "", "line 1: column 'id' is nowhere among the names there (nothing)"),
        ("a.tsv", "id,label\n", "a.tsv, line 1"),
        ("a.jsonl", '{"id": "item-0", "label": "owl"}\n{"id"\n', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", "[1]\n", "line 1: not an object"),
        ("a.jsonl", '{"id": 3, "label": "owl"}\n', "line 1: id must be text and not empty, not 3"),
        ("a.jsonl", '{"id": "item-0"}\n', "line 1: column 'label' is nowhere"),
        ("a.jsonl", '{"id": "item-0", "label": 1}\n', "line 1: label must be text"),
    ],
)
def test_one_wrong_answer_stops_all_and_is_named_with_its_line(
    run: Run, birds: Path, file: str, content: str, message: str
) -> None:
    with Project.open(birds) as project:
        project.withdraw(["item-11"])
        before = project.status()
    Path(file).write_text(content)
    assert message in fails(run, "tell", "birds", file, "--annotator", "ann")
    with Project.open(birds) as project:
        assert project.status() == before


def test_an_empty_label_is_a_skip_only_if_one_says_so(run: Run, birds: Path) -> None:
    Path("a.csv").write_text("id,label\nitem-0,\n")
    assert run("tell", "birds", "a.csv", "--annotator", "ann", "--skip-label", "")[0] == 0
    with Project.open(birds) as project:
        assert project.skipped == ("item-0",)
    message = fails(run, "tell", "birds", "a.csv", "--annotator", "ann", "--skip-label", "owl")
    assert "'owl' is a class of the project" in message


# labels, backup --------------------------------------------------------------------------------------------------


def test_labels_come_out_as_lines_a_table_or_json(run: Run, birds: Path) -> None:
    with Project.open(birds) as project:
        expected = project.labels
    lines = [f"{item}\t{label}" for item, label in expected.items()]
    assert run("labels", "birds")[1].splitlines() == lines
    assert json.loads(run("labels", "birds", "--json")[1]) == expected
    table = "id,label\n" + "".join(f"{item},{label}\n" for item, label in expected.items())
    assert run("labels", "birds", "--csv")[1] == table
    for name in ("l.csv", "l.tsv", "l.jsonl", "l.txt"):
        Path(name).write_text("old")
        code, out, err = run("labels", "birds", "--out", name)
        assert (code, out, err) == (0, "", f"wrote 2 labels to {name}\n")
    assert Path("l.csv").read_text() == table
    assert Path("l.txt").read_text().splitlines() == lines
    assert [path.name for path in Path().glob(".*")] == []
    assert "cannot be written" in fails(run, "labels", "birds", "--out", "nowhere/l.csv")


_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(st.dictionaries(_NAMES, _NAMES), st.sampled_from([Format.CSV, Format.TSV, Format.JSONL]))
def test_labels_that_are_written_can_be_told(labels: dict[str, str], how: Format) -> None:
    from unittest.mock import patch

    with patch.object(sys, "stdin", io.StringIO(write_labels(labels, how), newline="")):
        answers = read_answers(Path("-"), how)
    assert {answer.id: answer.label for answer in answers} == labels


def test_status_says_what_is_wrong_with_the_worker(run: Run, birds: Path) -> None:
    assert json.loads(run("status", "birds", "--json")[1])["worker"] == {"state": "absent", "message": ""}
    told = {"state": "failed", "message": "the disk is full; make room on it"}
    Path("birds", "worker.json").write_text(json.dumps(told))
    assert json.loads(run("status", "birds", "--json")[1])["worker"] == told
    assert "make room on it" in " ".join(run("status", "birds")[1].split())


def test_backup_is_a_project_and_overwrites_nothing(run: Run, birds: Path) -> None:
    code, out, _ = run("backup", "birds", "copy.db", "--json")
    assert code == 0
    assert json.loads(out) == {"file": "copy.db", "bytes": Path("copy.db").stat().st_size}
    assert run("status", "copy.db", "--json")[1] == run("status", "birds", "--json")[1]
    assert "a backup overwrites nothing" in fails(run, "backup", "birds", "copy.db")


# Usage, imports, parquet -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["init", "p", "--items", "-"],
        ["init", "p", "--items", "-", "--classes", "a", "--classes-file", "f"],
        ["items", "birds", "--add", "x", "--release-skipped"],
        ["items", "birds", "--state", "gone"],
        ["ask", "birds", "--strategy", "random"],
        ["ask", "birds", "--strategy", "random", "-b", "0"],
        ["ask", "birds", "--strategy", "random", "-b", "1", "--memory", "much"],
        ["tell", "birds", "--annotator", "ann"],
        ["tell", "birds", "a.csv", "--id", "x", "--annotator", "ann"],
        ["tell", "birds", "a.csv", "--label", "x", "--annotator", "ann"],
        ["tell", "birds", "a.csv", "--format", "text", "--annotator", "ann"],
        ["tell", "birds", "--id", "x", "--annotator", "ann"],
        ["tell", "birds", "--id", "x", "--label", "y", "--skip", "--annotator", "ann"],
        ["labels", "birds", "--csv", "--json"],
        ["backup", "birds"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(run: Run, birds: Path, words: list[str]) -> None:
    with Project.open(birds) as project:
        before = project.status()
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "Usage" in err
    with Project.open(birds) as project:
        assert project.status() == before


@pytest.mark.parametrize("name", ["init", "items", "ask", "tell", "status", "labels", "backup"])
def test_every_command_has_help_with_an_example(run: Run, name: str) -> None:
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"Example: asktell {name} birds" in " ".join(out.split())


def test_only_ask_loads_torch_and_only_files_of_arrays_load_numpy(birds: Path) -> None:
    code = (
        "import io, sys\n"
        "from asktell.cli import main\n"
        "commands = [['--help'], ['ask', '--help'], ['init', 'p', '--classes', 'a', '--items', '-'], ['items', 'p'],\n"
        "            ['tell', 'p', '--id', 'x', '--label', 'a', '--annotator', 'n'], ['labels', 'p', '--csv'],\n"
        "            ['backup', 'p', 'copy'], ['status', 'p'], ['init', 'q', '--classes', 'a', '--items', 'i.npz']]\n"
        "for words in commands:\n"
        "    sys.argv, sys.stdin = ['asktell', *words], io.StringIO('x\\n')\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, words\n"
        "    print('heavy', words[0], [m for m in ('torch', 'numpy', 'sklearn') if m in sys.modules])\n"
    )
    np.savez(birds.parent / "i.npz", ids=np.array(["x"]))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=birds.parent, check=True
    )
    heavy = [line.split(maxsplit=2)[2] for line in done.stdout.splitlines() if line.startswith("heavy")]
    assert heavy == ["[]"] * 8 + ["['numpy']"]


@pytest.mark.skipif(HAS_PYARROW, reason="pyarrow is installed, so nothing is missing")
def test_without_pyarrow_a_parquet_file_names_the_extra(run: Run, birds: Path) -> None:
    words = ["ask", "birds", "--strategy", "bald", "-b", "2", "--evidence", "e.parquet"]
    assert "pip install 'asktell[parquet]'" in fails(run, *words)


@pytest.mark.skipif(not HAS_PYARROW, reason="pyarrow is not installed; it comes with the extra parquet")
@pytest.mark.parametrize("layout", ["nested", "fixed", "metadata", "draws"])
def test_a_parquet_table_gives_the_arrays_of_the_npz(tmp_path: Path, layout: str) -> None:
    from importlib import import_module

    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    arrays = evidence(IDS)
    flat = arrays["log_probs"].reshape(12, 16)
    features = pa.FixedSizeListArray.from_arrays(pa.array(arrays["features"].ravel()), 3)
    flat_lists = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 16)
    nested = {
        "nested": pa.array(arrays["log_probs"].tolist()),
        "fixed": pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 2), 8),
    }
    log_probs = nested.get(layout, flat_lists)
    metadata = {"shape": "[8, 2]"} if layout == "metadata" else None
    fields = [
        pa.field("id", pa.string()),
        pa.field("features", features.type),
        pa.field("log_probs", log_probs.type, metadata=metadata),
    ]
    table = pa.Table.from_arrays([pa.array(IDS), features, log_probs], schema=pa.schema(fields))
    parquet.write_table(table, tmp_path / "e.parquet")
    found = open_arrays(tmp_path / "e.parquet", draws=8 if layout == "draws" else None)
    assert found.ids() == IDS
    assert np.array_equal(found.array("log_probs"), arrays["log_probs"])
    assert np.array_equal(found.array("features"), arrays["features"])


@pytest.mark.skipif(not HAS_PYARROW, reason="pyarrow is not installed; it comes with the extra parquet")
def test_lists_of_several_lengths_in_a_parquet_table_are_refused(tmp_path: Path) -> None:
    from importlib import import_module

    pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    table = pa.table({"id": ["a", "b"], "features": [[1.0], [1.0, 2.0]]})
    parquet.write_table(table, tmp_path / "e.parquet")
    with pytest.raises(EvidenceError, match="lists of 1 to 2 values"):
        open_arrays(tmp_path / "e.parquet").array("features")
