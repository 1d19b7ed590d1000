"""Members that train together come out as they would alone."""

import copy

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.randomness import derive, seeded
from asktell.training import Training, fit, two_moons_mlp
from asktell.training.stacked import fit_together

X = torch.randn(21, 2, generator=derive(0), dtype=torch.float64)
Y = (X[:, 0] > 0).long()


def network(seed: int) -> nn.Module:
    with seeded(derive(seed)):
        return nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).double()


def state(modules: list[nn.Module]) -> list[Tensor]:
    return [weight for module in modules for weight in module.state_dict().values()]


@pytest.mark.parametrize("training", [
    Training(epochs=3, batch=8, lr=1e-2, decay=0.5),
    Training(epochs=2, batch=10, lr=1e-2, samples_per_epoch=50, decay=0.5, decay_on="linear"),
    Training(epochs=3, batch=None, lr=1e-2),
])  # fmt: skip
def test_without_dropout_together_is_alone(training: Training) -> None:
    together, alone = ([network(seed) for seed in range(3)] for _ in range(2))
    generators = [derive(seed, "fit") for seed in range(3)]
    fit_together(together, X, Y, training=training, generators=generators)
    for seed, module in enumerate(alone):
        fit(module, X, Y, training=training, generator=derive(seed, "fit"))
    assert all(
        torch.allclose(a.double(), b.double(), atol=1e-9) for a, b in zip(state(together), state(alone), strict=True)
    )
    assert not any(part.training for module in together for part in module.modules())


def test_dropout_is_seeded_and_differs_between_members() -> None:
    def trained(seed: int) -> list[Tensor]:
        with seeded(derive(7)):
            twin = two_moons_mlp(hidden=6).double()
        twins: list[nn.Module] = [twin, copy.deepcopy(twin)]
        generators = [derive(seed), derive(seed)]
        fit_together(twins, X, Y, training=Training(epochs=3, batch=None, lr=1e-2), generators=generators)
        return state(twins)

    before = torch.get_rng_state()
    first, again, other = trained(0), trained(0), trained(1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], first[6])


def test_what_cannot_train_together() -> None:
    for modules, training, words in (
        ([network(0), network(1)], Training(epochs=1, patience=1), "cannot stop early"),
        ([network(0), nn.Linear(2, 2).double()], Training(epochs=1), "cannot be stacked"),
    ):
        with pytest.raises(ModelError, match=words):
            fit_together(modules, X, Y, training=training, generators=[derive(0), derive(1)])
    broken = [network(0), network(1)]
    nn.init.constant_(broken[1][3].weight, torch.inf)  # type: ignore[index]
    with pytest.raises(ModelError, match="member 1: the loss is nan in epoch 0"):
        fit_together(broken, X, Y, training=Training(epochs=1), generators=[derive(0), derive(1)])
    assert not any(module.training for module in broken)
