"""Expected gradient length of the last layer: what autograd gives, label by label."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.errors import EvidenceError, RowError
from asktell.randomness import derive
from asktell.scores import expected_gradient_length


def hidden(n: int, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=derive(0, "h"), dtype=torch.float64).relu()


def by_autograd(layer: nn.Linear, features: Tensor) -> list[float]:
    """sum_y p_y |gradient|, one backward pass for every row and label."""
    weights = list(layer.parameters())
    found = []
    for h in features:
        log_p = layer(h).log_softmax(-1)
        total = 0.0
        for y in range(len(log_p)):
            gradients = torch.autograd.grad(-log_p[y], weights, retain_graph=True)
            total += float(log_p[y].detach().exp()) * math.sqrt(sum(float(g.square().sum()) for g in gradients))
        found.append(total)
    return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("c", [2, 5])
def test_it_is_what_autograd_gives(bias: bool, c: int) -> None:
    layer = nn.Linear(6, c, bias=bias).double()
    features = hidden(12)
    log_probs = layer(features).log_softmax(-1)
    found = expected_gradient_length(log_probs, features, bias=bias)
    assert found.tolist() == pytest.approx(by_autograd(layer, features), rel=1e-12)
    assert not found.requires_grad


@given(
    logits=st.lists(st.floats(-30, 30), min_size=2, max_size=6),
    h=st.lists(st.floats(-5, 5), min_size=1, max_size=4),
    scale=st.floats(0.1, 10),
)
def test_bounds_and_scale(logits: list[float], h: list[float], scale: float) -> None:
    log_probs, features = torch.tensor([logits]).double().log_softmax(-1), torch.tensor([h]).double()
    length = float(features.norm())
    with_bias, without = (float(expected_gradient_length(log_probs, features, bias=bias)) for bias in (True, False))
    most = math.sqrt(1 - 1 / len(logits))
    assert 0 <= without <= most * length * (1 + 1e-12)
    assert 0 < with_bias <= most * math.hypot(length, 1) * (1 + 1e-12)
    scaled = expected_gradient_length(log_probs, scale * features, bias=False)
    assert scaled.item() == pytest.approx(scale * without, rel=1e-9, abs=1e-300)
    order = torch.randperm(len(logits), generator=derive(0))
    assert expected_gradient_length(log_probs[:, order], features).item() == pytest.approx(with_bias, rel=1e-9)


def test_uniform_predictions_reach_the_bound() -> None:
    log_probs = torch.full((1, 4), 0.25, dtype=torch.float64).log()
    assert expected_gradient_length(log_probs, hidden(1), bias=False).item() == pytest.approx(
        math.sqrt(0.75) * float(hidden(1).norm())
    )


def test_a_class_that_nothing_speaks_for_changes_nothing() -> None:
    log_probs = torch.randn(9, 3, generator=derive(1), dtype=torch.float64).log_softmax(-1)
    without = expected_gradient_length(log_probs, hidden(9))
    never = torch.cat([log_probs, torch.full((9, 1), -torch.inf)], 1)
    assert expected_gradient_length(never, hidden(9)).tolist() == without.tolist()


def test_certain_predictions_move_nothing_and_nearly_certain_ones_a_little() -> None:
    certain = torch.tensor([[0.0, -torch.inf]], dtype=torch.float64)
    assert expected_gradient_length(certain, torch.ones(1, 3)).tolist() == [0.0]
    nearly = torch.tensor([[-1e-13, math.log(1e-13)]], dtype=torch.float64)  # 2 p q |(q, -q)| in all, up to q^2
    found = expected_gradient_length(nearly, torch.ones(1, 1).double(), bias=False).item()
    assert found == pytest.approx(2 * math.sqrt(2) * 1e-13, rel=1e-9)


def test_normalised_features_count_by_direction() -> None:
    log_probs = torch.full((3, 2), 0.5, dtype=torch.float64).log()
    features = torch.tensor([[3.0, 4.0], [1e-200, 0.0], [0.0, 0.0]], dtype=torch.float64)
    with_bias = expected_gradient_length(log_probs, features, normalise=True)
    assert with_bias.tolist() == pytest.approx([1.0, 1.0, math.sqrt(0.5)])
    without = expected_gradient_length(log_probs, features, normalise=True, bias=False)
    assert without.tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0.0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_precisions_are_as_good_as_they_can_be(dtype: torch.dtype) -> None:
    log_probs = torch.randn(40, 4, generator=derive(1), dtype=torch.float64).log_softmax(-1)
    found = expected_gradient_length(log_probs.to(dtype), hidden(40).to(dtype))
    torch.testing.assert_close(found, expected_gradient_length(log_probs, hidden(40)), rtol=0.02, atol=1e-3)


@pytest.mark.usefixtures("without_shape_checks")
def test_what_does_not_fit_is_refused() -> None:
    log_probs, features = torch.zeros(3_000, 2).log_softmax(-1), torch.ones(3_000, 2)
    with pytest.raises(EvidenceError, match="3000 rows of point_log_probs and 2 of features"):
        expected_gradient_length(log_probs, features[:2])
    for value in (torch.nan, torch.inf):
        bad = features.clone()
        bad[2_500, 1] = value
        with pytest.raises(RowError, match="features, row 2500: holds NaN"):
            expected_gradient_length(log_probs, bad)
    log_probs[2_500, 1] = torch.nan
    with pytest.raises(RowError, match="point_log_probs, row 2500: holds NaN"):
        expected_gradient_length(log_probs, features)
    assert len(expected_gradient_length(log_probs[:0], features[:0])) == 0
