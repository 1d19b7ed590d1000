"""Prefilter and Subset: the candidates that another strategy sees, and what is said about them."""

import pytest
import torch
from torch import Tensor

from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.evidence import Evidence
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.scores import entropy
from asktell.selection import k_center, kmeans_pp
from asktell.strategies import (
    BADGE,
    BALD,
    CoreSet,
    Entropy,
    KMeansMargin,
    Margin,
    Power,
    Prefilter,
    Random,
    Strategy,
    Subset,
    Utility,
    from_json,
    to_json,
)
from asktell.testing.strategies import synthetic_evidence

N = 60


def evidence(*needs: str, **changed: object) -> Evidence:
    found = synthetic_evidence(N)
    return Evidence(N, **{**{name: found[name] for name in needs}, **changed})  # type: ignore[arg-type]


def test_prefilter_lets_the_other_choose_among_the_best() -> None:
    strategy = Prefilter(Entropy(), CoreSet(), beta=3.0)
    found = evidence(*strategy.needs)
    picked = strategy(found, 5, generator=derive(1))
    best = entropy(found.tensor("log_probs")).argsort(descending=True)[:15].sort().values
    centres = torch.cat([found.tensor("labelled_features"), found.tensor("pending_features")])
    expected = k_center(found.tensor("features")[best], 5, given=centres, generator=derive(7))
    assert picked.indices.tolist() == best[expected.indices].tolist()
    assert picked.scores.tolist() == expected.scores.tolist()
    assert picked.report.candidates == 15


def test_beta_one_is_the_top_of_the_score_and_a_large_beta_the_other_strategy() -> None:
    found = evidence("log_probs", "features", "labelled_features", "pending_features")
    top = entropy(found.tensor("log_probs")).argsort(descending=True)[:7]
    few = Prefilter(Entropy(), CoreSet(), beta=1.0)(found, 7, generator=derive(0))
    assert set(few.indices.tolist()) == set(top.tolist())
    every = Prefilter(Entropy(), CoreSet(), beta=1e9)(found, 7, generator=derive(0))
    assert every.indices.tolist() == CoreSet()(found, 7, generator=derive(3)).indices.tolist()
    assert every.report.candidates is None


def test_prefilter_around_a_sampler_keeps_its_probabilities() -> None:
    strategy = Prefilter(Margin(point=True), BADGE(), beta=4.0)
    found = evidence(*strategy.needs - {"pending_features", "pending_point_log_probs"})
    picked = strategy(found, 3, generator=derive(0))
    assert picked.probabilities is not None
    assert bool((picked.probabilities <= 1).all())


def test_prefilter_checks_all_rows_that_it_hands_over() -> None:
    strategy = Prefilter(Entropy(), CoreSet(), beta=1.0)
    scores = entropy(synthetic_evidence(N)["log_probs"])
    dull = int(scores.argmin())
    found = evidence(*strategy.needs)
    found.tensor("features")[dull, 0] = torch.nan
    with pytest.raises(RowError, match=f"^features, row {dull}: holds NaN"):
        strategy(found, 1, generator=derive(0))
    for inner, name in ((Utility(), "utility"), (Margin(point=True), "point_log_probs")):
        found = evidence("log_probs", name)
        found.tensor(name)[dull] = torch.nan
        with pytest.raises(RowError, match=f"^{name}, row {dull}: holds NaN"):
            Prefilter(Entropy(), inner, beta=1.0)(found, 1, generator=derive(0))


def test_rows_are_named_by_their_place_among_all() -> None:
    found = evidence("utility", "features", "labelled_features", "pending_features")
    found.tensor("features")[:, 0] = torch.nan
    with pytest.raises(RowError, match=r"^features, row ") as caught:
        Subset(CoreSet(), candidates=3)(found, 1, generator=derive(0))
    rows = torch.randperm(N, generator=derive(0))[:3].sort().values
    assert f"row {int(rows[0])}:" in str(caught.value)
    found.tensor("features")[:] = 1.0
    found.tensor("labelled_features")[2] = torch.nan
    with pytest.raises(RowError, match=r"^labelled_features, row 2:"):
        Subset(CoreSet(), candidates=3)(found, 1, generator=derive(0))


