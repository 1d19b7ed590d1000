"""Gradients as factors: the same numbers as the product that is never formed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.embeddings import (
    GradientEmbedding,
    LastLayer,
    Points,
    Residuals,
    nearest,
    squared_distances,
    squared_norms,
    unit_length,
)
from asktell.errors import EvidenceError, RowError
from asktell.randomness import derive
from asktell.rows import ArrayRows, TensorRows, as_rows, file_rows


def predictions(n: int, c: int = 4, *, seed: int = 0, sharp: float = 2.0) -> Tensor:
    return (sharp * torch.randn(n, c, generator=derive(seed, "p"), dtype=torch.float64)).log_softmax(-1)


def hidden(n: int, d: int = 6, *, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=derive(seed, "h"), dtype=torch.float64).relu()


def embedding(n: int, *, seed: int = 0) -> GradientEmbedding:
    return GradientEmbedding.of(predictions(n, seed=seed), hidden(n, seed=seed))


def whole(points: GradientEmbedding) -> tuple[Tensor, Tensor]:
    return as_rows(points.residual)[0 : len(points)], as_rows(points.features)[0 : len(points)]


def dense(points: GradientEmbedding) -> Tensor:
    """The product, [n, c * d]."""
    return torch.einsum("nc,nd->ncd", *whole(points)).flatten(1)


def test_it_is_the_gradient_of_the_last_layer() -> None:
    features, layer = hidden(5).float(), nn.Linear(6, 4, bias=False)
    logits = layer(features)
    expected = []
    for row in logits:
        loss = nn.functional.cross_entropy(row[None], row.argmax()[None])
        (gradient,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
        expected.append(gradient.flatten())
    found = dense(GradientEmbedding.of(logits.log_softmax(-1), features))
    torch.testing.assert_close(found.float(), torch.stack(expected))


def test_distances_are_those_of_the_product() -> None:
    one, other = embedding(30), embedding(20, seed=1)
    torch.testing.assert_close(one.squared_distances(other), torch.cdist(dense(one), dense(other)).square())


def test_norms_are_those_of_the_product_and_of_its_closed_form() -> None:
    points, p = embedding(30), predictions(30).exp()
    torch.testing.assert_close(points.norms(), dense(points).norm(dim=1))
    squared = 1 - 2 * p.amax(1) + p.square().sum(1)
    torch.testing.assert_close(points.norms(), squared.sqrt() * hidden(30).norm(dim=1))


@given(
    logits=st.lists(st.floats(-20, 20), min_size=2, max_size=6), h=st.lists(st.floats(-5, 5), min_size=1, max_size=4)
)
def test_the_norm_is_conservative_over_labels(logits: list[float], h: list[float]) -> None:
    log_probs, features = torch.tensor([logits]).double().log_softmax(-1), torch.tensor([h]).double()
    predicted = GradientEmbedding.of(log_probs, features).norms()
    for y in range(len(logits)):
        residual = log_probs.exp()
        residual[0, y] -= 1
        assert predicted.item() <= GradientEmbedding(residual, features).norms().item() + 1e-12


def test_scaled_features_scale_distances() -> None:
    points = embedding(20)
    scaled = GradientEmbedding(points.residual, 3 * hidden(20))
    torch.testing.assert_close(scaled.squared_distances(scaled), 9 * points.squared_distances(points))
    torch.testing.assert_close(scaled.norms(), 3 * points.norms())


def test_a_tie_goes_to_the_lowest_class() -> None:
    tied = torch.tensor([[0.2, 0.4, 0.4], [0.5, 0.5, 0.0]], dtype=torch.float64).log()
    expected = torch.tensor([[0.2, -0.6, 0.4], [-0.5, 0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(Residuals(TensorRows(tied))[0:2], expected)


def test_a_certain_prediction_has_no_gradient() -> None:
    certain = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]])
    assert GradientEmbedding.of(certain, hidden(2)).norms().tolist() == [0.0, 0.0]


def test_a_nearly_certain_one_has_one_to_full_precision() -> None:
    nearly = torch.tensor([[-1e-13, np.log(1e-13)]], dtype=torch.float64)
    assert GradientEmbedding.of(nearly, torch.ones(1, 1)).norms().item() == pytest.approx(2**0.5 * 1e-13, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_precisions_are_as_good_as_they_can_be(dtype: torch.dtype) -> None:
    points = GradientEmbedding.of(predictions(40).to(dtype), hidden(40).to(dtype))
    assert as_rows(points.residual)[0:40].sum(1).abs().max().item() < (1e-6 if dtype == torch.float32 else 1e-12)
    torch.testing.assert_close(points.norms(), embedding(40).norms(), rtol=0.03, atol=0.03)


def test_rows_of_a_file_in_any_order_and_under_any_budget(tmp_path: Path) -> None:
    log_probs, features = predictions(5_000), hidden(5_000)
    np.save(tmp_path / "p.npy", log_probs.numpy())
    np.save(tmp_path / "h.npy", features.numpy())
    stored = GradientEmbedding.of(file_rows(tmp_path / "p.npy"), file_rows(tmp_path / "h.npy"))
    expected = GradientEmbedding.of(log_probs, features)
    for memory in (8 * 1024 * 10, 10**6, None):
        assert torch.equal(stored.norms(memory=memory), expected.norms())
    indices = torch.tensor([4_999, 0, 17, 2_048, 3])
    points = Points(stored)
    for rows, whole_rows in zip(points.gathered(indices), whole(expected), strict=True):
        assert torch.equal(rows, whole_rows[indices])
    assert (points.passes, points.rows_read) == (1, 5_000)


def test_a_wide_and_a_narrow_factor_are_read_side_by_side() -> None:
    residual, features = torch.randn(3_000, 3), torch.randn(3_000, 1_600)  # alone: tiles of 1,024 and of 512 rows
    points = Points(GradientEmbedding(residual, ArrayRows(features.numpy())))
    lengths = set()
    for start, (a, h) in points.tiles():
        assert torch.equal(a, residual[start : start + len(a)])
        assert torch.equal(h, features[start : start + len(a)])
        lengths.add(len(h))
    assert lengths == {512, 3_000 % 512}


def test_equal_points_are_exactly_at_zero_wherever_they_are_read() -> None:
    log_probs, features = predictions(7, c=11, sharp=9.0), 1e3 * hidden(7, 37) + 1e3
    points = GradientEmbedding.of(log_probs.repeat(300, 1), features.repeat(300, 1))
    some = torch.tensor([0, 701, 1_402, 2_099])  # copies of 0, 1, 2 and 6
    x, y = Points(points).whole(), Points(points).take(some)
    apart = squared_distances(x, y)
    equal = (torch.arange(2_100) % 7)[:, None] == some % 7
    assert torch.equal(apart == 0, equal)
    assert torch.equal(nearest(x, y) == 0, equal.any(1))


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12])
def test_close_points_keep_their_distance(step: float) -> None:
    a, h, other = predictions(20).exp(), hidden(20) + 1, torch.randn(20, 6, generator=derive(5), dtype=torch.float64)
    moved = h + step * other
    expected = (a.square().sum(1) * (moved - h).square().sum(1)).tolist()
    assert squared_distances((a, h), (a, moved)).diagonal().tolist() == pytest.approx(expected, rel=1e-5)
    apart = squared_distances((h,), (moved,)).diagonal()
    assert apart.tolist() == pytest.approx((moved - h).square().sum(1).tolist(), rel=1e-5)


def test_without_centres_all_is_infinitely_far() -> None:
    assert nearest((torch.zeros(2, 3),), (torch.zeros(0, 3),)).tolist() == [torch.inf, torch.inf]


def test_many_centres_are_as_good_as_few() -> None:
    x, centres = torch.randn(50, 3, generator=derive(0)), torch.randn(600, 3, generator=derive(1))
    torch.testing.assert_close(nearest((x,), (centres,)), torch.cdist(x.double(), centres.double()).square().amin(1))
    assert squared_norms((x,)).tolist() == pytest.approx(x.double().square().sum(1).tolist())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_row_that_is_not_finite_is_named(bad: float) -> None:
    residual, features, log_probs = torch.randn(3_000, 2), torch.randn(3_000, 2), predictions(3_000)
    features[2_500, 1] = bad
    with pytest.raises(RowError, match="features, row 2500: holds NaN or infinity"):
        GradientEmbedding(residual, features).norms()
    with pytest.raises(RowError, match="residual, row 2500"):
        GradientEmbedding(features, residual).norms()
    log_probs[2_500, 1] = bad
    points = GradientEmbedding.of(log_probs, residual)
    with pytest.raises(RowError, match="point_log_probs, row 2500"):
        points.norms()
    with pytest.raises(RowError, match="point_log_probs, row 2500"):
        as_rows(points.residual).take(torch.tensor([3, 2_500, 2_600]))


def test_what_cannot_be_squared_is_refused() -> None:
    with pytest.raises(RowError, match="row 1: its squared norm is above 1e\\+280; divide"):
        GradientEmbedding(torch.ones(2, 1), torch.tensor([[1.0], [1e150]], dtype=torch.float64)).norms()


@pytest.mark.usefixtures("without_shape_checks")
def test_factors_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(EvidenceError, match="3 rows of residuals and 2 of features"):
        GradientEmbedding(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(EvidenceError, match="features must be real numbers of shape"):
        GradientEmbedding(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(EvidenceError, match=r"point_log_probs must be .* not torch.float32 of shape \[3, 1, 2\]"):
        GradientEmbedding.of(torch.zeros(3, 1, 2), torch.zeros(3, 2))
    with pytest.raises(EvidenceError, match=r"rows of \[2, 5\] numbers cannot be compared with rows of \[2, 4\]"):
        GradientEmbedding(torch.zeros(3, 2), torch.zeros(3, 4)).squared_distances(
            GradientEmbedding(torch.zeros(3, 2), torch.zeros(3, 5))
        )


def test_gradients_end_here() -> None:
    features = hidden(5).requires_grad_()
    points = GradientEmbedding.of(predictions(5).requires_grad_(), features)
    assert not points.norms().requires_grad
    assert not points.squared_distances(points).requires_grad


def test_a_last_layer_is_read_as_probabilities_and_features() -> None:
    log_probs, features = predictions(3_000), hidden(3_000)
    points = Points(LastLayer(log_probs.half(), ArrayRows(features.numpy())))
    p, h = points.whole()
    half = log_probs.half().double().exp()
    torch.testing.assert_close(p, half / half.sum(1, keepdim=True))
    assert torch.equal(h, features)
    assert points.widths == [4, 6]
    some = torch.tensor([2_999, 5])
    for taken, whole_rows in zip(points.take(some), (p, h), strict=True):
        assert torch.equal(taken, whole_rows[some])
    log_probs[2_500] = 0.0
    with pytest.raises(RowError, match="point_log_probs, row 2500: probabilities sum to"):
        Points(LastLayer(log_probs, features)).whole()
    with pytest.raises(EvidenceError, match="point_log_probs must be real numbers of shape"):
        LastLayer(as_rows(torch.zeros(3, 1, 2)), torch.zeros(3, 2))


def test_rows_of_length_one() -> None:
    rows = torch.tensor([[3e200, 4e200], [0.0, 5e-324], [0.0, 0.0], [torch.nan, 1.0]], dtype=torch.float64)
    found = unit_length(rows)
    assert found[:3].tolist() == [pytest.approx([0.6, 0.8]), [0.0, 1.0], [0.0, 0.0]]
    assert bool(found[3].isnan().any())
