"""Every score equals its definition, written as plain loops over Python floats."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell import scores

Probs = Sequence[Sequence[float]]  # draws x classes, of one item


def h(p: Sequence[float]) -> float:
    return -sum(x * math.log(x) for x in p if x > 0)


def mean(p: Probs) -> list[float]:
    return [sum(column) / len(p) for column in zip(*p, strict=True)]


def shares(p: Probs) -> list[float]:
    votes = [list(row).index(max(row)) for row in p]
    return [votes.count(c) / len(p) for c in range(len(p[0]))]


def kl(p: Sequence[float], q: Sequence[float]) -> float:
    return sum(x * math.log(x / y) for x, y in zip(p, q, strict=True) if x > 0)


def std(values: Sequence[float]) -> float:
    centre = sum(values) / len(values)
    return math.sqrt(sum((v - centre) ** 2 for v in values) / len(values))


def margin(p: Probs) -> float:
    first, second = sorted(mean(p), reverse=True)[:2]
    return second - first


DEFINITIONS: dict[Callable[[Tensor], Tensor], Callable[[Probs], float]] = {
    scores.least_confident: lambda p: 1 - max(mean(p)),
    scores.margin: margin,
    scores.entropy: lambda p: h(mean(p)),
    scores.expected_entropy: lambda p: sum(map(h, p)) / len(p),
    scores.bald: lambda p: h(mean(p)) - sum(map(h, p)) / len(p),
    scores.mc_variation_ratio: lambda p: 1 - max(shares(p)),
    scores.vote_entropy: lambda p: h(shares(p)),
    scores.max_kl: lambda p: max(kl(row, mean(p)) for row in p),
    scores.mean_std: lambda p: sum(std(column) for column in zip(*p, strict=True)) / len(p[0]),
}
DISAGREEMENT = {scores.bald, scores.mc_variation_ratio, scores.vote_entropy, scores.max_kl, scores.mean_std}


def bounds(k: int, c: int) -> dict[Callable[[Tensor], Tensor], tuple[float, float]]:
    """Range of every score with k draws and c classes (methods: 2.2 to 2.7)."""
    few = min(k, c)
    return {
        scores.least_confident: (0, 1 - 1 / c),
        scores.margin: (-1, 0),
        scores.entropy: (0, math.log(c)),
        scores.expected_entropy: (0, math.log(c)),
        scores.bald: (0, math.log(few)),
        scores.mc_variation_ratio: (0, 1 - 1 / few),
        scores.vote_entropy: (0, math.log(few)),
        scores.max_kl: (0, math.log(k)),
        scores.mean_std: (0, math.sqrt((1 - 1 / c) / c)),
    }


@st.composite
def probs(draw: st.DrawFn, min_k: int = 2) -> Tensor:
    """Float64 probabilities [n, k, c] with some exact zeros."""
    n, k, c = draw(st.integers(1, 4)), draw(st.integers(min_k, 5)), draw(st.integers(2, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    raw = torch.rand(n, k, c, dtype=torch.float64, generator=generator) ** draw(st.sampled_from([1, 8, 60]))
    raw[..., 1:][torch.rand(n, k, c - 1, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))] = 0.0
    return raw / raw.sum(-1, keepdim=True)


@pytest.mark.parametrize("score", DEFINITIONS, ids=lambda f: f.__name__)
@given(p=probs())
def test_score_equals_its_definition(score: Callable[[Tensor], Tensor], p: Tensor) -> None:
    expected = torch.tensor([DEFINITIONS[score](item) for item in p.tolist()], dtype=torch.float64)
    torch.testing.assert_close(score(p.log()), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", DEFINITIONS, ids=lambda f: f.__name__)
@given(p=probs())
def test_score_keeps_its_bounds(score: Callable[[Tensor], Tensor], p: Tensor) -> None:
    low, high = bounds(p.shape[1], p.shape[2])[score]
    values = score(p.log())
    assert bool((values >= low - 1e-12).all())
    assert bool((values <= high + 1e-12).all())


@pytest.mark.parametrize("score", DEFINITIONS, ids=lambda f: f.__name__)
@given(p=probs(), seed=st.integers(0, 100))
def test_order_of_items_draws_and_classes_does_not_matter(
    score: Callable[[Tensor], Tensor], p: Tensor, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    items, draws, classes = (torch.randperm(size, generator=generator) for size in p.shape)
    torch.testing.assert_close(score(p[items].log()), score(p.log())[items], rtol=0, atol=1e-12)
    torch.testing.assert_close(score(p[:, draws].log()), score(p.log()), rtol=0, atol=1e-12)
    if score not in {
        scores.mc_variation_ratio,
        scores.vote_entropy,
    }:  # where a vote ties, the first class has it
        torch.testing.assert_close(score(p[:, :, classes].log()), score(p.log()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", DEFINITIONS, ids=lambda f: f.__name__)
@given(p=probs())
def test_drawing_everything_twice_changes_nothing(score: Callable[[Tensor], Tensor], p: Tensor) -> None:
    torch.testing.assert_close(score(p.repeat(1, 2, 1).log()), score(p.log()), rtol=0, atol=1e-12)


@given(p=probs())
def test_average_kl_to_the_consensus_is_bald(p: Tensor) -> None:
    average = torch.tensor([sum(kl(row, mean(item)) for row in item) / len(item) for item in p.tolist()])
    torch.testing.assert_close(scores.bald(p.log()), average.double(), rtol=0, atol=1e-7)
    assert bool((scores.max_kl(p.log()) >= scores.bald(p.log()) - 1e-12).all())


@given(p=probs(min_k=2))
def test_total_is_aleatoric_plus_epistemic(p: Tensor) -> None:
    total, aleatoric, epistemic = scores.uncertainty(p.log())
    torch.testing.assert_close(total, aleatoric + epistemic, rtol=0, atol=1e-9)


@given(p=probs())
def test_squared_std_is_what_the_draws_variance_leaves_of_the_total(p: Tensor) -> None:
    """Var_k[p] = mean p (1 - mean p) - mean_k p (1 - p); with two classes mean_std squared is Var_k."""
    pair = torch.stack([p[..., 0], 1 - p[..., 0]], -1)
    centre = pair[..., 0].mean(1)
    aleatoric = (pair[..., 0] * pair[..., 1]).mean(1)
    torch.testing.assert_close(scores.mean_std(pair.log()) ** 2, centre * (1 - centre) - aleatoric, rtol=0, atol=1e-12)


@given(p=probs())
def test_two_classes_rank_alike_by_margin_entropy_and_confidence(p: Tensor) -> None:
    pair = torch.stack([p[..., 0], 1 - p[..., 0]], -1).log()
    lead = scores.margin(pair)
    torch.testing.assert_close(lead, 2 * scores.least_confident(pair) - 1, rtol=0, atol=1e-12)
    order = lead.argsort()
    assert bool((scores.entropy(pair)[order].diff() >= -1e-12).all())


@given(p=probs(min_k=1))
def test_agreeing_draws_leave_no_disagreement(p: Tensor) -> None:
    same = p[:, :1].expand(-1, 3, -1).log()
    for score in DISAGREEMENT:
        torch.testing.assert_close(score(same), torch.zeros(len(p), dtype=torch.float64), rtol=0, atol=1e-7)


def test_sure_and_clashing_draws_split_the_two_variation_ratios_from_nothing() -> None:
    clash = torch.eye(3, dtype=torch.float64)[None].log()
    assert scores.mc_variation_ratio(clash).item() == pytest.approx(2 / 3)
    assert scores.least_confident(clash).item() == pytest.approx(2 / 3)


def test_tiles_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(2_500, 3, 4, generator=generator, dtype=torch.float64)
    log_probs = (p / p.sum(-1, keepdim=True)).log()
    for score in DEFINITIONS:
        rowwise = torch.cat([score(row[None]) for row in log_probs[1020:1030]])
        torch.testing.assert_close(score(log_probs)[1020:1030], rowwise, rtol=0, atol=1e-12)
