"""BAIT, CAL and EGL: what they hand to kernels and scores, and the recipe that takes the gradient in all weights."""

import pytest
import torch
from torch import nn

from asktell.embeddings import LastLayer
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.evidence import Evidence, check_offered, gather
from asktell.learners import Round, SingleNetwork
from asktell.posteriors import Deterministic, NetworkWithUtility, gradient_utility
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.scores import contrastive, expected_gradient_length
from asktell.selection import bait, power_sample
from asktell.strategies import BAIT, CAL, EGL, Power, Softmax, Strategy, Subset, Utility, from_json, recipe, to_json
from asktell.testing.strategies import synthetic_evidence
from asktell.training import Training, two_moons_mlp
from asktell.types import Candidates

N = 60
NAMES = tuple(f"{of}{what}" for of in ("", "labelled_", "pending_") for what in ("point_log_probs", "features"))


def evidence(**changed: object) -> Evidence:
    found = synthetic_evidence(N)
    return Evidence(N, **{**{name: found[name] for name in NAMES}, **changed})  # type: ignore[arg-type]


def layer(found: Evidence, of: str = "") -> LastLayer:
    return LastLayer(found.tensor(f"{of}point_log_probs"), found.tensor(f"{of}features"))


def test_bait_is_the_selection_given_what_is_labelled_and_pending() -> None:
    found = evidence()
    for strategy in (BAIT(), BAIT(regulariser=0.1, oversample=1.5, weighting="code", size=6, projection="random")):
        picked = strategy(found, 6, generator=derive(1))
        expected = bait(
            layer(found),
            6,
            labelled=layer(found, "labelled_"),
            given=layer(found, "pending_"),
            regulariser=strategy.regulariser,
            oversample=strategy.oversample,
            weighting=strategy.weighting,
            size=strategy.size,
            projection=strategy.projection,
            generator=derive(1),
        )
        assert picked.indices.tolist() == expected.indices.tolist()
        assert picked.scores.tolist() == expected.scores.tolist()


def test_bait_works_without_labels_and_without_pending_items() -> None:
    nothing = {"labelled_point_log_probs": torch.zeros(0, 3), "labelled_features": torch.zeros(0, 4)}
    calm = evidence(pending_point_log_probs=None, pending_features=None, **nothing)
    expected = bait(layer(calm), 4, generator=derive(0))
    assert BAIT()(calm, 4, generator=derive(0)).indices.tolist() == expected.indices.tolist()
    with pytest.raises(EvidenceError, match="needs pending_features"):
        BAIT()(evidence(pending_features=None), 4, generator=derive(0))


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_row_is_named_as_evidence(name: str) -> None:
    found = evidence()
    found.tensor(name)[2, 0] = torch.nan
    strategies: list[Strategy] = [BAIT()] if "pending" in name else [BAIT(), CAL()]
    for strategy in strategies:
        with pytest.raises(RowError, match=f"^{name}, row 2: holds NaN"):
            strategy(found, 3, generator=derive(0))


def test_cal_is_the_contrast_with_labelled_items() -> None:
    found = evidence()
    for strategy in (CAL(), CAL(neighbours=2, normalise=False)):
        scores = contrastive(
            layer(found), layer(found, "labelled_"), neighbours=strategy.neighbours, normalise=strategy.normalise
        )
        picked = strategy(found, 5, generator=derive(0))
        assert picked.indices.tolist() == scores.argsort(descending=True)[:5].tolist()
        assert picked.scores.tolist() == scores[picked.indices].tolist()
    nothing = evidence(labelled_point_log_probs=torch.zeros(0, 3), labelled_features=torch.zeros(0, 4))
    with pytest.raises(EvidenceError, match="nothing is labelled; make the first batch random"):
        CAL()(nothing, 5, generator=derive(0))
    with pytest.raises(SelectionError, match="at least one neighbour"):
        CAL(neighbours=0)(found, 5, generator=derive(0))


