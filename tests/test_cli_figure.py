"""`asktell figure` as its users see it."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from asktell.experiments import figures
from asktell.experiments.figures import FIGURES, Computed

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, stdout and stderr of `asktell figure WORDS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(command, "figure")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A results folder with a finished run of random and of bald."""
    folder = tmp_path / "Ergebnisse 1"
    (folder / "cells").mkdir(parents=True)
    for strategy in ("random", "bald"):
        lines: list[dict[str, object]] = [
            {
                "protocol": "toy", "strategy": strategy, "seed": 0, "round": number, "n_labelled": 20 + 10 * number,
                "n_validation": 0, "accuracy": 0.5 + 0.1 * number, "nll": 0.5, "ece": 0.1,
                "ids": [] if number == 2 else ["a"], "seconds": {},
            }
            for number in range(3)
        ]  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "cells" / f"toy--{strategy}--0.jsonl").write_text(text)
    return folder


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_is_written_in_the_format_that_its_ending_names(
    ending: str, start: bytes, run: Run, cells: Path, tmp_path: Path
) -> None:
    written = []
    for name in ("one", "two"):
        code, out, err = run("bald-vs-batchbald", "--results", str(cells), "--out", f"{name}.{ending}")
        assert (code, out, err) == (0, f"wrote {name}.{ending}\n", "")
        written.append((tmp_path / f"{name}.{ending}").read_bytes())
    assert written[0].startswith(start)
    assert written[0] == written[1]


def test_results_may_come_from_several_folders(run: Run, cells: Path, tmp_path: Path) -> None:
    code, _, _ = run("mnist-curves", "--results", str(cells), "--results", str(cells / "."), "--out", "a.svg")
    assert code == 0
    one, both = tmp_path / "one.svg", tmp_path / "a.svg"
    run("mnist-curves", "--results", str(cells), "--out", "one.svg")
    assert both.read_text().count('<g id="axes_') == one.read_text().count('<g id="axes_')


def test_the_seed_reaches_what_is_computed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawing(seed: int) -> Figure:
        figure = Figure()
        figure.text(0.5, 0.5, f"seed {seed}")
        return figure

    monkeypatch.setattr(figures, "FIGURES", {"mine": Computed("a test", drawing)})
    for words, said in (([], "seed 0"), (["--seed", "7"], "seed 7")):
        assert run("mine", "--out", "mine.svg", *words)[0] == 0
        assert f">{said}</text>" in (tmp_path / "mine.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bald-term", "--out", "a.png"], "there is no figure called bald-term; did you mean bald-terms"),
        (["bald-terms", "--out", "a.jpg"], "its ending must be .png, .svg or .pdf"),
        (["bald-terms", "--out", "nowhere/a.png"], "there is no folder nowhere"),
        (["bald-terms", "--out", "a.png", "--results", "x"], "computed on the spot"),
        (["mnist-curves", "--out", "a.png", "--seed", "1"], "which have their seeds"),
        (["mnist-curves", "--out", "a.png"], "asktell experiment run mnist-seed --out results/mnist-seed"),
        (["mnist-curves", "--out", "a.png", "--results", "x"], "asktell experiment run mnist-seed --out x"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(words: list[str], message: str, run: Run, tmp_path: Path) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err.startswith("asktell: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["bald-terms"], ["bald-terms", "--out", "a.png", "--seed", "x"]])
def test_wrong_usage_is_exit_code_2(words: list[str], run: Run) -> None:
    code, _, err = run(*words)
    assert code == 2
    assert "Usage" in err


def test_help_says_what_each_figure_shows_with_an_example(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    said = " ".join(out.split())
    for name, known in FIGURES.items():
        assert f"{name}: {known.summary}." in said
    assert "Example: asktell figure two-moons-boundaries --out moons.pdf" in said


def test_help_loads_no_torch() -> None:
    code = (
        "import sys, atexit\n"
        "heavy = ('torch', 'numpy', 'sklearn', 'matplotlib')\n"
        "atexit.register(lambda: print('heavy:', [m for m in heavy if m in sys.modules]))\n"
        "sys.argv = ['asktell', 'figure', '--help']\n"
        "from asktell.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("heavy: []")


@pytest.mark.slow
def test_a_figure_of_the_plane_is_drawn(run: Run, tmp_path: Path) -> None:
    code, out, err = run("bald-terms", "--out", "plane.pdf")
    assert (code, out, err) == (0, "wrote plane.pdf\n", "")
    assert 50_000 < (tmp_path / "plane.pdf").stat().st_size < 1_000_000
