"""Every law holds for our posteriors, and for every law there is a posterior that breaks it and no other."""

import os
from collections.abc import Callable, Mapping
from unittest import SkipTest

import pytest
import torch
from torch import Tensor, nn

from asktell.arrays import Features, LogProbs, PointLogProbs
from asktell.errors import ModelError
from asktell.posteriors import Deterministic, Draws, MCDropout, Posterior
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Rows, TensorRows, as_rows
from asktell.testing.posteriors import PosteriorConformance

ITEMS = 12


class Residual(nn.Module):
    """BatchNorm, dropout and a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.4)
        self.block = nn.Linear(8, 8)
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.inner(x)).relu()
        logits: Tensor = self.out(h + self.block(self.drop(h)).tanh())
        return logits


class Branching(Residual):
    """The same, with a branch that depends on the data: torch.fx cannot trace it."""

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.isnan().any()):
            raise ValueError("NaN")
        return super().forward(x)


def build(kind: type[nn.Module], dtype: torch.dtype) -> nn.Module:
    with seeded(derive(1, "weights")):
        module = kind().to(dtype)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.running_mean, layer.running_var = torch.randn(8).to(dtype), (torch.rand(8) + 0.5).to(dtype)
    return module


class Conformance(PosteriorConformance):
    dtype = torch.float32

    def module(self) -> nn.Module:
        return build(Residual, self.dtype)

    def wrap(self, module: nn.Module) -> Posterior:
        return MCDropout(module)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        module = self.module()
        put_weights(module, weights, "the test")
        return self.wrap(module)

    def inputs(self) -> Tensor:
        return torch.randn(ITEMS, 3, generator=derive(2, "inputs")).to(self.dtype)


class TestMCDropout(Conformance):
    pass


class TestMCDropoutDouble(Conformance):
    dtype = torch.float64

    test_another_process_gives_the_same_draws = None  # type: ignore[assignment]  # slow; the masks are the same


class TestMCDropoutSmallBatch(Conformance):
    def wrap(self, module: nn.Module) -> Posterior:
        return MCDropout(module, batch=6)

    test_another_process_gives_the_same_draws = None  # type: ignore[assignment]  # slow; the masks are the same


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
class TestMCDropoutUntraced(Conformance):
    def module(self) -> nn.Module:
        return build(Branching, self.dtype)

    test_another_process_gives_the_same_draws = None  # type: ignore[assignment]  # slow; the masks are the same


class TestDeterministic(Conformance):
    def wrap(self, module: nn.Module) -> Posterior:
        return Deterministic(module)

    test_another_process_gives_the_same_draws = None  # type: ignore[assignment]  # slow; there is nothing to draw


LAWS = sorted(name for name in vars(PosteriorConformance) if name.startswith("test_"))
Values = Callable[[Rows], LogProbs]


class Spoiled:
    """MC dropout that obeys; what is broken overrides one method."""

    offers = MCDropout.offers
    distinct: int | None = None

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.good = MCDropout(module)

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        return SpoiledDraws(self, self.good.draw(k, generator=generator))

    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        return good(inputs)

    def over(self, good: Values, inputs: Rows) -> Rows:
        return TensorRows(good(inputs))

    def predict(self, inputs: Rows) -> PointLogProbs:
        return self.good.predict(inputs)

    def point_log_probs(self, inputs: Rows) -> PointLogProbs:
        return self.good.point_log_probs(inputs)

    def features(self, inputs: Rows) -> Features:
        return self.good.features(inputs)


class SpoiledDraws:
    def __init__(self, posterior: Spoiled, good: Draws) -> None:
        self.posterior, self.good = posterior, good

    def log_probs(self, inputs: Rows) -> LogProbs:
        return self.posterior.log_probs(self.good.log_probs, inputs)

    def over(self, inputs: Rows) -> Rows:
        return self.posterior.over(self.log_probs, inputs)


def whole(inputs: Rows) -> Tensor:
    return inputs[0 : len(inputs)]


def tilted(log_probs: Tensor, by: Tensor | float) -> Tensor:
    """Still normalised, but not what it was."""
    tilt = torch.zeros_like(log_probs)
    tilt[..., 0] += by
    return (log_probs + tilt).log_softmax(-1)


class BreaksOffers(Spoiled):
    offers = frozenset({"log_probs", "features"})
    features = None  # type: ignore[assignment]


class BreaksSums(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        return good(inputs) + 0.01


class BreaksOrder(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        x, known = whole(inputs), Conformance().inputs()
        unusual = len(x) == ITEMS and not torch.equal(x[0], known[0])
        return tilted(good(inputs), float(unusual))


class BreaksChunks(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        return tilted(good(inputs), whole(inputs).mean())


class BreaksEquals(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        x = whole(inputs)
        earlier = torch.stack([(x[:i] == row).all(1).any() for i, row in enumerate(x)])
        return tilted(good(inputs), earlier.float()[:, None])


class BreaksDifference(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        log_probs = good(inputs)
        return log_probs[:, :1].expand_as(log_probs)


class BreaksSeed(Spoiled):
    made = 0

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        BreaksSeed.made += 1
        self.number = BreaksSeed.made

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        draws = self.good.draw(k, generator=derive(self.number, str(generator.initial_seed())))
        take_key(generator)
        return SpoiledDraws(self, draws)


class BreaksOtherSeed(Spoiled):
    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        draws = self.good.draw(k, generator=derive(0))
        take_key(generator)
        return SpoiledDraws(self, draws)


class BreaksProcess(Spoiled):
    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        draws = self.good.draw(k, generator=derive(os.getpid(), str(take_key(generator))))
        return SpoiledDraws(self, draws)


class BreaksSaving(Spoiled):
    def weights(self) -> dict[str, Tensor]:
        return {name: weight * 1.1 for name, weight in self.good.weights().items()}


class BreaksCalls(Spoiled):
    calls = 0

    def predict(self, inputs: Rows) -> PointLogProbs:
        self.calls += 1
        return tilted(self.good.predict(inputs), self.calls)


class BreaksOver(Spoiled):
    def over(self, good: Values, inputs: Rows) -> Rows:
        return TensorRows(good(inputs).flip(0))


class BreaksKey(Spoiled):
    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        draws = super().draw(k, generator=generator)
        take_key(generator)
        return draws


class BreaksNumbers(Spoiled):
    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        return super().draw(max(k, 1), generator=generator)


class BreaksGlobalMoved(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        torch.rand(1)
        return good(inputs)


class BreaksGlobalRead(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        with torch.random.fork_rng():
            return tilted(good(inputs), torch.rand(()))


class BreaksInputs(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        values = good(inputs)
        whole(inputs)[-1] *= 1 + 1e-6  # in place: seen by the caller, too little to see in a probability
        return values


class BreaksModule(Spoiled):
    def predict(self, inputs: Rows) -> PointLogProbs:
        log_probs = self.good.predict(inputs)
        self.module.eval()
        return log_probs


class BreaksRaisingModule(Spoiled):
    def predict(self, inputs: Rows) -> PointLogProbs:
        training = self.module.training
        self.module.eval()
        log_probs = self.good.predict(inputs)
        self.module.train(training)
        return log_probs


class BreaksFinished(Spoiled):
    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        key = take_key(generator)

        def now(inputs: Rows) -> LogProbs:
            return MCDropout(self.module).draw(k, generator=derive(key)).log_probs(inputs)

        self.good.draw(k, generator=derive(key))  # raises where it must
        return SpoiledDraws(self, _Now(now))


class _Now:
    def __init__(self, log_probs: Values) -> None:
        self.log_probs = log_probs

    def over(self, inputs: Rows) -> Rows:
        return TensorRows(self.log_probs(inputs))


class BreaksNaN(Spoiled):
    def log_probs(self, good: Values, inputs: Rows) -> LogProbs:
        return good(inputs).nan_to_num(-1.0).log_softmax(-1)


BROKEN: dict[type[Spoiled], str] = {
    BreaksOffers: "test_offers_what_it_says",
    BreaksSums: "test_probabilities_sum_to_one",
    BreaksOrder: "test_order_of_items_does_not_matter",
    BreaksChunks: "test_chunks_do_not_matter",
    BreaksEquals: "test_equal_items_have_equal_values",
    BreaksDifference: "test_draws_differ",
    BreaksSeed: "test_same_seed_gives_the_same_draws",
    BreaksOtherSeed: "test_another_seed_gives_other_draws",
    BreaksProcess: "test_another_process_gives_the_same_draws",
    BreaksSaving: "test_saving_and_loading_gives_the_same_draws",
    BreaksCalls: "test_calls_do_not_matter",
    BreaksOver: "test_over_is_log_probs_on_demand",
    BreaksKey: "test_draw_takes_one_key",
    BreaksNumbers: "test_impossible_numbers_of_draws_raise",
    BreaksGlobalMoved: "test_global_random_state_is_not_moved",
    BreaksGlobalRead: "test_global_random_state_is_not_read",
    BreaksInputs: "test_inputs_are_left_alone",
    BreaksModule: "test_module_is_left_alone",
    BreaksRaisingModule: "test_module_is_left_alone_when_it_raises",
    BreaksFinished: "test_posterior_is_finished",
    BreaksNaN: "test_nan_is_not_hidden",
}


class SpoiledConformance(Conformance):
    """Stands in the module, so that another process finds it."""

    kind: type[Spoiled] = BreaksProcess

    def wrap(self, module: nn.Module) -> Posterior:
        return self.kind(module)


def holds(law: str, kind: type[Spoiled]) -> bool:
    suite = SpoiledConformance()
    suite.kind = kind
    try:
        getattr(suite, law)()
    except SkipTest:
        return True
    except (AssertionError, ModelError):
        return False
    return True


def test_every_law_has_a_posterior_that_breaks_it() -> None:
    assert sorted(BROKEN.values()) == LAWS


@pytest.mark.parametrize(("kind", "law"), BROKEN.items(), ids=[kind.__name__ for kind in BROKEN])
def test_a_broken_posterior_fails_exactly_its_law(kind: type[Spoiled], law: str) -> None:
    slow = "test_another_process_gives_the_same_draws"
    laws = [name for name in LAWS if name != slow or kind is BreaksProcess]
    assert [name for name in laws if not holds(name, kind)] == [law]


class OneTooMany(Deterministic):
    def draw(self, k: int, *, generator: torch.Generator):  # type: ignore[no-untyped-def]
        return super().draw(min(k, 1), generator=generator)


def test_more_draws_than_there_are_functions_must_raise() -> None:
    class Suite(Conformance):
        def wrap(self, module: nn.Module) -> Posterior:
            return OneTooMany(module)

    with pytest.raises(AssertionError, match=r"draw\(2\) of 1"):
        Suite().test_impossible_numbers_of_draws_raise()


def test_a_posterior_without_a_module_needs_none() -> None:
    class Suite(Conformance):
        def module(self) -> nn.Module:
            return PosteriorConformance.module(self)

        def posterior(self) -> Posterior:
            return Deterministic(build(Residual, torch.float32))

    Suite().test_order_of_items_does_not_matter()
    with pytest.raises(SkipTest):
        Suite().test_module_is_left_alone()


def test_rows_of_any_kind_serve() -> None:
    suite = Conformance()
    draws = suite.posterior().draw(2, generator=derive(0))
    assert torch.equal(draws.log_probs(as_rows(suite.inputs().numpy())), draws.log_probs(as_rows(suite.inputs())))
