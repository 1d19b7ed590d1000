"""What scores accept, and how they refuse."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from asktell import scores
from asktell.errors import DegenerateWarning, EvidenceError, RowError
from asktell.rows import ArrayRows, score

ALL = [
    scores.least_confident, scores.margin, scores.entropy, scores.expected_entropy, scores.bald,
    scores.mc_variation_ratio, scores.vote_entropy, scores.max_kl, scores.mean_std,
]  # fmt: skip
OF_DISAGREEMENT = [
    scores.bald,
    scores.mc_variation_ratio,
    scores.vote_entropy,
    scores.max_kl,
    scores.mean_std,
]


def valid(n: int = 2_000) -> Tensor:
    return torch.randn(n, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log_softmax(-1)


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("value", "message"),
    [(torch.nan, "holds NaN"), (torch.inf, "above zero"), (0.5, "above zero"), (-0.001, "sum to")],
)
def test_a_bad_row_is_named(f: Callable[[Tensor], Tensor], value: float, message: str) -> None:
    log_probs = valid()
    log_probs[1_500, 1, 2] = value
    with pytest.raises(RowError, match=f"row 1500: .*{message}"):
        f(log_probs)
    with pytest.raises(RowError, match="row 1500"):
        score(f, ArrayRows(log_probs.numpy()), memory=1024 * 12 * 8)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2, 2), (4, 0, 3), (4, 3, 0)])
def test_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EvidenceError, match="must"):
        scores.entropy(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.usefixtures("without_shape_checks")
def test_whole_numbers_are_refused() -> None:
    with pytest.raises(EvidenceError, match="floating point"):
        scores.entropy(torch.zeros(2, 2, 1, dtype=torch.int64))


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.__name__)
def test_minus_infinity_is_legal(f: Callable[[Tensor], Tensor]) -> None:
    assert bool(f(torch.eye(4).expand(5, 4, 4).log()).isfinite().all())


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.__name__)
def test_no_rows_give_no_scores(f: Callable[[Tensor], Tensor]) -> None:
    values = f(valid()[:0])
    assert values.dtype == torch.float64
    assert values.tolist() == []


@pytest.mark.parametrize("f", OF_DISAGREEMENT, ids=lambda f: f.__name__)
def test_a_single_draw_cannot_disagree(f: Callable[[Tensor], Tensor]) -> None:
    with pytest.warns(DegenerateWarning, match="single draw"):
        assert f(valid(5)[:, :1]).tolist() == [0.0] * 5


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_scores_are_float64_whatever_comes_in(f: Callable[[Tensor], Tensor], dtype: torch.dtype, close: float) -> None:
    full = valid(300)
    values = f(full.to(dtype))
    assert values.dtype == torch.float64
    if f not in (
        scores.mc_variation_ratio,
        scores.vote_entropy,
    ):  # a vote may flip where two classes are close
        torch.testing.assert_close(values, f(full), rtol=0, atol=close)


@pytest.mark.parametrize("f", ALL, ids=lambda f: f.__name__)
def test_gradients_end_here(f: Callable[[Tensor], Tensor]) -> None:
    log_probs = valid(10)
    assert torch.equal(f(log_probs.clone().requires_grad_()), f(log_probs))
    assert not f(log_probs.clone().requires_grad_()).requires_grad


def test_half_types_are_renormalised() -> None:
    sure = torch.tensor([[[0.002, -7.0], [-7.0, 0.002]]], dtype=torch.float16)
    assert 0 <= scores.bald(sure).item() <= 0.6931472
    with pytest.raises(RowError, match="sum to"):
        scores.bald(torch.tensor([[[-0.1, -7.0]] * 2], dtype=torch.float16))


def test_ratio_of_float32_softmax_is_within_tolerance() -> None:
    logits = 40 * torch.randn(5_000, 5, 10, generator=torch.Generator().manual_seed(1))
    assert bool((scores.bald(logits.log_softmax(-1)) >= 0).all())
    assert bool((scores.bald(logits.softmax(-1).log()) >= 0).all())
