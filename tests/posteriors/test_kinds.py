"""Every kind of posterior obeys every law, in float32 and in float64."""

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from asktell.learners.bootstrap import part
from asktell.posteriors import (
    Committee,
    Deterministic,
    Ensemble,
    Forest,
    GaussianWeights,
    Laplace,
    MCDropout,
    Posterior,
    Tree,
    calibrated,
    pooled,
)
from asktell.posteriors.curvature import Curvature, Dense, Kronecker, curvature_of
from asktell.posteriors.ensemble import Members
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded
from asktell.testing.posteriors import PosteriorConformance

ITEMS, CLASSES = 12, 4


def network(seed: int, dtype: torch.dtype) -> nn.Module:
    """BatchNorm and dropout, so that eval mode matters."""
    with seeded(derive(seed, "weights")):
        module = nn.Sequential(
            nn.Linear(3, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Linear(8, 6),
            nn.Tanh(),
            nn.Linear(6, CLASSES),
        )
        norm = module[1]
        assert isinstance(norm, nn.BatchNorm1d)
        norm.running_mean, norm.running_var = torch.randn(8), torch.rand(8) + 0.5
    return module.to(dtype)


def put(module: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    put_weights(module, weights, "the test")
    return module


class Laws(PosteriorConformance):
    dtype = torch.float32
    test_another_process_gives_the_same_draws = None  # type: ignore[assignment]  # one process for all, below

    def module(self) -> nn.Module:
        return network(1, self.dtype)

    def others(self) -> list[nn.Module]:
        return [network(seed, self.dtype) for seed in (2, 3, 4, 5)]

    def inputs(self) -> Tensor:
        return torch.randn(ITEMS, 3, generator=derive(2, "inputs")).to(self.dtype)


class TestEnsemble(Laws):
    def wrap(self, module: nn.Module) -> Posterior:
        return Ensemble([module, *self.others()], batch=5)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        modules = [self.module() for _ in range(5)]
        put(Members(modules), weights)
        return Ensemble(modules)


class TestEnsembleOnATrunk(Laws):
    def wrap(self, module: nn.Module) -> Posterior:
        assert isinstance(module, nn.Sequential)
        heads = [module[4:], *(other[4:] for other in self.others() if isinstance(other, nn.Sequential))]
        return Ensemble(heads, trunk=module[:4])

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        whole = self.module()
        assert isinstance(whole, nn.Sequential)
        heads, trunk = (
            [other[4:] for other in [self.module() for _ in range(5)] if isinstance(other, nn.Sequential)],
            whole[:4],
        )
        put(Members(heads, trunk=trunk), weights)
        return Ensemble(heads, trunk=trunk)


class TestMixtureOfDropout(Laws):
    k = 5

    def wrap(self, module: nn.Module) -> Posterior:
        return pooled([MCDropout(member) for member in (module, self.others()[0])])

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        return pooled([MCDropout(put(self.module(), part(weights, f"{i}."))) for i in range(2)])


class TestMixtureOfFinite(Laws):
    def wrap(self, module: nn.Module) -> Posterior:
        return pooled([Ensemble([module, self.others()[0]]), Deterministic(self.others()[1])])

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        pair = [self.module(), self.module()]
        put(Members(pair), part(weights, "0."))
        return pooled([Ensemble(pair), Deterministic(put(self.module(), part(weights, "1.")))])


class TestGaussianWeights(Laws):
    def wrap(self, module: nn.Module) -> Posterior:
        names = ("0.weight", "0.bias", "4.weight", "6.bias")
        weights = dict(module.named_parameters())
        return GaussianWeights(module, {name: 0.1 * torch.ones_like(weights[name]) for name in names}, batch=5)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        return GaussianWeights(put(self.module(), part(weights, "mean.")), part(weights, "sd."))


class TestLaplace(Laws):
    def curvature(self) -> Curvature:
        generator = derive(7)
        p = torch.randn(9, CLASSES, generator=generator, dtype=torch.float64).softmax(1)
        return self.kind().of(p, torch.randn(9, 7, generator=generator, dtype=torch.float64))

    def kind(self) -> type[Dense] | type[Kronecker]:
        return Dense

    def wrap(self, module: nn.Module) -> Posterior:
        return Laplace(module, self.curvature(), precision=0.5, batch=5)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        module = put(self.module(), part(weights, "network."))
        return Laplace(module, curvature_of(part(weights, "curvature.")), precision=float(weights["precision"]))


class TestKroneckerLaplace(TestLaplace):
    def kind(self) -> type[Dense] | type[Kronecker]:
        return Kronecker


class TestScaled(Laws):
    def wrap(self, module: nn.Module) -> Posterior:
        return calibrated(Ensemble([module, *self.others()]), 1.7)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        modules = [self.module() for _ in range(5)]
        put(Members(modules), part(weights, "posterior."))
        return calibrated(Ensemble(modules), float(weights["temperature"]))


class Tilted:
    """A function that returns probabilities."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, x: np.ndarray) -> np.ndarray:
        scores = np.exp(x.astype(np.float64) * self.by)
        p: np.ndarray = scores / scores.sum(1, keepdims=True)
        return p


class TestCommittee(Laws):
    def posterior(self) -> Posterior:
        return Committee([Tilted(by) for by in (0.0, 0.5, 1.0, -2.0)], batch=5)

    def module(self) -> nn.Module:
        return PosteriorConformance.module(self)


def stump(share: float) -> Tree:
    left, right, feature = (np.array(array) for array in ([1, -1, -1], [2, -1, -1], [0, 0, 0]))
    values = np.array([[0.5, 0.5, 0.0], [share, 1 - share, 0.0], [0.0, share, 1 - share]])
    return Tree(left, right, feature, np.array([0.1, 0.0, 0.0]), values)


class TestForest(TestCommittee):
    def posterior(self) -> Posterior:
        return Forest([stump(share) for share in (1.0, 0.5, 0.2)])

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        return Forest.of(weights)


KINDS = [kind for name, kind in list(globals().items()) if name.startswith("Test")]
SHARDING = ("order_of_items_does_not_matter", "chunks_do_not_matter", "equal_items_have_equal_values")


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_in_float64_nothing_depends_on_order_and_chunks_by_more_than_its_rounding(kind: type[Laws]) -> None:
    """Within 1e-10, as the suite has it for that dtype; the other laws have no more to say in it."""
    suite = kind()
    suite.dtype = torch.float64
    assert suite.values().dtype == torch.float64
    for law in (*SHARDING, "another_seed_gives_other_draws", "draws_differ"):
        getattr(suite, f"test_{law}")()


IN_ANOTHER_PROCESS = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("subject", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["subject"] = module
spec.loader.exec_module(module)
print(json.dumps({kind.__name__: kind().values().tolist() for kind in module.KINDS}))
"""


def test_another_process_gives_the_same_draws() -> None:
    """One process for all kinds: a new interpreter takes seconds to start."""
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, inspect.getfile(TestEnsemble)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(printed.splitlines()[-1])
    assert len(theirs) == len(KINDS)
    for kind in KINDS:
        ours = kind().values()
        assert theirs[kind.__name__] == pytest.approx(ours, abs=1e-5 if ours.dtype == torch.float32 else 1e-10)
