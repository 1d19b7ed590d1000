"""The contract of a strategy, as tests that anyone can run over their own.

    class TestMine(StrategyConformance):
        @pytest.fixture
        def strategy(self):
            return Mine()

A strategy that samples says so by giving `Selection.probabilities`; laws about one right answer leave it out.
"""

import dataclasses
import json
import random
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from asktell.errors import EvidenceError, SelectionError
from asktell.evidence import NAMES, PER_CANDIDATE, Evidence
from asktell.randomness import derive
from asktell.rows import ArrayRows, Rows
from asktell.selection import Selection
from asktell.strategies import Strategy, from_json, to_json

K, C, D = 6, 3, 4
LITTLE = 600_000  # bytes: fewer tiles of [n, K, C] at once than there are, whatever a strategy keeps besides


def synthetic_evidence(n: int, seed: int = 0) -> dict[str, Tensor]:
    """Every kind of evidence for n candidates, 5 labelled and 3 pending items and 7 targets; no two rows alike."""
    generator = derive(seed, "synthetic evidence")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def log_probs(*shape: int) -> Tensor:
        return (2 * normal(*shape)).log_softmax(-1)

    return {
        "log_probs": log_probs(n, K, C),
        "point_log_probs": log_probs(n, C),
        "features": normal(n, D),
        "utility": normal(n),
        "labels": torch.arange(5) % C,
        "labelled_features": normal(5, D),
        "labelled_point_log_probs": log_probs(5, C),
        "pending_log_probs": log_probs(3, K, C),
        "pending_point_log_probs": log_probs(3, C),
        "pending_features": normal(3, D),
        "target_log_probs": log_probs(7, K, C),
    }