class Counting:
    """Utility that is computed when it is read, and how many rows were."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, inputs: Rows) -> Tensor:
        self.rows += len(inputs)
        return inputs[0 : len(inputs)]


def test_a_subset_is_drawn_at_random_and_nothing_else_is_computed() -> None:
    counting, values = Counting(), torch.randn(N, dtype=torch.float64)
    found = Evidence(N, utility=OnDemand(counting, TensorRows(values)))
    picked = Subset(Utility(), candidates=10)(found, 4, generator=derive(5))
    assert counting.rows <= 10 + 1  # one to learn the shape
    rows = torch.randperm(N, generator=derive(5))[:10]
    best = rows[values[rows].argsort(descending=True)[:4]]
    assert picked.indices.tolist() == best.tolist()
    assert picked.scores.tolist() == values[best].tolist()
    assert picked.report.candidates == 10
    seen = {int(Subset(Utility(), candidates=1)(found, 1, generator=derive(s)).indices[0]) for s in range(300)}
    assert len(seen) > N // 2


def test_a_pool_smaller_than_the_subset_is_looked_at_whole() -> None:
    found = evidence("utility")
    one, whole = (strategy(found, 4, generator=derive(0)) for strategy in (Subset(Utility(), candidates=N), Utility()))
    assert one.indices.tolist() == whole.indices.tolist()
    assert one.report.candidates is None
    large = Subset(Utility(), candidates=3)(found, 9, generator=derive(0))
    assert len(set(large.indices.tolist())) == 9
    assert large.report.candidates == 9


def test_probabilities_within_a_subset_are_not_passed_on() -> None:
    found = evidence("log_probs")
    assert Subset(Power(BALD()), candidates=N)(found, 3, generator=derive(0)).probabilities is not None
    assert Subset(Power(BALD()), candidates=9)(found, 3, generator=derive(0)).probabilities is None


@pytest.mark.parametrize("strategy", [Prefilter(Entropy(), CoreSet()), Subset(BALD())], ids=repr)
def test_none_all_and_more(strategy: Strategy) -> None:
    found = evidence(*strategy.needs)
    assert len(strategy(found, 0, generator=derive(0))) == 0
    assert sorted(strategy(found, N, generator=derive(0)).indices.tolist()) == list(range(N))
    for b in (-1, N + 1):
        with pytest.raises(SelectionError, match="cannot pick"):
            strategy(found, b, generator=derive(0))


def test_parameters_out_of_range_are_refused() -> None:
    for beta in (0.5, torch.nan, torch.inf):
        with pytest.raises(SelectionError, match="prefilter keeps beta"):
            Prefilter(Entropy(), CoreSet(), beta=beta)
    with pytest.raises(SelectionError, match="at least one candidate, not 0"):
        Subset(Random(), candidates=0)
    with pytest.raises(EvidenceError, match="needs log_probs"):
        Prefilter(Entropy(), Random())(Evidence(5), 1, generator=derive(0))


@pytest.mark.parametrize(
    "strategy",
    [
        Prefilter(Entropy(point=True), KMeansMargin(beta=3.0), beta=4.0),
        Subset(Prefilter(BALD(), Power(BALD(), beta=2.0)), candidates=7),
        Prefilter(BALD(), Subset(CoreSet(normalise=True))),
    ],
    ids=repr,
)
def test_both_strategies_come_back_from_json(strategy: Strategy) -> None:
    assert from_json(to_json(strategy)) == strategy


def test_half_precision_is_reported() -> None:
    found = evidence("log_probs")
    half = Evidence(N, log_probs=found.tensor("log_probs").half())
    for strategy in (Subset(BALD(), candidates=9), Prefilter(BALD(), Random())):
        assert strategy(half, 3, generator=derive(0)).report.renormalised
        assert not strategy(found, 3, generator=derive(0)).report.renormalised


def test_picks_of_badge_in_the_best_are_those_of_the_law() -> None:
    strategy = Prefilter(Margin(point=True), BADGE(), beta=2.0)
    found = evidence("point_log_probs", "features")
    from asktell.embeddings import GradientEmbedding

    top = found.tensor("point_log_probs").exp().topk(2, dim=1).values
    best = (top[:, 1] - top[:, 0]).argsort(descending=True)[:8].sort().values
    gradients = GradientEmbedding.of(found.tensor("point_log_probs")[best], found.tensor("features")[best])
    picked = strategy(found, 4, generator=derive(0))
    assert int(picked.indices[0]) == int(best[int(kmeans_pp(gradients, 1, generator=derive(0)).indices[0])])
