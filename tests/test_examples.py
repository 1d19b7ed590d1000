"""The examples run as they stand, and what they measure is what they claim."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asktell.project import Project

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_batchbald_on_the_trees_of_a_forest_beats_random(tmp_path: Path) -> None:
    printed = run("own_sklearn.py", folder=tmp_path)
    rows = {line.split()[0]: [float(word) for word in re.findall(r"\d\.\d+", line)] for line in printed.splitlines()}
    assert len(rows["batchbald"]) == len(rows["random"]) == 5
    assert rows["batchbald"][0] == rows["random"][0]
    assert rows["batchbald"][-1] > rows["random"][-1] > 0.7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_torch_loop_of_ones_own_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    printed = run("own_torch_loop.py", "digits", folder=tmp_path)
    sizes = [int(size) for size in re.findall(r"(\d+) labels: test accuracy", printed)]
    accuracies = [float(accuracy) for accuracy in re.findall(r"accuracy (\d\.\d+)", printed)]
    assert sizes == [20, 40, 60, 80, 100]
    assert accuracies[-1] > accuracies[0] + 0.05
    with Project.open(tmp_path / "digits") as project:
        assert len(project.labels) == 100
        assert len(project.queries) == 5
    again = run("own_torch_loop.py", "digits", folder=tmp_path)
    assert again.splitlines() == printed.splitlines()[-1:]


@pytest.mark.slow
def test_models_of_ones_own_know_digits_and_doubt_noise(tmp_path: Path) -> None:
    printed = run("own_models.py", folder=tmp_path).splitlines()
    assert len(printed) == 5
    for line in printed:
        accuracy, here, elsewhere = (float(word) for word in re.findall(r"\d\.\d+", line))
        assert accuracy > 0.7
        assert 0 < here < elsewhere


@pytest.mark.slow
def test_a_text_classifier_of_hugging_face(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed: pip install 'asktell[transformers]'")
    printed = run("own_transformer.py", folder=tmp_path)
    accuracy, here, elsewhere = (float(word) for word in re.findall(r"\d\.\d+", printed))
    assert accuracy > 0.9
    assert 0 < here < elsewhere


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{example.name}"' in source for example in EXAMPLES.glob("*.py"))
