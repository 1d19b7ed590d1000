"""A training as a posterior."""

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors import Deterministic, Ensemble, MCDropout, Posterior, Trajectory, model_id
from asktell.posteriors.ensemble import Members
from asktell.posteriors.trajectory import CheckpointDraws, spaced
from asktell.posteriors.utility import NetworkPosterior
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded
from asktell.scores import mc_variation_ratio
from asktell.testing.posteriors import PosteriorConformance

CHECKPOINTS, CLASSES = 5, 4


def network(seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    """BatchNorm and dropout, so that eval mode matters."""
    with seeded(derive(seed, "weights")):
        module = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 4)
        )
        norm = module[1]
        assert isinstance(norm, nn.BatchNorm1d)
        norm.running_mean, norm.running_var = torch.randn(8), torch.rand(8) + 0.5
    return module.to(dtype)


def items(count: int = 12) -> Tensor:
    return torch.randn(count, 3, generator=derive(2, "inputs"))


def checkpoints() -> list[nn.Module]:
    return [network(seed) for seed in range(CHECKPOINTS)]


class TestTrajectory(PosteriorConformance):
    dtype = torch.float32

    def module(self) -> nn.Module:
        return network(9, self.dtype)

    def wrap(self, module: nn.Module) -> Posterior:
        return Trajectory([*(network(seed, self.dtype) for seed in range(4)), module], batch=5)

    def inputs(self) -> Tensor:
        return items().to(self.dtype)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        modules = [network(seed, self.dtype) for seed in range(5)]
        put_weights(Members(modules), weights, "the test")
        return Trajectory(modules)


class TestTrajectoryDouble(TestTrajectory):
    dtype = torch.float64

    test_another_process_gives_the_same_draws = None  # type: ignore[assignment]  # slow; there is nothing to draw


def test_a_draw_of_all_is_every_checkpoint_in_order_of_time() -> None:
    modules = checkpoints()
    drawn = Trajectory(modules).draw(CHECKPOINTS, generator=derive(0)).log_probs(items())
    for number, module in enumerate(modules):
        torch.testing.assert_close(drawn[:, number], Deterministic(module).predict(items()))


def test_predictions_features_and_gradients_are_those_of_the_last_checkpoint() -> None:
    modules = checkpoints()
    posterior, last = Trajectory(modules), Deterministic(modules[-1])
    assert torch.equal(posterior.predict(items()), last.predict(items()))
    assert torch.equal(posterior.point_log_probs(items()), last.point_log_probs(items()))
    assert torch.equal(posterior.features(items()), last.features(items()))
    assert torch.equal(posterior.expected_gradient_length(items()), last.expected_gradient_length(items()))
    assert model_id(posterior.last) == model_id(last)
    assert torch.equal(posterior.predict(items()), MCDropout(modules[-1]).predict(items()))


def test_the_head_may_be_named() -> None:
    posterior = Trajectory(checkpoints(), head="6")
    assert torch.equal(posterior.features(items()), posterior.last.features(items()))
    with pytest.raises(ModelError, match="no such module"):
        Trajectory(checkpoints(), head="the last one")


@given(st.integers(1, 40), st.integers(1, 40))
def test_fewer_draws_are_evenly_spaced_and_the_last_is_among_them(k: int, count: int) -> None:
    chosen = spaced(min(k, count), count)
    gaps = [after - before for before, after in zip((-1, *chosen), chosen, strict=False)]
    assert len(chosen) == min(k, count)
    assert chosen[-1] == count - 1
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("k", range(1, CHECKPOINTS + 1))
def test_draws_are_the_same_whatever_the_generator(k: int) -> None:
    posterior = Trajectory(checkpoints())
    first, second = (posterior.draw(k, generator=derive(seed)) for seed in (0, 1))
    assert isinstance(first, CheckpointDraws)
    assert first.checkpoints == second.checkpoints == spaced(k, CHECKPOINTS)
    everything = posterior.draw(CHECKPOINTS, generator=derive(0)).log_probs(items())
    assert torch.equal(first.log_probs(items()), everything[:, list(first.checkpoints)])


def test_more_draws_than_checkpoints_raise() -> None:
    posterior = Trajectory(checkpoints())
    assert posterior.distinct == CHECKPOINTS
    with pytest.raises(ModelError, match="has 5"):
        posterior.draw(6, generator=derive(0))


def test_its_variation_ratio_is_the_temporal_vote_ratio() -> None:
    modules = checkpoints()
    votes = torch.stack([Deterministic(module).predict(items()).argmax(1) for module in modules], 1)
    by_hand = [1 - max(row.count(c) for c in range(CLASSES)) / CHECKPOINTS for row in votes.tolist()]
    drawn = Trajectory(modules).draw(CHECKPOINTS, generator=derive(0)).log_probs(items())
    assert mc_variation_ratio(drawn).tolist() == pytest.approx(by_hand, abs=1e-12)
    assert len(set(by_hand)) > 1


def test_its_draws_are_those_of_an_ensemble_of_the_checkpoints() -> None:
    posterior, ensemble = Trajectory(checkpoints()), Ensemble(checkpoints())
    drawn, expected = (p.draw(CHECKPOINTS, generator=derive(0)).log_probs(items()) for p in (posterior, ensemble))
    assert torch.equal(drawn, expected)
    assert posterior.weights().keys() == ensemble.weights().keys()
    assert model_id(posterior) == model_id(ensemble)


def test_it_is_a_posterior_of_one_network_and_says_what_it_was_told() -> None:
    posterior = Trajectory(checkpoints(), told={"train_accuracy": 1.0})
    assert isinstance(posterior, NetworkPosterior)
    assert posterior.told == posterior.last.told == {"train_accuracy": 1.0}


def test_bad_checkpoints_raise() -> None:
    with pytest.raises(ModelError, match="one checkpoint or more"):
        Trajectory([])
    with pytest.raises(ModelError, match="same classes"):
        Trajectory([nn.Linear(3, 4), nn.Linear(3, 5)]).draw(2, generator=derive(0)).log_probs(items())