class StrategyConformance:
    """What every strategy owes. Override `strategy`; `n` and `b` where a method cannot work with so few."""

    n = 40
    b = 3
    many = 2_500  # candidates: more than two tiles

    @pytest.fixture
    def strategy(self) -> Strategy:
        """The strategy under test."""
        raise NotImplementedError("override the fixture `strategy`")

    def test_it_needs_evidence_that_exists(self, strategy: Strategy) -> None:
        """`needs` holds known names, and a missing one raises, naming it."""
        assert strategy.needs <= NAMES
        for name in strategy.needs:
            if name.startswith("pending_"):
                continue
            others = {key: rows for key, rows in synthetic_evidence(self.n).items() if key != name}
            with pytest.raises(EvidenceError, match=name):
                self._pick(strategy, others, self.b)

    def test_it_picks_rows_once(self, strategy: Strategy) -> None:
        """Exactly b different rows, with float64 scores that are numbers."""
        for b in (1, self.b, self.n // 2):
            selection = self._pick(strategy, synthetic_evidence(self.n), b)
            rows = selection.indices.tolist()
            assert len(rows) == len(set(rows)) == b
            assert set(rows) <= set(range(self.n))
            assert selection.indices.dtype == torch.int64
            assert selection.scores.dtype == torch.float64
            assert selection.scores.shape == (b,)
            assert bool(selection.scores.isfinite().all())

    def test_it_can_pick_none_and_all(self, strategy: Strategy) -> None:
        """b = 0 is empty, b = n is everything."""
        assert len(self._pick(strategy, synthetic_evidence(self.n), 0)) == 0
        everything = self._pick(strategy, synthetic_evidence(self.n), self.n)
        assert sorted(everything.indices.tolist()) == list(range(self.n))

    def test_it_refuses_more_than_there_are(self, strategy: Strategy) -> None:
        """b = n + 1 and b = -1 raise."""
        for b in (self.n + 1, -1):
            with pytest.raises(SelectionError):
                self._pick(strategy, synthetic_evidence(self.n), b)

    def test_it_refuses_nan(self, strategy: Strategy) -> None:
        """NaN in the last row of anything it needs raises."""
        for name in strategy.needs - {"labels"}:
            evidence = synthetic_evidence(self.n)
            evidence[name][-1] = torch.nan
            with pytest.raises(EvidenceError):
                self._pick(strategy, evidence, self.b)

    def test_order_of_rows_does_not_matter(self, strategy: Strategy) -> None:
        """Permuting the candidates leaves the set of picked items as it was."""
        evidence = synthetic_evidence(self.n)
        picked = self._pick(strategy, evidence, self.b)
        if picked.probabilities is not None:
            return
        order = torch.randperm(self.n, generator=derive(0, "order"))
        shuffled = {name: rows[order] if name in PER_CANDIDATE else rows for name, rows in evidence.items()}
        again = self._pick(strategy, shuffled, self.b)
        assert set(order[again.indices].tolist()) == set(picked.indices.tolist())

    def test_only_the_generator_is_random(self, strategy: Strategy) -> None:
        """The same generator gives the same picks, whatever the global random state, which stays as it is."""
        rows = []
        for seed in (1, 2):
            with _global_seed(seed) as states:
                before = states()
                rows.append(self._pick(strategy, synthetic_evidence(self.n), self.n // 2).indices.tolist())
                assert states() == before
        assert rows[0] == rows[1]

    def test_evidence_stays_as_it_was(self, strategy: Strategy) -> None:
        """No array that was handed over is written to."""
        evidence = synthetic_evidence(self.n)
        copies = {name: rows.clone() for name, rows in evidence.items()}
        self._pick(strategy, evidence, self.b)
        assert all(torch.equal(evidence[name], copies[name]) for name in evidence)

    def test_rows_are_as_good_as_tensors(self, strategy: Strategy) -> None:
        """Evidence that is read a few rows at a time gives the same picks and scores."""
        evidence = synthetic_evidence(self.many)
        whole = self._pick(strategy, evidence, self.b)
        rows = {name: ArrayRows(evidence[name].numpy()) for name in ("log_probs", "point_log_probs", "features")}
        read = self._pick(strategy, {**evidence, **rows}, self.b)
        _assert_same(whole, read)

    def test_memory_changes_nothing(self, strategy: Strategy) -> None:
        """Two memory budgets, the same picks and scores."""
        evidence = synthetic_evidence(self.many)
        small, large = (self._pick(strategy, evidence, self.b, memory=memory) for memory in (LITTLE, 2**30))
        _assert_same(small, large)

    def test_json_makes_it_again(self, strategy: Strategy) -> None:
        """`from_json(to_json(strategy))`, through text, is equal."""
        assert from_json(json.loads(json.dumps(to_json(strategy)))) == strategy

    def test_it_is_data(self, strategy: Strategy) -> None:
        """A frozen dataclass: it compares by value and cannot be changed."""
        assert dataclasses.is_dataclass(strategy)
        assert not isinstance(strategy, type)
        with pytest.raises(dataclasses.FrozenInstanceError):
            strategy.anything = 1

    def _pick(
        self, strategy: Strategy, evidence: Mapping[str, Tensor | Rows], b: int, memory: int | None = None
    ) -> Selection:
        n = len(evidence["features"] if "features" in evidence else evidence["log_probs"])
        needed = {name: rows for name, rows in evidence.items() if name in strategy.needs}
        built = Evidence(n, **needed)  # type: ignore[arg-type]
        return strategy(built, b, generator=derive(3, "conformance"), memory=memory)


class _global_seed:  # noqa: N801 - used like a function
    """Global random states seeded with `seed` inside, and as they were afterwards."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> Callable[[], tuple[object, ...]]:
        self.saved = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
        random.seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002
        torch.random.manual_seed(self.seed)
        return lambda: (  # without random's own: run-time type checks draw from it
            np.random.get_state()[1].tobytes(),  # type: ignore[index] # noqa: NPY002
            torch.random.get_rng_state().numpy().tobytes(),
        )

    def __exit__(self, *_: object) -> None:
        random.setstate(self.saved[0])
        np.random.set_state(self.saved[1])  # noqa: NPY002
        torch.random.set_rng_state(self.saved[2])


def _assert_same(one: Selection, other: Selection) -> None:
    assert one.indices.tolist() == other.indices.tolist()
    assert one.scores.tolist() == other.scores.tolist()
