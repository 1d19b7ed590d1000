"""Ensembles and mixtures: what they are by definition, and what they are together."""

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors import (
    Committee,
    Deterministic,
    Ensemble,
    HasWeights,
    MCDropout,
    Mixture,
    MixtureOfNetworks,
    Posterior,
    model_id,
    pooled,
)
from asktell.randomness import derive, seeded
from asktell.rows import as_rows
from asktell.scores import bald, uncertainty

X = torch.randn(9, 3, generator=derive(0, "x"), dtype=torch.float64)


def network(seed: int, classes: int = 4) -> nn.Module:
    with seeded(derive(seed)):
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, classes)).double().eval()


def drawn(posterior: Posterior, k: int, seed: int = 0) -> Tensor:
    return posterior.draw(k, generator=derive(seed)).log_probs(as_rows(X))


def test_a_draw_is_a_member_and_the_prediction_their_mean() -> None:
    modules = [network(seed) for seed in range(5)]
    with torch.no_grad():
        expected = torch.stack([module(X).softmax(1) for module in modules], 1)
    ensemble = Ensemble(modules)
    assert torch.allclose(drawn(ensemble, 5).exp(), expected, atol=1e-12)
    assert torch.allclose(ensemble.predict(X).exp(), expected.mean(1), atol=1e-12)


def test_fewer_draws_are_a_seeded_subset_in_order() -> None:
    ensemble = Ensemble([network(seed) for seed in range(5)])
    everything = drawn(ensemble, 5)
    chosen = set()
    for seed in range(30):
        some = drawn(ensemble, 2, seed)
        members = [int((everything - some[:, i : i + 1]).abs().sum((0, 2)).argmin()) for i in (0, 1)]
        assert members[0] < members[1]
        assert torch.equal(some, everything[:, members])
        chosen.add(tuple(members))
    assert len(chosen) > 5


def test_equal_members_have_no_epistemic_uncertainty() -> None:
    log_probs = drawn(Ensemble([network(0)] * 3), 3)
    assert float(uncertainty(log_probs).epistemic.max()) < 1e-12
    assert model_id(Ensemble([network(0)] * 2)) != model_id(Ensemble([network(0)] * 3))


def test_the_trunk_runs_once_for_all_members() -> None:
    calls = []
    trunk = nn.Linear(3, 8).double()
    trunk.register_forward_hook(lambda *_: calls.append(1))
    heads = [nn.Linear(8, 4).double() for _ in range(3)]
    shared = Ensemble(heads, trunk=trunk)
    drawn(shared, 1)  # looks once whether the network is random
    calls.clear()
    values = drawn(shared, 3)
    assert len(calls) == 1
    apart = Ensemble([nn.Sequential(trunk, head) for head in heads])
    assert torch.allclose(values.exp(), drawn(apart, 3).exp(), atol=1e-12)


def test_ensembles_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="one member or more"):
        Ensemble([])
    with pytest.raises(ModelError, match=r"must have the same classes, but they have \[3, 4\]"):
        Ensemble([network(0), network(1, classes=3)]).predict(X)
    with pytest.raises(ModelError, match="one posterior or more"):
        Mixture([])


def test_draws_of_a_mixture_are_shared_out_evenly() -> None:
    mixture = pooled([MCDropout(network(seed)) for seed in range(3)])
    assert mixture.distinct is None
    alone = [drawn(Deterministic(network(seed)), 1) for seed in range(3)]
    for k, shares in ((3, [1, 1, 1]), (7, [2, 2, 3]), (2, [0, 1, 1])):
        values = drawn(mixture, k)
        owner = torch.stack([(values - point).abs().mean((0, 2)) for point in alone]).argmin(0)
        assert values.shape[1] == k
        assert sorted(owner.bincount(minlength=3).tolist()) == shares


def test_a_mixture_of_finite_ones_gives_each_function_once() -> None:
    small, large = Ensemble([network(0)]), Ensemble([network(seed) for seed in range(1, 5)])
    mixture = pooled([small, large])
    assert mixture.distinct == 5
    both = torch.cat([drawn(small, 1), drawn(large, 4)], 1)
    assert torch.equal(drawn(mixture, 5), both)
    assert torch.allclose(mixture.predict(X).exp(), (small.predict(X).exp() + large.predict(X).exp()) / 2, atol=1e-12)
    with pytest.raises(ModelError, match="k=6"):
        drawn(mixture, 6)


def test_pooled_information_is_the_mean_of_the_members_and_what_they_disagree_about() -> None:
    """The chain rule: I(y; w, e) = I(y; e) + mean_e I(y; w | e). So pooling never loses any."""
    mixture = pooled([MCDropout(network(seed)) for seed in range(3)])
    values = drawn(mixture, 60)
    members = [values[:, 20 * e : 20 * e + 20] for e in range(3)]
    between = bald(torch.stack([member.exp().mean(1).log() for member in members], 1))
    within = torch.stack([bald(member) for member in members]).mean(0)
    assert float(between.min()) > 0
    assert torch.allclose(bald(values), between + within, atol=1e-12)
    assert bool((bald(values) >= within).all())


def test_a_mixture_has_weights_if_all_its_members_have() -> None:
    dropout = [MCDropout(network(seed)) for seed in range(2)]
    function = Committee([lambda x: torch.full((len(x), 4), 0.25).numpy()] * 2)
    assert isinstance(pooled(dropout), MixtureOfNetworks)
    assert not isinstance(pooled([*dropout, function]), HasWeights)
    assert sorted(pooled(dropout).weights())[0] == "0.0.bias"  # type: ignore[attr-defined]
