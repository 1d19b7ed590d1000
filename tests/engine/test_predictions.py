"""What a model predicts, on disk and in numbers: equal to its definition, whatever the tiles."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from asktell.engine import evaluation, files, predictions
from asktell.engine.due import Lesson
from asktell.engine.evaluation import StopSet
from asktell.engine.models import Model
from asktell.engine.predictions import TILE, Predicting, Predictions
from asktell.errors import ProjectError
from asktell.learners import Round
from asktell.posteriors import Deterministic
from asktell.rows import TensorRows
from asktell.stopping import Measures
from asktell.types import Training

from . import learners
from .conftest import CLASSES, Digits


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def predict(model: Model, ids: Sequence[str], rows: torch.Tensor, k: int, seconds: float = math.inf) -> Predictions:
    """All of it, piece by piece."""
    under_way = Predicting(model, ids, TensorRows(rows), k, generator())
    while not under_way.advance(seconds):
        pass
    return under_way.found


@pytest.fixture(scope="module")
def model(digits: Digits) -> Model:
    labels = torch.tensor([int(digits.truth[id_]) for id_ in digits.ids[:50]])
    round_ = Round(0, CLASSES, TensorRows(digits.rows[:50]), labels)
    return Model("m1", learners.quick(CLASSES).fit(round_, generator=generator()), Lesson({}, CLASSES, ""), 0)


@pytest.fixture(scope="module")
def found(model: Model, digits: Digits) -> Predictions:
    return predict(model, digits.ids, digits.rows, 7)


def by_hand(probabilities: list[list[float]], ids: str = "abcdefgh") -> Predictions:
    p = np.array(probabilities, np.float32)
    entropy = torch.special.entr(torch.from_numpy(p)).sum(1).numpy()
    return Predictions("m", ("owl", "wren"), ids[: len(p)], p, entropy, entropy / 2)


def test_predictions_are_the_mean_of_the_draws(found: Predictions, model: Model, digits: Digits) -> None:
    p = model.posterior.draw(7, generator=generator()).log_probs(TensorRows(digits.rows)).double().exp()
    mean = p.mean(1)
    entropy = -(mean * mean.log()).sum(1)
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-6)
    np.testing.assert_allclose(found.entropy, entropy, atol=1e-5)
    np.testing.assert_allclose(found.bald, entropy + (p * p.log()).sum(2).mean(1), atol=1e-5)


def test_tiles_change_nothing(model: Model) -> None:
    rows = torch.randn(TILE + 5, 64, generator=generator())
    ids = [str(number) for number in range(len(rows))]
    whole = predict(model, ids, rows, 3, seconds=1e-9)  # one tile after the other
    tail = predict(model, ids[TILE:], rows[TILE:], 3)
    np.testing.assert_allclose(whole.probabilities[TILE:], tail.probabilities, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_model_without_draws_has_no_bald(digits: Digits) -> None:
    module = torch.nn.Linear(64, 10)
    model = Model("m", Deterministic(module), Lesson({}, CLASSES, ""), 0)
    found = predict(model, digits.ids[:9], digits.rows[:9], 7)
    assert (found.bald == 0).all()
    assert (found.entropy >= 0).all()


def test_they_are_read_as_they_were_written(tmp_path: Path, found: Predictions) -> None:
    predictions.write(tmp_path, found, "now")
    again = predictions.read(tmp_path)
    assert again is not None
    assert (again.model, again.classes, tuple(again.ids)) == ("m1", CLASSES, tuple(found.ids))
    for name in ("probabilities", "entropy", "bald"):
        assert (getattr(again, name) == getattr(found, name)).all()
    table = predictions.arrow("pyarrow.parquet").read_table(tmp_path / files.PREDICTIONS)
    assert table.column_names == ["id", "probabilities", "entropy", "bald"]
    assert json.loads((tmp_path / files.PREDICTED).read_text())["model"] == "m1"


def test_nothing_written_is_none_and_damage_is_told(tmp_path: Path) -> None:
    assert predictions.read(tmp_path) is None
    (tmp_path / files.PREDICTIONS).write_bytes(b"PAR1 and so on")
    with pytest.raises(ProjectError, match="cannot be read"):
        predictions.read(tmp_path)


def test_the_summary_has_the_ends_of_what_is_unlabelled(tmp_path: Path) -> None:
    found = by_hand([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1], [0.6, 0.4]])
    predictions.write_summary(tmp_path, found, ["b", "c", "d", "nobody"], 1, "now")
    summary = json.loads((tmp_path / files.SUMMARY).read_text())
    assert [line["id"] for line in summary["most"]] == ["d", "c", "b"]
    assert [line["id"] for line in summary["least"]] == ["b", "c", "d"]
    assert summary["most"][1] == {
        "id": "c", "entropy": 0.32508, "bald": 0.16254, "probabilities": [0.9, 0.1]
    }  # fmt: skip
    assert (summary["model"], summary["n_labelled"], summary["classes"]) == ("m", 1, ["owl", "wren"])


# Evaluation ----------------------------------------------------------------------------------------------------------


def test_accuracy_counts_what_has_a_prediction() -> None:
    found = by_hand([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert evaluation.accuracy(found, {"a": "owl", "b": "owl", "c": "owl", "z": "owl"}) == {"n": 3, "correct": 2}
    assert evaluation.accuracy(found, {"z": "owl"}) is None
    assert evaluation.accuracy(found, {}) is None


def test_measures_by_hand() -> None:
    before = by_hand([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    now = by_hand([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]])
    stop_set = StopSet(("a", "b", "c"), {}).after(3, before).after(5, now)
    assert set(stop_set.rounds) == {3, 5}
    measured = evaluation.measures(stop_set, now, ["c", "d"], {"n": 4, "correct": 3})
    entropies = now.entropy.astype(float) / math.log(2)
    assert measured.change == pytest.approx(1 / 3)
    assert measured.kappa == pytest.approx(0.0)  # one of them predicts one class only
    assert measured.overall == pytest.approx(entropies[:3].mean(), rel=1e-5)
    assert measured.largest == pytest.approx(1.0)
    assert measured.information == pytest.approx(math.log(2) / 2, rel=1e-5)
    assert (measured.selected, measured.selected_count) == (0.75, 4)


def test_models_of_other_classes_are_not_compared() -> None:
    kept = StopSet(("a",), {1: {"a": "hawk"}, 2: {"a": "owl"}})
    assert kept.pair(("owl", "wren")) is None
    assert StopSet(("a",), {2: {"a": "owl"}}).pair(("owl", "wren")) is None


def test_nothing_left_unlabelled_has_no_largest() -> None:
    measured = evaluation.measures(StopSet((), {}), by_hand([[0.5, 0.5]]), [], None)
    assert measured == Measures()


def test_advice_looks_at_all_trainings_before() -> None:
    calm = Measures(kappa=1.0, change=0.0, overall=0.0, largest=0.0, information=0.0, selected=1.0).to_json()
    trainings = [
        Training(number, "m", 10, "", 0.0, {"measures": calm} if number != 2 else {}, None if number != 2 else "no")
        for number in range(5)
    ]
    assert evaluation.advice(trainings, 5, Measures.from_json(calm)).rounds == 5
    assert evaluation.advice(trainings, 5, Measures.from_json(calm)).stop
    assert evaluation.advice(trainings, 3, Measures.from_json(calm)).rounds == 3
