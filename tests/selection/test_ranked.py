"""The best, and samples that favour the best."""

import itertools
import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from asktell.errors import EvidenceError, SelectionError
from asktell.randomness import derive
from asktell.selection import Selection, power_sample, softmax_sample, softrank_sample, top_k

SAMPLERS = [power_sample, softmax_sample, softrank_sample]
EVERY = [top_k, *SAMPLERS]
numbers = st.lists(st.floats(0.0, 5.0), min_size=1, max_size=8)


def doubles(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def weights(sampler: Callable[..., Selection], scores: list[float], beta: float) -> list[float]:
    """The weights of the definition (Kirsch et al. 2023, section 3)."""
    ranks = [1 + sum(other > s for other in scores) for s in scores]
    return {
        power_sample: [s**beta for s in scores],
        softmax_sample: [math.exp(beta * s) for s in scores],
        softrank_sample: [r**-beta for r in ranks],
    }[sampler]


@given(values=numbers, seed=st.integers(0, 99))
def test_top_k_is_a_sort(values: list[float], seed: int) -> None:
    for b in range(len(values) + 1):
        selection = top_k(doubles(values), b, generator=derive(seed))
        assert selection.scores.tolist() == sorted(values, reverse=True)[:b]
        assert [values[i] for i in selection.indices.tolist()] == selection.scores.tolist()
        assert len(set(selection.indices.tolist())) == b


def test_ties_are_broken_by_the_generator() -> None:
    firsts = Counter(int(top_k(doubles([1, 1, 1, 0]), 1, generator=derive(seed)).indices[0]) for seed in range(900))
    assert set(firsts) == {0, 1, 2}
    assert chisquare([firsts[i] for i in range(3)]).pvalue > 1e-4


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_ordered_samples_have_the_law_of_drawing_one_after_another(
    sampler: Callable[..., Selection], beta: float
) -> None:
    scores, times = [0.5, 1.0, 1.5, 2.0], 4_000
    seen = Counter(
        tuple(sampler(doubles(scores), 2, beta=beta, generator=derive(seed, "law")).indices.tolist())
        for seed in range(times)
    )
    w = weights(sampler, scores, beta)
    pairs = list(itertools.permutations(range(4), 2))
    expected = [times * w[i] / sum(w) * w[j] / (sum(w) - w[i]) for i, j in pairs]
    assert chisquare([seen[pair] for pair in pairs], expected).pvalue > 1e-4


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(seed=st.integers(0, 1000), beta=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_probabilities_are_those_of_each_pick_given_the_earlier_ones(
    sampler: Callable[..., Selection], seed: int, beta: float
) -> None:
    scores = torch.rand(7, generator=derive(seed), dtype=torch.float64).add(0.01).tolist()
    selection = sampler(doubles(scores), 7, beta=beta, generator=derive(seed, "pick"))
    left = dict(enumerate(weights(sampler, scores, beta)))
    assert selection.probabilities is not None
    for pick, probability in zip(selection.indices.tolist(), selection.probabilities.tolist(), strict=True):
        assert probability == pytest.approx(left[pick] / sum(left.values()), rel=1e-9)
        del left[pick]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_large_beta_is_top_k(sampler: Callable[..., Selection]) -> None:
    scores = torch.rand(50, generator=derive(1), dtype=torch.float64)
    best = top_k(scores, 10, generator=derive(2)).indices
    assert sampler(scores, 10, beta=1e7, generator=derive(3)).indices.tolist() == best.tolist()


def test_power_fills_uniformly_once_no_score_is_positive() -> None:
    scores = doubles([0.0, 3.0, -1.0, 0.0, 2.0])
    tails: Counter[int] = Counter()
    for seed in range(600):
        selection = power_sample(scores, 3, generator=derive(seed))
        assert set(selection.indices[:2].tolist()) == {1, 4}
        assert selection.report.filled_from == 2
        assert selection.fill_share == pytest.approx(1 / 3)
        assert selection.probabilities is not None
        assert selection.probabilities[2].item() == pytest.approx(1 / 3)
        tails[int(selection.indices[2])] += 1
    assert chisquare([tails[i] for i in (0, 2, 3)]).pvalue > 1e-4
    assert power_sample(scores, 2, generator=derive(0)).report.filled_from is None


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_tiny_and_huge_scores_stay_numbers(sampler: Callable[..., Selection]) -> None:
    scores = doubles([1e-300, 700.0, 1e-12, 5e-324, 650.0])
    selection = sampler(scores, 5, generator=derive(0))
    assert sorted(selection.indices.tolist()) == [0, 1, 2, 3, 4]
    assert selection.probabilities is not None
    assert bool(((selection.probabilities >= 0) & (selection.probabilities <= 1)).all())
    assert selection.probabilities[-1].item() == 1.0


@pytest.mark.parametrize("select", EVERY)
def test_bad_input_is_refused(select: Callable[..., Selection]) -> None:
    with pytest.raises(EvidenceError, match="row 1 is nan"):
        select(doubles([0.0, math.nan]), 1, generator=derive(0))
    with pytest.raises(SelectionError, match="3 rows out of 2"):
        select(doubles([0.0, 1.0]), 3, generator=derive(0))
    with pytest.raises(SelectionError, match="at least 0"):
        select(doubles([0.0, 1.0]), -1, generator=derive(0))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("beta", [-1.0, math.inf, math.nan])
def test_a_bad_beta_is_refused(sampler: Callable[..., Selection], beta: float) -> None:
    with pytest.raises(SelectionError, match="beta must be finite"):
        sampler(doubles([1.0, 2.0]), 1, beta=beta, generator=derive(0))


@pytest.mark.parametrize("sampler", [power_sample, softmax_sample])
def test_infinite_scores_cannot_be_weights(sampler: Callable[..., Selection]) -> None:
    with pytest.raises(EvidenceError, match="row 0 is inf"):
        sampler(doubles([math.inf, 1.0]), 1, generator=derive(0))


@pytest.mark.parametrize("select", EVERY)
def test_nothing_asked_nothing_picked(select: Callable[..., Selection]) -> None:
    for scores in (doubles([]), doubles([1.0, 2.0])):
        selection = select(scores, 0, generator=derive(0))
        assert len(selection) == 0
        assert selection.fill_share == 0.0
