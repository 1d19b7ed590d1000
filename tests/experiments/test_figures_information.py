"""The information figure keeps the laws of information, on made and on real predictions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import Tensor

from asktell import scores
from asktell.errors import DataError
from asktell.experiments.figures import information
from asktell.experiments.figures.information import CHOICES, DRAWS, Information, drawn, measured, predicted
from asktell.experiments.figures.saving import rendered
from asktell.experiments.protocols import protocol
from asktell.experiments.split import split
from asktell.randomness import derive
from asktell.selection.joint import joint_information
from asktell.training import Training

DIGITS = replace(
    protocol("digits"), training=Training(epochs=2, samples_per_epoch=64), initial_per_class=2, pool_size=60
)


def predictions(n: int, k: int, c: int = 3) -> Tensor:
    return (1.5 * torch.randn(n, k, c, generator=derive(0, "information"), dtype=torch.float64)).log_softmax(-1)


def found(k: int = 20, b: int = 6) -> Information:
    return measured(predictions(80, k), b, seed=0, particles=20_000)


def lines(axes: Axes) -> dict[str, list[float]]:
    """Heights by what the legend calls them."""
    return {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()}


def ceiling(axes: Axes) -> float:
    return lines(axes)["ceiling, log k"][0]


def test_the_choices_are_the_seeds_network_on_80_labels_and_1000_candidates() -> None:
    assert (CHOICES.dataset, CHOICES.network, CHOICES.training) == (
        "mnist",
        "dbal-cnn",
        protocol("mnist-seed").training,
    )
    assert (10 * CHOICES.initial_per_class, (CHOICES.pool_size or 0) - 80) == (80, 1_000)


def test_summed_bald_is_the_sum_of_the_highest_scores() -> None:
    highest = scores.bald(predictions(80, 20)).topk(6).values
    assert found().summed.tolist() == pytest.approx(highest.cumsum(0).tolist(), abs=1e-12)


def test_joint_information_keeps_its_laws() -> None:
    information = found()
    assert information.k == 20
    for nats in (information.top, information.joint):
        assert nats[0].item() == pytest.approx(information.summed[0].item(), abs=1e-12)
        assert bool((nats <= math.log(20) + 1e-12).all())
        assert bool((nats <= information.summed + 1e-9).all())
        assert bool((nats.diff() >= 0).all())
    assert bool((information.joint >= information.top - 1e-9).all())


def test_the_top_batch_is_measured_as_it_stands() -> None:
    log_probs = predictions(80, 20)
    rows = scores.bald(log_probs).topk(6).indices
    expected = joint_information(log_probs[rows], particles=3**6, generator=derive(0))
    assert found().top.tolist() == pytest.approx(expected.tolist(), abs=1e-10)


def test_saturation_is_said_where_it_happened() -> None:
    few = measured(predictions(80, 2), 12, seed=0, particles=100)
    assert few.saturated_at is not None
    assert few.joint[few.saturated_at - 1] >= math.log(2) - 0.1
    assert found(b=2).saturated_at is None
    axes = drawn([few, found(b=2)]).axes
    said = [[text.get_text() for text in panel.texts if "saturated" in text.get_text()] for panel in axes]
    assert said == [[f"BatchBALD saturated\nafter {few.saturated_at} picks"], []]


def test_a_panel_per_number_of_draws_with_its_ceiling() -> None:
    information = [found(k) for k in (5, 20)]
    panels = drawn(information).axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "k = 5 draws, log k = 1.61",
        "k = 20 draws, log k = 3.00",
    ]
    for axes, one in zip(panels, information, strict=True):
        assert ceiling(axes) == pytest.approx(math.log(one.k))
        for label, nats in (
            ("BALD, summed", one.summed),
            ("top BALD, joint", one.top),
            ("BatchBALD, joint", one.joint),
        ):
            assert lines(axes)[label] == nats.tolist()
    assert panels[0].get_ylim() == panels[1].get_ylim()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_predictions_give_the_same_bytes(ending: str) -> None:
    first, again = (rendered(drawn([found()]), ending, dpi=60) for _ in range(2))
    assert first == again


def test_what_is_predicted_is_the_rest_of_the_pool_by_the_same_draws() -> None:
    log_probs = predicted(7, seed=0, choices=DIGITS)
    data = split(DIGITS, 0)
    assert log_probs.shape == (len(data.pool) - len(data.start), 7, 10)
    assert torch.equal(predicted(3, seed=0, choices=DIGITS), log_probs[:, :3])
    assert not torch.equal(predicted(3, seed=1, choices=DIGITS), log_probs[:, :3])


def test_fewer_draws_are_the_first_of_many() -> None:
    figure = information.batch_information(choices=DIGITS, draws=(3, 6), b=4, particles=60)
    three = measured(predicted(3, seed=0, choices=DIGITS), 4, seed=0, particles=60)
    assert lines(figure.axes[0])["BatchBALD, joint"] == three.joint.tolist()


def test_without_mnist_the_error_is_the_loaders(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("ASKTELL_MNIST_DIR", str(tmp_path))
    with pytest.raises(DataError, match="holds no train-images"):
        predicted(2, seed=0)


def test_the_ceilings_shown_are_those_of_10_100_and_1000_draws() -> None:
    assert DRAWS == (10, 100, 1_000)
