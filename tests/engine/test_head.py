"""Our own learners: what they measure, that they learn, and that they are restored exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from asktell.engine import head
from asktell.engine.head import KINDS, OWN_UNITS, Head, Scale, SmallImages, Standardised, described, restored
from asktell.errors import ModelError
from asktell.learners import Learner, Round
from asktell.posteriors import HasWeights, MCDropout, OffersFeatures, OffersPoint, model_id
from asktell.rows import TensorRows

from .conftest import CLASSES, Digits


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Scale ---------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 9))
def test_the_scale_is_mean_and_root_of_the_mean_variance(n: int, d: int, seed: int) -> None:
    rows = torch.randn(n, d, generator=generator(seed)) * 3 + 5
    found = Scale.of(rows, d)
    whole = rows.double().numpy()
    np.testing.assert_allclose(found.mean, whole.mean(0), rtol=1e-5)
    if n > 1:
        np.testing.assert_allclose(found.sd, np.sqrt(whole.var(0).mean()), rtol=1e-4)


def test_columns_in_units_of_their_own_keep_their_own_scale() -> None:
    rows = torch.randn(500, 4, generator=generator()) * torch.tensor([1.0, 2.0, 1.5, 1000.0])
    rows[:, 2] = 7.0
    found = Scale.of(rows, 4)
    np.testing.assert_allclose(found.sd[[0, 1, 3]], rows.double().numpy().std(0)[[0, 1, 3]], rtol=1e-4)
    assert found.sd[2] == 1.0
    common = Scale.of(rows / torch.tensor([1.0, 1.0, 1.0, 1000.0 / OWN_UNITS]), 4)
    assert len(set(common.sd.tolist())) == 1


def test_rows_that_are_all_the_same_have_the_scale_one() -> None:
    assert Scale.of(torch.full((5, 3), 2.0), 3).sd.tolist() == [1.0, 1.0, 1.0]


def test_an_image_is_scaled_channel_by_channel() -> None:
    images = torch.randn(50, 3, 10, 10, generator=generator()) + torch.tensor([0.0, 10.0, -4.0])[:, None, None]
    found = Scale.of(images.flatten(1), 3)
    np.testing.assert_allclose(found.mean, images.mean((0, 2, 3)), atol=1e-5)
    scaled = Standardised(found, axes=2)(images)
    np.testing.assert_allclose(scaled.mean((0, 2, 3)), 0, atol=1e-5)


def test_the_scale_is_read_in_tiles() -> None:
    rows = torch.randn(3000, 2, generator=generator())
    torch.testing.assert_close(Scale.of(TensorRows(rows), 2).mean, rows.double().mean(0).float())


# The head ------------------------------------------------------------------------------------------------------------


def lesson(digits: Digits, count: int, start: int = 0, classes: tuple[str, ...] = CLASSES) -> Round:
    labels = torch.tensor([classes.index(digits.truth[id_]) for id_ in digits.ids[start : start + count]])
    return Round(0, classes, TensorRows(digits.rows[start : start + count]), labels)


@pytest.fixture(scope="module")
def fitted(digits: Digits) -> MCDropout:
    return Head(Scale.of(digits.rows, 64)).fit(lesson(digits, 150), generator=generator())


def test_the_head_learns(fitted: MCDropout, digits: Digits) -> None:
    test = lesson(digits, 200, start=200)
    right = fitted.predict(test.inputs).argmax(1) == test.labels
    assert float(right.double().mean()) > 0.88


def test_the_head_gives_all_that_strategies_need(fitted: MCDropout) -> None:
    assert isinstance(Head(Scale.unit(2)), Learner)
    assert isinstance(SmallImages(Scale.unit(1), 12), Learner)
    assert fitted.offers == Head(Scale.unit(2)).offers == {"log_probs", "point_log_probs", "features"}
    assert isinstance(fitted, OffersPoint)
    assert isinstance(fitted, OffersFeatures)
    assert isinstance(fitted, HasWeights)


def test_draws_share_the_first_layer(fitted: MCDropout, digits: Digits) -> None:
    fitted.draw(3, generator=generator()).log_probs(TensorRows(digits.rows[:5]))
    assert fitted.traced


def test_the_same_labels_give_the_same_model(fitted: MCDropout, digits: Digits) -> None:
    again = Head(Scale.of(digits.rows, 64)).fit(lesson(digits, 150), generator=generator())
    assert model_id(again) == model_id(fitted)


def test_classes_without_a_label_keep_their_output(digits: Digits) -> None:
    classes = (*CLASSES, "ten", "eleven")
    found = Head(Scale.of(digits.rows, 64), steps=60).fit(lesson(digits, 80, classes=classes), generator=generator())
    p = found.predict(TensorRows(digits.rows)).exp()
    assert p.shape == (len(digits.rows), 12)
    assert float(p[:, 10:].max()) < 0.5


def test_many_labels_are_passed_over_more_often() -> None:
    """10 passes over 100 rows in batches of 10 are 100 steps, more than 5: the mean moves farther."""
    rows, labels = torch.randn(100, 2, generator=generator()), torch.arange(100) % 2
    rows[labels == 1] += 3
    few = Head(Scale.unit(2), steps=5, batch=10, passes=1)
    data = Round(0, ("a", "b"), TensorRows(rows), labels)
    losses = [
        nn.functional.nll_loss(learner.fit(data, generator=generator()).predict(data.inputs), labels).item()
        for learner in (few, replace(few, passes=10))
    ]
    assert losses[1] < losses[0] / 2


# Small images --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 17), (1, 10)])
def test_small_images_of_any_size_are_learnt(channels: int, size: int) -> None:
    """Bright against dark."""
    labels = torch.arange(40) % 2
    rows = torch.rand(40, channels * size * size, generator=generator()) * 0.5 + labels[:, None] * 0.5
    learner = SmallImages(Scale.of(rows, channels), size, steps=15, batch=20, passes=1)
    found = learner.fit(Round(0, ("dark", "bright"), TensorRows(rows), labels), generator=generator())
    assert (found.predict(TensorRows(rows)).argmax(1) == labels).all()


def test_the_network_for_small_images_is_the_papers() -> None:
    count = sum(weight.numel() for weight in SmallImages(Scale.unit(1), 28).network(10).parameters())
    assert count == 513_994


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ModelError, match="9 x 9 are too small"):
        SmallImages(Scale.unit(1), 9)


# Restoring -----------------------------------------------------------------------------------------------------------


def test_a_head_is_restored_from_its_description_and_weights(fitted: MCDropout, digits: Digits) -> None:
    description = described(Head(Scale.of(digits.rows, 64)))
    again = restored(description, 10, fitted.weights())
    inputs = TensorRows(digits.rows[:20])
    assert torch.equal(again.predict(inputs), fitted.predict(inputs))
    both = [one.draw(4, generator=generator()).log_probs(inputs) for one in (again, fitted)]
    assert torch.equal(*both)


def test_small_images_are_restored() -> None:
    rows = TensorRows(torch.rand(4, 144, generator=generator()))
    learner = SmallImages(Scale.of(rows, 1), 12, steps=1, batch=2, passes=1)
    found = learner.fit(Round(0, ("a", "b"), rows, torch.tensor([0, 1, 0, 1])), generator=generator())
    again = restored(described(learner), 2, found.weights())
    assert torch.equal(again.predict(rows), found.predict(rows))
    assert model_id(again) == model_id(found)


def test_every_kind_has_a_description() -> None:
    assert {described(one)["kind"] for one in (Head(Scale.unit(3)), SmallImages(Scale.unit(1), 10))} == set(KINDS)


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"kind": "head"},
        {"kind": "head", "channels": "many"},
        {"kind": "head", "channels": 64, "colour": "red"},
        {"kind": "transformer", "channels": 64},
        {"kind": "head", "channels": 65},
    ],
)
def test_strange_descriptions_are_refused(description: dict[str, object], fitted: MCDropout) -> None:
    with pytest.raises(ModelError):
        restored(description, 10, fitted.weights())


def test_weights_of_other_classes_are_refused(fitted: MCDropout) -> None:
    with pytest.raises(ModelError, match="do not fit"):
        restored(head.described(Head(Scale.unit(64))), 9, fitted.weights())
