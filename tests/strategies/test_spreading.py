"""BADGE and margin with k-means: what they hand to the selections, and which evidence they ask for."""

import pytest
import torch

from asktell.embeddings import GradientEmbedding
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.evidence import Evidence, gather
from asktell.posteriors import MCDropout
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.selection import kmeans_pp, top_k, weighted_kmeans
from asktell.strategies import BADGE, KMeansMargin
from asktell.testing.strategies import synthetic_evidence
from asktell.types import Candidates

N = 60


def evidence(*names: str) -> Evidence:
    found = synthetic_evidence(N)
    return Evidence(N, **{name: found[name] for name in names})


CANDIDATES = ("point_log_probs", "features")
PENDING = ("pending_point_log_probs", "pending_features")


def test_badge_is_k_means_pp_of_the_gradients() -> None:
    found = evidence(*CANDIDATES)
    gradients = GradientEmbedding.of(found.tensor("point_log_probs"), found.tensor("features"))
    for first in ("largest", "uniform"):
        picked = BADGE(first)(found, 9, generator=derive(1))
        expected = kmeans_pp(gradients, 9, first=first, generator=derive(1))
        assert picked.indices.tolist() == expected.indices.tolist()
        assert picked.scores.tolist() == expected.scores.tolist()
    assert int(BADGE()(found, 1, generator=derive(0)).indices[0]) == int(gradients.norms().argmax())


def test_badge_counts_what_is_pending_as_picked() -> None:
    found = evidence(*CANDIDATES, *PENDING)
    copies = Evidence(
        N,
        point_log_probs=found.point_log_probs,
        features=found.features,
        pending_point_log_probs=found.tensor("point_log_probs")[1:],
        pending_features=found.tensor("features")[1:],
    )
    assert BADGE()(copies, 1, generator=derive(0)).indices.tolist() == [0]
    assert BADGE()(copies, 2, generator=derive(0)).report.filled_from == 1
    half = evidence(*CANDIDATES, PENDING[0])
    with pytest.raises(EvidenceError, match="needs pending_features"):
        BADGE()(half, 1, generator=derive(0))


def test_a_bad_pending_row_is_named_as_such() -> None:
    found = evidence(*CANDIDATES, *PENDING)
    found.tensor("pending_features")[2, 0] = torch.nan
    with pytest.raises(RowError, match="given features, row 2"):
        BADGE()(found, 1, generator=derive(0))


def test_kmeans_margin_clusters_the_most_informative() -> None:
    found = evidence("point_log_probs", "features")
    top = found.tensor("point_log_probs").exp().topk(2, dim=1).values
    informativeness = 1 - (top[:, 0] - top[:, 1])
    generator = derive(0)
    best = top_k(informativeness, 15, generator=generator).indices
    expected = weighted_kmeans(found.tensor("features")[best], informativeness[best], 5, generator=generator)
    picked = KMeansMargin(point=True, beta=3.0)(found, 5, generator=derive(0))
    assert picked.indices.tolist() == best[expected.indices].tolist()
    torch.testing.assert_close(picked.scores, informativeness[picked.indices])
    assert (picked.report.passes, picked.report.rows_read) == (2, 2 * N)


def test_beta_one_is_top_margin_and_a_large_beta_takes_all() -> None:
    found = evidence("log_probs", "features")
    mean = found.tensor("log_probs").exp().mean(1).topk(2, dim=1).values
    best = (mean[:, 1] - mean[:, 0]).argsort(descending=True)[:7]
    assert set(KMeansMargin(beta=1.0)(found, 7, generator=derive(0)).indices.tolist()) == set(best.tolist())
    everything, more = (KMeansMargin(beta=beta)(found, 7, generator=derive(0)) for beta in (N / 7, 1e9))
    assert everything.indices.tolist() == more.indices.tolist()


def test_every_group_of_close_calls_is_asked_and_none_of_sure_predictions() -> None:
    sure, close = torch.tensor([0.99, 0.01]).log(), torch.tensor([0.5, 0.5]).log()
    place = torch.tensor([0.0, 10.0, 20.0]).repeat_interleave(10)[:, None] + torch.rand(30, 1, generator=derive(0))
    found = Evidence(30, point_log_probs=torch.stack([close] * 20 + [sure] * 10), features=place)
    picked = KMeansMargin(point=True)(found, 2, generator=derive(0)).indices
    assert sorted((picked // 10).tolist()) == [0, 1]


def test_a_beta_below_one_or_without_end_is_refused() -> None:
    for beta in (0.5, torch.nan, torch.inf):
        with pytest.raises(SelectionError, match="beta must be at least 1 and finite"):
            KMeansMargin(beta=beta)


def test_half_precision_is_reported() -> None:
    found = evidence("point_log_probs", "features")
    half = Evidence(N, point_log_probs=found.tensor("point_log_probs").half(), features=found.features)
    for strategy in (BADGE(), KMeansMargin(point=True)):
        assert strategy(half, 2, generator=derive(0)).report.renormalised
        assert not strategy(found, 2, generator=derive(0)).report.renormalised


def test_evidence_is_gathered_from_a_posterior() -> None:
    from torch import nn

    pool = torch.randn(30, 3, generator=derive(0))
    snapshot = Candidates(tuple(map(str, range(20))), pending_ids=("20", "21"))

    def inputs(ids: tuple[str, ...]) -> Rows:
        return TensorRows(pool[[int(item) for item in ids]])

    posterior = MCDropout(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)))
    for strategy in (BADGE(), KMeansMargin(), KMeansMargin(point=True)):
        found = gather(strategy.needs, posterior, snapshot, inputs, 5, derive(0))
        assert found.names() == strategy.needs
        assert len(set(strategy(found, 4, generator=derive(0)).indices.tolist())) == 4
