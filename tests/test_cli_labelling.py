"""The commands of a labelling project, from data to predictions, as their users see them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from asktell.engine.worker import Worker
from asktell.project import Project
from asktell.web.passwords import is_password, is_token

Run = Callable[..., tuple[int, str, str]]
ROWS = 240


@pytest.fixture
def run(tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, stdout and stderr of `asktell WORDS` in a folder with 240 digits as rows of numbers."""
    monkeypatch.chdir(tmp_path)
    np.save("digits.npy", load_digits().data[:ROWS])
    return command


@pytest.fixture
def scans(run: Run) -> Path:
    """A project of the digits, a tenth of them reserved."""
    classes = ",".join(map(str, range(10)))
    code, out, _ = run("new", "scans", "--features", "digits.npy", "--classes", classes, "--json")
    assert code == 0
    assert json.loads(out)["items"] == ROWS
    return Path("scans")


def taught(run: Run, scans: Path, count: int = 120) -> None:
    """Labels of the first rows, told from a file, and a model."""
    with open("answers.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "label"), *((f"digits-{n}", truth(n)) for n in range(1, count + 1))])
    assert run("tell", str(scans), "answers.csv", "--annotator", "ann")[0] == 0
    with Worker(scans) as worker:
        worker.work()


def truth(row: int) -> str:
    return str(load_digits().target[row - 1])


def fails(run: Run, *words: str) -> str:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err.startswith("asktell: ")
    assert err.count("\n") == 1
    return err


def test_new_says_what_it_made_and_how_to_go_on(run: Run) -> None:
    Path("news.csv").write_text("id,text,kind\na,one,x\nb,,x\nc,one,y\n=d,three,y\n", encoding="utf-8")
    code, out, err = run("new", "news", "--table", "news.csv", "--id-column", "id", "--label-column", "kind")
    assert (code, err) == (0, "")
    assert "news: 3 items, classes x, y" in out
    assert "1 were left out, the first: row 2: " in out
    assert "1 items have the content of another" in out
    assert "next: asktell serve news" in out
    assert Path("news/duplicates.csv").read_text(encoding="utf-8") == "id,same_as\nc,a\n"
    password = out.split("password: ")[1].split()[0]
    with Project.open("news") as project:
        assert is_password(password, str(project.settings["password"]))
        assert project.labels == {"a": "x", "c": "y", "=d": "y"}
    assert "already" in fails(run, "new", "news", "--table", "news.csv")


def test_copies_may_be_left_out(run: Run) -> None:
    Path("t.csv").write_text("text\none\ntwo\none\n", encoding="utf-8")
    assert run("new", "t", "--table", "t.csv", "--classes", "x,y", "--drop-duplicates")[0] == 0
    assert Path("t/left-out.csv").read_text(encoding="utf-8") == "where,reason\nt-3,the same as t-1\n"
    with Project.open("t") as project:
        assert project.ids == ("t-1", "t-2")


@pytest.mark.parametrize(
    ("words", "name"),
    [([], "kmeans-margin"), (["--learner", "mine:make"], "power"), (["--strategy", "margin"], "margin")],
)
def test_a_project_keeps_the_strategy_that_it_was_made_with(run: Run, words: list[str], name: str) -> None:
    assert run("new", "p", "--features", "digits.npy", "--classes", "x,y", *words)[0] == 0
    assert json.loads(run("settings", "p", "--json")[1])["strategy"]["name"] == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes", "x,y"], "give exactly one of --images, --table, --features"),
        (["--features", "digits.npy", "--folder-labels"], "--folder-labels belongs to --images"),
        (["--images", ".", "--label-column", "x"], "images have no columns"),
    ],
)
def test_words_that_contradict_are_wrong_usage(run: Run, words: list[str], message: str) -> None:
    code, _, err = run("new", "p", *words)
    assert code == 2
    assert message in " ".join(err.replace("│", " ").split())


def test_what_cannot_become_a_project_is_one_line(run: Run) -> None:
    assert "name them with --classes" in fails(run, "new", "p", "--features", "digits.npy")
    assert "nowhere.csv" in fails(run, "new", "p", "--table", "nowhere.csv", "--classes", "x,y")
    assert "no strategy" in fails(run, "new", "p", "--features", "digits.npy", "--classes", "x,y", "--strategy", "best")
    assert not Path("p/project.db").exists()


def test_what_is_new_in_the_data_is_added(run: Run, scans: Path) -> None:
    np.save("digits.npy", load_digits().data[: ROWS + 5])
    assert run("add", "scans")[1] == f"added 5 items; {ROWS} were there already\n"
    assert "put the new ones there" in fails(run, "add", "scans", "other.npy")


def test_settings_are_checked_and_secrets_never_shown(run: Run, scans: Path) -> None:
    assert run("settings", "scans", "queue", "7")[0] == 0
    shown = json.loads(run("settings", "scans", "--json")[1])
    assert shown["queue"] == 7
    assert "password" not in shown
    fails(run, "settings", "scans", "queue", "many")
    assert json.loads(run("settings", "scans", "--json")[1])["queue"] == 7
    assert "asktell password scans" in fails(run, "settings", "scans", "password", "x")
    assert "changes how the model is trained" in fails(run, "settings", "scans", "strategy", "egl-full")