def test_egl_ranks_by_the_expected_length() -> None:
    found = evidence()
    p, h = found.tensor("point_log_probs"), found.tensor("features")
    for strategy in (EGL(), EGL(bias=False), EGL(normalise=True)):
        scores = expected_gradient_length(p, h, bias=strategy.bias, normalise=strategy.normalise)
        torch.testing.assert_close(strategy.scores(found), scores)
        assert strategy(found, 5, generator=derive(0)).indices.tolist() == scores.argsort(descending=True)[:5].tolist()
    sampled = Power(EGL(), beta=2.0)(found, 5, generator=derive(0))
    expected = power_sample(EGL().scores(found), 5, beta=2.0, generator=derive(0))
    assert sampled.indices.tolist() == expected.indices.tolist()
    with pytest.raises(SelectionError, match="use Softmax or Softrank"):
        Power(Utility())
    assert len(Softmax(Utility())(Evidence(4, utility=torch.arange(4.0)), 2, generator=derive(0))) == 2


def test_they_are_known_by_name_and_parameters_come_back() -> None:
    assert recipe("bait").strategy == BAIT()
    assert recipe("cal").strategy == CAL()
    assert recipe("egl").strategy == EGL()
    assert recipe("egl").wrap is None
    assert recipe("egl-full").strategy == Subset(Utility(), candidates=1_000)
    for strategy in (BAIT(weighting="sum"), CAL(neighbours=4), EGL(bias=False), Subset(Utility(), candidates=5)):
        assert from_json(to_json(strategy)) == strategy


POOL = torch.randn(50, 2, generator=derive(0, "pool"))
SNAPSHOT = Candidates(tuple(map(str, range(40))), ("40", "41", "42"), ("a", "b", "a"), ("43", "44"))


def inputs(ids: tuple[str, ...]) -> Rows:
    return TensorRows(POOL[[int(item) for item in ids]])


def test_the_recipe_with_a_learner_asks_by_the_gradient_in_all_weights() -> None:
    chosen = recipe("egl-full")
    assert chosen.wrap is not None
    plain = SingleNetwork(two_moons_mlp, Training(epochs=2))
    learner = chosen.wrap(plain)
    check_offered(chosen.strategy.needs, learner.offers, "the learner")
    with pytest.raises(EvidenceError, match=r"needs utility: utility comes from .* such as egl-full"):
        check_offered(chosen.strategy.needs, plain.offers, "the learner")
    data = Round(0, ("a", "b"), inputs(SNAPSHOT.labelled_ids), torch.tensor([0, 1, 0]))
    posterior = learner.fit(data, generator=derive(1))
    assert isinstance(posterior, NetworkWithUtility)
    found = gather(chosen.strategy.needs, posterior, SNAPSHOT, inputs, 5, derive(0))
    picked = chosen.strategy(found, 6, generator=derive(0))
    lengths = posterior.utility(inputs(SNAPSHOT.ids))
    assert picked.indices.tolist() == lengths.argsort(descending=True)[:6].tolist()
    few = Subset(Utility(), candidates=8)(found, 3, generator=derive(0))
    assert few.report.candidates == 8


def test_of_a_network_of_one_layer_both_forms_agree() -> None:
    posterior = gradient_utility(Deterministic(nn.Linear(2, 3).double()))
    whole = gather(frozenset({"utility"}), posterior, SNAPSHOT, inputs, 5, derive(0))
    last = gather(EGL().needs, posterior, SNAPSHOT, inputs, 5, derive(0))
    torch.testing.assert_close(Utility().scores(whole), EGL().scores(last))


def test_evidence_is_gathered_from_a_posterior() -> None:
    posterior = Deterministic(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3)))
    for strategy in (BAIT(), CAL(), EGL()):
        found = gather(strategy.needs, posterior, SNAPSHOT, inputs, 5, derive(0))
        assert found.names() == strategy.needs
        assert len(set(strategy(found, 9, generator=derive(0)).indices.tolist())) == 9


def test_half_precision_is_reported() -> None:
    found = evidence(point_log_probs=synthetic_evidence(N)["point_log_probs"].half())
    for strategy in (BAIT(), CAL(), EGL()):
        assert strategy(found, 2, generator=derive(0)).report.renormalised
        assert not strategy(evidence(), 2, generator=derive(0)).report.renormalised
