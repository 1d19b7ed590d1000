"""The plane figures show what was asked, and what the scores say there."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asktell import scores
from asktell.experiments.figures.moons import CHOICES, Moons, Stage, stages
from asktell.experiments.figures.plane import POSTERIOR_POINTS, bald_terms, boundaries, grid, on_grid, posteriors
from asktell.experiments.figures.saving import rendered
from asktell.project import Project
from asktell.training import Training

QUICK = replace(CHOICES, training=Training(epochs=20, batch=None, lr=1e-2), rounds=2, draws=8)
SIDE = 9


@pytest.fixture(scope="module")
def boundary() -> Figure:
    return boundaries(choices=QUICK, strategies=["random", "bald"], side=SIDE)


@pytest.fixture(scope="module")
def terms() -> Figure:
    return bald_terms(choices=QUICK, side=SIDE)


@cache
def asked(strategy: str, seed: int = 0) -> tuple[list[Stage], list[tuple[str, ...]]]:
    """The stages, and the queries as the project recorded them."""
    with TemporaryDirectory() as folder:
        found = stages(strategy, Path(folder) / "p", seed=seed, choices=QUICK)
        with Project.open(Path(folder) / "p") as project:
            return found, [query.ids for query in project.queries]


def plane(figure: Figure) -> list[Axes]:
    """The panels, without colour bars, row by row."""
    return [axes for axes in figure.axes if axes.images]


def picture(axes: Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def marked(axes: Axes) -> set[tuple[float, float, int]]:
    """(x, y, number) of every numbered point."""
    return {(*text.get_position(), int(text.get_text())) for text in axes.texts}


def test_the_seed_protocol() -> None:
    assert (CHOICES.batch, CHOICES.rounds, CHOICES.initial_per_class) == (5, 5, 5)
    moons = Moons.made()
    assert moons.points.shape == (1_000, 2)
    assert moons.labels.bincount().tolist() == [500, 500]
    radius = (moons.points[moons.labels == 0]).norm(dim=1)  # the upper moon is half a unit circle
    assert radius.mean().item() == pytest.approx(1.0, abs=0.02)
    assert radius.std().item() == pytest.approx(0.1, abs=0.01)


def test_every_point_carries_the_round_that_asked_it(boundary: Figure) -> None:
    panels = plane(boundary)
    points = Moons.made().points
    for row, strategy in enumerate(("random", "bald")):
        _, queries = asked(strategy)
        for column in range(3):
            axes = panels[3 * row + column]
            numbered = {(x, y): number for x, y, number in marked(axes)}
            assert len(numbered) == 10 + 5 * column
            for number, ids in enumerate(queries[:column], 1):
                assert {numbered[tuple(points[int(item)].tolist())] for item in ids} == {number}
            assert sorted(numbered.values()) == sorted([0] * 10 + list(range(1, column + 1)) * 5)


def test_stages_are_what_the_project_held() -> None:
    found, queries = asked("bald")
    moons = Moons.made()
    assert [len(stage.points) for stage in found] == [10, 15, 20]
    assert [len(set(ids)) for ids in queries] == [5, 5]
    assert found[0].labels.bincount().tolist() == [5, 5]
    rows = [int((moons.points == point).all(1).nonzero()) for point in found[-1].points]
    assert torch.equal(moons.labels[rows], found[-1].labels)
    assert {row for row, number in zip(rows, found[-1].asked, strict=True) if number == 2} == set(map(int, queries[1]))


def test_bald_asked_where_bald_was_highest() -> None:
    found, queries = asked("bald")
    moons = Moons.made()
    labelled = {tuple(point) for point in found[0].points.tolist()}
    free = [row for row, point in enumerate(moons.points.tolist()) if tuple(point) not in labelled]
    score = scores.bald(found[0].draws.log_probs(moons.points[free]))
    assert {free[row] for row in score.topk(5).indices.tolist()} == set(map(int, queries[0]))


def test_the_same_seed_asks_the_same_and_strategies_share_the_start() -> None:
    with TemporaryDirectory() as folder:
        again = stages("bald", Path(folder) / "p", choices=QUICK)
    found, _ = asked("bald")
    assert torch.equal(again[-1].points, found[-1].points)
    assert torch.equal(asked("random")[0][0].points, found[0].points)
    assert torch.equal(on_grid(asked("random")[0][0], SIDE), on_grid(found[0], SIDE))
    assert not torch.equal(asked("bald", 1)[0][0].points, found[0].points)


def test_with_two_classes_margin_and_entropy_ask_the_same() -> None:
    assert asked("margin")[1] == asked("entropy")[1]


def test_posteriors_are_compared_on_the_same_points_and_scale() -> None:
    figure = posteriors(choices=QUICK, names=["deep-ensemble", "laplace", "random-forest"], side=SIDE)
    panels = plane(figure)
    assert [axes.get_title() for axes in panels] == ["deep-ensemble", "laplace", "random-forest"]
    moons = Moons.made()
    start = {tuple(moons.points[int(row)].tolist()) for row in moons.start(POSTERIOR_POINTS, 0)}
    for axes in panels:
        discs = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines}  # type: ignore[arg-type, index]
        assert discs == start
        assert picture(axes).shape == (SIDE, SIDE)
        assert 0 <= picture(axes).min() <= picture(axes).max() <= np.log(2) + 1e-9
    assert len({axes.images[0].get_clim() for axes in panels}) == 1
    assert max(picture(axes).max() for axes in panels) == panels[0].images[0].get_clim()[1]


def test_panels_rows_and_columns(boundary: Figure, terms: Figure) -> None:
    entropies = ["entropy of\nthe mean", "mean of the\nentropies"]
    for figure, names in ((boundary, ["random", "bald"]), (terms, ["BALD", *entropies, "mean\nprediction"])):
        panels = plane(figure)
        assert len(panels) == 3 * len(names)
        assert [axes.get_title() for axes in panels[:3]] == ["n = 10", "n = 15", "n = 20"]
        assert [axes.get_ylabel() for axes in panels[::3]] == names
    assert boundary.axes[-1].get_ylabel() == "P(class 1)"


def test_the_background_is_the_mean_prediction_on_the_grid(boundary: Figure) -> None:
    found, _ = asked("random")
    for axes, stage in zip(plane(boundary)[:3], found, strict=True):
        expected = on_grid(stage, SIDE).double().exp().mean(1)[:, 1].reshape(SIDE, SIDE)
        assert np.allclose(picture(axes), expected.numpy(), atol=1e-12)
        assert 0 <= picture(axes).min() <= picture(axes).max() <= 1


def test_the_two_entropies_differ_by_bald(terms: Figure) -> None:
    panels = plane(terms)
    for column in range(3):
        bald, total, aleatoric, probability = (picture(panels[3 * row + column]) for row in range(4))
        assert np.allclose(total - aleatoric, bald, atol=1e-9)
        assert bald.min() >= 0
        assert total.max() <= np.log(2) + 1e-12
        surest = np.abs(probability - 0.5)
        assert total.flat[surest.argmin()] == pytest.approx(total.max(), abs=1e-9)


def test_a_row_has_one_scale_and_the_entropies_share_theirs(terms: Figure) -> None:
    limits = [axes.images[0].get_clim() for axes in plane(terms)]
    highest = max(picture(axes).max() for axes in plane(terms)[:3])
    assert limits == [(0.0, highest)] * 3 + [(0.0, pytest.approx(np.log(2)))] * 6 + [(0.0, 1.0)] * 3
    labels = [axes.get_ylabel() for axes in terms.axes[12:]]
    assert labels == ["nats", "nats", "P(class 1)"]


def test_the_first_row_of_the_picture_is_its_lowest(terms: Figure) -> None:
    left, right, low, high = plane(terms)[0].images[0].get_extent()
    points = grid(SIDE)
    assert points[0].tolist() == pytest.approx([left, low])
    assert points[-1].tolist() == pytest.approx([right, high])
    assert points[SIDE - 1].tolist() == pytest.approx([right, low])
    assert plane(terms)[0].images[0].origin == "lower"
    inside = Moons.made().points
    assert bool((inside > torch.tensor([left, low])).all() & (inside < torch.tensor([right, high])).all())


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_seed_gives_the_same_bytes(ending: str) -> None:
    quick = replace(QUICK, rounds=1)
    first, again = (rendered(bald_terms(choices=quick, side=SIDE), ending, dpi=60) for _ in range(2))
    assert first == again


def test_numbers_stay_text_and_the_pool_is_a_picture(terms: Figure) -> None:
    drawn = rendered(terms, "svg").decode()
    assert drawn.count(">2</text>") == 5 * 4
    assert len(drawn) < 500_000
