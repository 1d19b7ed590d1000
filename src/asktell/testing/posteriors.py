"""The laws of a posterior, as tests that anybody can run on their own.

    from asktell.testing.posteriors import PosteriorConformance

    class TestMine(PosteriorConformance):
        def module(self):
            return my_network()

        def wrap(self, module):
            return MyPosterior(module)

        def inputs(self):
            return torch.randn(20, 3, generator=torch.Generator().manual_seed(0))

A posterior that is not made of one module overrides `posterior` instead of `module` and `wrap`; the laws about the
module are then skipped. One that has weights overrides `restore` as well, as a learner has it; without, the law about
saving is skipped.
"""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import cast
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor, nn

from asktell.errors import AsktellError
from asktell.learners import load, save
from asktell.posteriors import Draws, HasWeights, OffersFeatures, OffersPoint, Posterior
from asktell.randomness import derive, take_key
from asktell.rows import Rows, as_rows

_TOLERANCE = {torch.float64: 1e-10}
_IN_ANOTHER_PROCESS = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("conformance_subject", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["conformance_subject"] = module
spec.loader.exec_module(module)
print(json.dumps(getattr(module, sys.argv[2])().values().tolist()))
"""


class PosteriorConformance:
    """What every posterior must obey. Subclass it under a name that pytest collects.

    Probabilities are compared within 1e-5, in float64 within 1e-10. Every `test_` method is one law.
    """

    k = 3
    """Draws that are asked for; fewer if the posterior has fewer."""

    def module(self) -> nn.Module:
        """The user's network: equal weights at every call, in any process."""
        raise SkipTest("this posterior is not made of one module")

    def wrap(self, module: nn.Module) -> Posterior:
        """The posterior that is made of `module`."""
        raise NotImplementedError("override module() and wrap(), or posterior()")

    def posterior(self) -> Posterior:
        """The posterior on trial, fresh at every call."""
        return self.wrap(self.module())

    def inputs(self) -> Tensor:
        """At least eight different items, [n, ...]; the same at every call, in any process."""
        raise NotImplementedError("override inputs()")

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        """The posterior that had these weights, made anew."""
        raise SkipTest("override restore() to put saving and loading on trial")

    def test_offers_what_it_says(self) -> None:
        """`offers` names evidence, and there is a method behind each name."""
        posterior, rows = self.posterior(), as_rows(self.inputs())
        assert "log_probs" in posterior.offers
        if "point_log_probs" in posterior.offers:
            assert isinstance(posterior, OffersPoint)
            assert posterior.point_log_probs(rows).shape == posterior.predict(rows).shape
        if "features" in posterior.offers:
            assert isinstance(posterior, OffersFeatures)
            assert len(posterior.features(rows)) == len(rows)

    def test_probabilities_sum_to_one(self) -> None:
        """Draws give [n, k, c], predictions [n, c]; both are normalised and carry no gradient."""
        posterior, inputs = self.posterior(), self.inputs()
        drawn, predicted = self._draws(posterior).log_probs(as_rows(inputs)), posterior.predict(as_rows(inputs))
        assert drawn.shape == (len(inputs), self._k(posterior), predicted.shape[1])
        for log_probs in (drawn, predicted):
            assert not log_probs.requires_grad
            assert bool(((log_probs.double().exp().sum(-1) - 1).abs() <= 1e-5).all())

    def test_order_of_items_does_not_matter(self) -> None:
        """Permuting the items permutes the values."""
        draws, inputs = self._draws(self.posterior()), self.inputs()
        order = torch.randperm(len(inputs), generator=derive(0, "order"))
        _assert_close(_values(draws, inputs)[order], _values(draws, inputs[order]))

    def test_chunks_do_not_matter(self) -> None:
        """One call, many small calls and strided shards give the same."""
        draws, inputs = self._draws(self.posterior()), self.inputs()
        whole = _values(draws, inputs)
        for size in (1, 7, 256):
            _assert_close(whole, torch.cat([_values(draws, part) for part in torch.split(inputs, size)]))
        for start in (1, 0):
            _assert_close(whole[start::2], _values(draws, inputs[start::2]))

    def test_equal_items_have_equal_values(self) -> None:
        """An item that is there twice gets the same values twice."""
        draws, inputs = self._draws(self.posterior()), self.inputs()
        values = _values(draws, torch.cat([inputs, inputs[:5]]))
        _assert_close(values[:5], values[len(inputs) :])

    def test_draws_differ(self) -> None:
        """Unless there is one function only."""
        posterior = self.posterior()
        if self._k(posterior) > 1:
            values = _values(self._draws(posterior), self.inputs())
            assert bool(((values - values[:, :1]).abs() > 1e-6).any())

    def test_same_seed_gives_the_same_draws(self) -> None:
        """Also from another posterior object that was made in the same way."""
        _assert_close(self.values(), self.values())

    def test_another_seed_gives_other_draws(self) -> None:
        """Unless there are only so many."""
        if self.posterior().distinct is None:
            assert bool(((self.values(0) - self.values(1)).abs() > 1e-6).any())

    def test_another_process_gives_the_same_draws(self) -> None:
        """A new interpreter, started on the file that the subclass stands in."""
        name = type(self).__qualname__
        if "." in name:
            raise SkipTest("a class inside another thing cannot be found by another process")
        command = [sys.executable, "-c", _IN_ANOTHER_PROCESS, inspect.getfile(type(self)), name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        values = self.values()
        _assert_close(values, torch.tensor(json.loads(output.splitlines()[-1]), dtype=values.dtype))

    def test_saving_and_loading_gives_the_same_draws(self) -> None:
        """From safetensors and JSON, if it has weights: the same model id, predictions and draws."""
        posterior, rows = self.posterior(), as_rows(self.inputs())
        if not isinstance(posterior, HasWeights):
            raise SkipTest("it has no weights")
        predicted = posterior.predict(rows)
        names = tuple(f"class {number}" for number in range(predicted.shape[1]))
        with TemporaryDirectory() as folder:
            save(posterior, names, folder)
            restored, classes = load(self, folder)
        assert classes == names
        _assert_close(predicted.exp(), restored.predict(rows).exp())
        _assert_close(_values(self._draws(posterior), self.inputs()), _values(self._draws(restored), self.inputs()))

    def test_calls_do_not_matter(self) -> None:
        """Values and predictions stay as they are, however often they are asked for."""
        posterior, inputs = self.posterior(), self.inputs()
        draws = self._draws(posterior)
        values, predicted = _values(draws, inputs), posterior.predict(as_rows(inputs))
        _assert_close(values, _values(draws, inputs))
        _assert_close(predicted.exp(), posterior.predict(as_rows(inputs)).exp())

    def test_over_is_log_probs_on_demand(self) -> None:
        """Length, slices and `take` of `over` are those of `log_probs`."""
        draws, inputs = self._draws(self.posterior()), self.inputs()
        values, rows = _values(draws, inputs), draws.over(as_rows(inputs))
        picked = torch.tensor([0, 2, 3, len(inputs) - 1])
        assert isinstance(rows, Rows)
        assert len(rows) == len(inputs)
        _assert_close(values, rows[0 : len(rows)].exp())
        _assert_close(values[2:6], rows[2:6].exp())
        _assert_close(values[picked], rows.take(picked).exp())

    def test_draw_takes_one_key(self) -> None:
        """`draw` moves the generator by one key; evaluating moves it no further."""
        posterior, used, expected = self.posterior(), derive(0, "key"), derive(0, "key")
        _values(posterior.draw(self._k(posterior), generator=used), self.inputs())
        take_key(expected)
        assert torch.equal(used.get_state(), expected.get_state())

    def test_impossible_numbers_of_draws_raise(self) -> None:
        """k < 1, and k above `distinct`."""
        posterior = self.posterior()
        for k in (0, -1, *([] if posterior.distinct is None else [posterior.distinct + 1])):
            try:
                posterior.draw(k, generator=derive(0))
            except AsktellError:
                continue
            raise AssertionError(f"draw({k}) of {posterior.distinct} must raise an AsktellError")

    def test_global_random_state_is_not_moved(self) -> None:
        """torch's and numpy's are as before. (Python's own is not looked at: run-time type checkers move it.)"""
        before = _global_state()
        self._use(self.posterior())
        assert _global_state() == before

    def test_global_random_state_is_not_read(self) -> None:
        """Values do not depend on it."""
        posterior, inputs = self.posterior(), self.inputs()
        values = _values(self._draws(posterior), inputs)
        with torch.random.fork_rng():
            torch.rand(7)
            _assert_close(values, _values(self._draws(posterior), inputs))

    def test_inputs_are_left_alone(self) -> None:
        """What the caller handed over is as before, bit for bit."""
        inputs = self.inputs()
        before = inputs.clone()
        self._use(self.posterior(), inputs)
        assert torch.equal(inputs, before)

    def test_module_is_left_alone(self) -> None:
        """Weights, running statistics, gradients, flags, hooks and parts of the user's module are as before."""
        self._assert_untouched(self.module().train())

    def test_module_is_left_alone_when_it_raises(self) -> None:
        """The same if its last layer raises."""
        module = self.module().train()
        last = [part for part in module.modules() if not list(part.children())][-1]
        last.register_forward_pre_hook(_explode)
        self._assert_untouched(module)

    def test_posterior_is_finished(self) -> None:
        """Training the user's module further changes nothing."""
        module = self.module()
        draws = self._draws(self.wrap(module))
        values = _values(draws, self.inputs())
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(1.0)
        _assert_close(values, _values(draws, self.inputs()))

    def test_nan_is_not_hidden(self) -> None:
        """A network that diverged gives NaN or raises an `AsktellError`."""
        module = self.module()
        with torch.no_grad():
            for weight in module.parameters():
                weight.fill_(torch.nan)
        with suppress(AsktellError):
            assert bool(_values(self._draws(self.wrap(module)), self.inputs()).isnan().any())

    def values(self, seed: int = 0) -> Tensor:
        """Probabilities [n, k, c] of fresh draws of a fresh posterior."""
        return _values(self._draws(self.posterior(), seed), self.inputs())

    def _k(self, posterior: Posterior) -> int:
        return self.k if posterior.distinct is None else min(self.k, posterior.distinct)

    def _draws(self, posterior: Posterior, seed: int = 0) -> Draws:
        return posterior.draw(self._k(posterior), generator=derive(seed, "conformance"))

    def _use(self, posterior: Posterior, inputs: Tensor | None = None) -> None:
        """Everything a posterior can do, once."""
        rows = as_rows(self.inputs() if inputs is None else inputs)
        uses: list[Callable[[], object]] = [
            lambda: self._draws(posterior).log_probs(rows),
            lambda: posterior.predict(rows),
            lambda: cast(OffersPoint, posterior).point_log_probs(rows) if _gives(posterior, "point_log_probs") else 0,
            lambda: cast(OffersFeatures, posterior).features(rows) if _gives(posterior, "features") else 0,
        ]
        for use in uses:
            with suppress(_ExplosionError):
                use()

    def _assert_untouched(self, module: nn.Module) -> None:
        before = _picture(module)
        with suppress(_ExplosionError):
            self._use(self.wrap(module))
        after = _picture(module)
        changed = sorted(name for name in before.keys() | after.keys() if not _same(before.get(name), after.get(name)))
        assert not changed, f"the user's module was changed: {changed}"


class _ExplosionError(Exception):
    """What a layer raises on trial."""


def _explode(*_: object) -> None:
    raise _ExplosionError


def _gives(posterior: Posterior, name: str) -> bool:
    """Whether it both offers evidence and has the method; that they agree is a law of its own."""
    return name in posterior.offers and isinstance(posterior, OffersPoint if name[0] == "p" else OffersFeatures)


def _values(draws: Draws, inputs: Tensor) -> Tensor:
    return draws.log_probs(as_rows(inputs)).exp()


def _assert_close(first: Tensor, second: Tensor) -> None:
    assert first.shape == second.shape
    assert first.dtype == second.dtype
    gap = float((first - second).abs().max())
    assert gap <= _TOLERANCE.get(first.dtype, 1e-5), f"probabilities differ by {gap}"


def _global_state() -> tuple[object, ...]:
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - to see that nobody moves it
    return torch.get_rng_state().tolist(), name, np.asarray(keys).tolist(), rest


def _picture(module: nn.Module) -> dict[str, object]:
    """All that a posterior might spoil, by name."""
    picture: dict[str, object] = {}
    for name, part in module.named_modules():
        hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
        picture[f"module {name}"] = (id(part), part.training, [list(kind) for kind in hooks])
    for name, weight in module.named_parameters():
        picture[f"parameter {name}"] = weight.detach().clone()
        picture[f"flags of {name}"] = (id(weight), weight.requires_grad, weight.grad is None)
    for name, buffer in module.named_buffers():
        picture[f"buffer {name}"] = buffer.clone()
    return picture


def _same(first: object, second: object) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return first == second
