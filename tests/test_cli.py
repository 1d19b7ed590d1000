"""The command line as its users see it: output, errors in one line, exit codes, what is imported."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asktell.cli.tables import NAMED, not_run
from asktell.project import Project
from asktell.types import SKIP


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    with Project.create(tmp_path / "Vögel", ["a", "b", "c", "d"], classes=["owl", "Zaunkönig"], budget=9) as project:
        project.tell(["a", "b", "c"], ["owl", "owl", SKIP], "ann")
    return tmp_path / "Vögel"


Run = Callable[..., tuple[int, str, str]]


def test_status_tells_what_the_project_holds(birds: Path, command: Run) -> None:
    code, out, _ = command("status", birds)
    assert code == 0
    for text in ("1 free", "2 labelled", "1 skipped", "owl 2", "Zaunkönig 0", "9 of 9 left"):
        assert text in out
    code, out, _ = command("status", birds, "--json")
    found = json.loads(out)
    assert found["states"] == {"free": 1, "pending": 0, "labelled": 2, "skipped": 1, "withdrawn": 0}
    assert found["labels"] == {"owl": 2, "Zaunkönig": 0}
    assert found["budget"] == {"limit": 9, "spent": 0, "pending": 0, "left": 9}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status", "nowhere"], "nowhere is not a project"),
        (["experiment", "show", "digit"], "did you mean digits"),
        (["experiment", "run", "digits", "--strategies", "batch-bald", "--out", "x"], "did you mean batchbald"),
        (["experiment", "report", "nowhere"], "nowhere holds no results"),
        (["experiment", "run", "digits", "--out", "/dev/null/x"], "choose another folder for the results"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(
    words: list[str], message: str, tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*words)
    assert (code, out) == (1, "")
    assert err.startswith("asktell: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["experiment", "run", "digits"], ["experiment", "run", "digits", "--seeds", "a", "--out", "x"]]
)
def test_wrong_usage_is_exit_code_2(words: list[str], command: Run) -> None:
    code, _, err = command(*words)
    assert code == 2
    assert "Usage" in err


def test_list_and_show_name_every_choice(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = command("experiment", "list")
    assert all(name in out for name in ("demo", "digits", "repeated-digits", "two-moons"))
    _, out, _ = command("experiment", "show", "repeated-digits")
    assert all(name in out for name in ("copies", "noise", "0.05", "standard deviation", "training", "evaluate"))


def test_data_says_what_each_set_holds_and_why_one_cannot_be_had(
    tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKTELL_MNIST_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = command("experiment", "data")
    assert code == 1
    assert ["digits", "1,297", "500", "10", "1 x 8 x 8"] in [
        [cell.strip() for cell in line.split("│")[1:6]] for line in out.splitlines()
    ]
    assert "two-moons" in out
    assert f"\nasktell: mnist: {tmp_path} holds no train-images" in f"\n{err}"


def test_every_command_has_help_with_an_example(command: Run) -> None:
    for words in (
        ["status"],
        ["experiment", "list"],
        ["experiment", "show"],
        ["experiment", "data"],
        ["experiment", "run"],
        ["experiment", "report"],
    ):
        code, out, _ = command(*words, "--help")
        assert code == 0
        assert f"Example: asktell {' '.join(words)}" in " ".join(out.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("asktell experiment r", ["report", "run"]),
        ("asktell experiment show repeated-d", ["repeated-digits"]),
        ("asktell experiment run digits --strategies random,batch", ["random,batchbald"]),
        ("asktell ask birds --strategy power", ["power-bald"]),
    ],
)
def test_the_shell_completes_commands_and_names(line: str, offered: list[str]) -> None:
    words = {"_ASKTELL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    code = "import sys; sys.argv = ['asktell']; from asktell.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | words, capture_output=True, text=True)
    assert sorted(done.stdout.split()) == offered


def test_help_and_status_load_no_torch(birds: Path) -> None:
    for words in (["--help"], ["--version"], ["status", str(birds)]):
        code = (
            "import sys, atexit\n"
            "atexit.register(lambda: print('heavy:', [m for m in ('torch', 'numpy', 'sklearn') if m in sys.modules]))\n"
            f"sys.argv = ['asktell', *{words!r}]\n"
            "from asktell.cli import main\nmain()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith("heavy: []")


def test_importing_asktell_loads_no_torch_and_every_name_is_there() -> None:
    code = "import sys, asktell; print('torch' in sys.modules); "
    code += "print([name for name in asktell.__all__ if not hasattr(asktell, name)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["False", "[]"]


def test_what_only_some_need_is_loaded_when_they_need_it() -> None:
    code = "import sys, asktell.experiments.cell; "
    code += "print(sorted({'scipy.stats', 'sklearn', 'pandas', 'matplotlib', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_many_cells_that_were_not_run_are_counted() -> None:
    few = [("toy", "bald", seed) for seed in range(2)]
    many = [("letter", "bald", seed) for seed in range(NAMED + 1)]
    assert list(not_run([*few, *many])) == [
        f"not run yet: {NAMED + 1} cells of letter, which report.html names",
        "not run yet: toy--bald--0",
        "not run yet: toy--bald--1",
    ]