def test_password_token_budget_and_classes(run: Run, scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = run("token", "scans")[1].strip()
    assert run("budget", "scans", "50")[1] == "0 spent, 0 on order, 50 labels left\n"
    assert run("classes", "rename", "scans", "9", "nine")[0] == 0
    assert run("classes", "add", "scans", "none of these")[1].split("\n")[-3:] == ["nine", "none of these", ""]
    assert json.loads(run("classes", "merge", "scans", "none of these", "nine", "--json")[1])[-1] == "nine"
    with Project.open(scans) as project:
        assert is_token(token, str(project.settings["token"]))
        assert project.budget.limit == 50
    assert run("budget", "scans", "none")[1].endswith("no limit\n")


def test_lists_and_counts_of_items_agree_and_say_what_is_kept_apart(run: Run, scans: Path) -> None:
    with Project.open(scans) as project:
        reserved, ids = project.next_audit(ROWS), project.ids
        project.tell(ids[:30], [truth(row) for row in range(1, 31)], "imported")
        project.hold_out(ids[:30])
        free, kept = project.candidates().ids, set(reserved) - set(ids[:30])
    counted = run("items", "scans")[1].splitlines()
    assert counted[:3] == [
        f"{ROWS - 30}\tfree\tof these {len(kept)} reserved",
        "0\tpending",
        "30\tlabelled\tof these 30 held out",
    ]
    assert len(run("items", "scans", "--state", "free")[1].splitlines()) == ROWS - 30
    assert run("items", "scans", "--state", "free", "--part", "pool")[1].splitlines() == list(free)
    assert set(json.loads(run("items", "scans", "--state", "free", "--part", "audit", "--json")[1])) == kept
    assert run("items", "scans", "--state", "labelled", "--part", "held-out")[1].splitlines() == list(ids[:30])
    code, _, err = run("items", "scans", "--part", "pool")
    assert code == 2
    assert "--part belongs to --state" in err


def test_a_report_is_written_where_it_is_wanted(run: Run, scans: Path) -> None:
    taught(run, scans)
    assert run("report", "scans")[1] == "wrote scans/report.html\n"
    assert json.loads(run("report", "scans", "--out", "of scans.html", "--json")[1]) == {"file": "of scans.html"}
    page = Path("of scans.html").read_text(encoding="utf-8")
    assert "asktell report scans --out &#39;of scans.html&#39; --json" in page
    assert "asktell new scans --features digits.npy --classes 0,1,2,3,4,5,6,7,8,9 --json" in page
    with Project.open(scans) as project:
        (training,) = project.trainings
        assert training.model is not None
        assert training.model[:12] in page
    assert "cannot be written" in fails(run, "report", "scans", "--out", "no/where.html")


def test_commands_stand_in_groups(run: Run) -> None:
    shown = run("--help")[1]
    places = [shown.index(f"─ {group} ─") for group in ("Projects", "Running", "Results", "Experiments")]
    assert places == sorted(places)
    assert "─ Commands ─" not in shown


def test_from_labels_to_predictions(run: Run, scans: Path) -> None:
    taught(run, scans)
    assert "wrote 240 items" in run("export", "scans", "--out", "all.csv")[1]
    exported = list(csv.DictReader(Path("all.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["id"] for row in exported] == [f"digits-{n}" for n in range(1, ROWS + 1)]
    assert exported[0]["label"] == truth(1)
    np.save("new.npy", load_digits().data[ROWS : ROWS + 60])
    assert run("predict", "scans", "new.npy", "--out", "said.jsonl")[1].startswith("wrote predictions of 60 items")
    said = [json.loads(line) for line in Path("said.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(row["label"] == truth(ROWS + 1 + n) for n, row in enumerate(said)) > 45
    assert all(abs(sum(row[f"p:{name}"] for name in range(10)) - 1) < 1e-5 for row in said)
    for name in ("said.csv", "said.parquet"):
        assert run("predict", "scans", "new.npy", "--out", name)[0] == 0
    assert len(Path("said.csv").read_text(encoding="utf-8").splitlines()) == 61
    assert run("export", "scans", "--model", "model")[0] == 0
    assert {path.suffix for path in Path("model").iterdir()} >= {".json", ".safetensors"}
    assert ".csv, .jsonl or .parquet" in fails(run, "predict", "scans", "new.npy", "--out", "said.xlsx")


def test_without_a_model_there_are_no_predictions(run: Run, scans: Path) -> None:
    assert "model" in fails(run, "predict", "scans", "digits.npy", "--out", "said.csv")
    assert "--expose" in fails(run, "serve", "scans", "--host", "0.0.0.0")


def test_fold_in_without_answers_does_nothing(run: Run, scans: Path) -> None:
    assert run("fold-in", "scans")[1].startswith("0 audited items")
