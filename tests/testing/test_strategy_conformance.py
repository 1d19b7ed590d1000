"""Every registered strategy keeps the contract, and for each law a broken one shows that the law can fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from asktell.evidence import Evidence
from asktell.rows import as_rows
from asktell.selection import Selection, top_k
from asktell.strategies import (
    BADGE,
    BAIT,
    BALD,
    CAL,
    EGL,
    CoreSet,
    CoreSetRobust,
    Entropy,
    FacilityLocation,
    KMeansMargin,
    LeastConfident,
    Margin,
    Power,
    Prefilter,
    ProbCover,
    Softmax,
    Softrank,
    Strategy,
    Subset,
    SuggestiveAnnotation,
    TypiClust,
    Utility,
    recipes,
)
from asktell.testing import StrategyConformance

VARIANTS: list[Strategy] = [
    Entropy(point=True),
    Margin(point=True),
    LeastConfident(point=True),
    Softmax(Margin(), beta=5.0),
    Softrank(Margin(point=True)),
    Power(Entropy(), beta=2.0),
    BADGE(first="uniform"),
    KMeansMargin(point=True, beta=1.5),
    CoreSet(normalise=True),
    CoreSetRobust(normalise=True, outliers=0.1),
    TypiClust(normalise=False, neighbours=3, least=1, squared=True),
    ProbCover(delta=0.5),
    ProbCover(clusters=4, alpha=0.9, normalise=False, covered="random"),
    FacilityLocation(similarity="gaussian", breadth=0.5),
    FacilityLocation(normalise=True),
    SuggestiveAnnotation(Entropy(point=True), beta=4.0),
    BAIT(weighting="sum", oversample=1.0, regulariser=0.1),
    BAIT(weighting="code", size=6),
    EGL(bias=False, normalise=True),
    Power(EGL(), beta=2.0),
    Softrank(CAL(neighbours=3, normalise=False)),
    Softmax(Utility()),
    Utility(),
    Prefilter(Entropy(), CoreSet()),
    Prefilter(EGL(), BADGE(), beta=2.0),
    Prefilter(BALD(), Utility(), beta=3.0),
    Subset(BAIT(), candidates=60),
    Subset(Prefilter(Margin(), Power(BALD()), beta=4.0), candidates=41),
]


@pytest.mark.parametrize("strategy", [r.strategy for r in recipes()] + VARIANTS, ids=repr)
class TestRegistered(StrategyConformance):
    pass


def bald(evidence: Evidence, b: int, generator: torch.Generator) -> Selection:
    return BALD()(evidence, b, generator=generator)


@dataclass(frozen=True)
class Broken:
    """Top BALD, but for one fault in `pick`."""

    name: ClassVar[str] = "broken"
    nonnegative: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"log_probs"})

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        return self.pick(evidence, b, generator, memory)

    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        return bald(evidence, b, generator)


class NeedsNonsense(Broken):
    needs = frozenset({"log_probs", "horoscope"})


class TreatsMissingAsZero(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        if evidence.log_probs is None:
            return top_k(torch.zeros(evidence.n, dtype=torch.float64), b, generator=generator)
        return bald(evidence, b, generator)


class PicksTwice(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        picked = bald(evidence, b, generator)
        return Selection(picked.indices[:1].expand(b), picked.scores[:1].expand(b)) if b > 1 else picked


class PicksAtLeastOne(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        return bald(evidence, max(b, 1), generator)


class ClampsB(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        return bald(evidence, min(max(b, 0), evidence.n), generator)


class FillsNaN(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        clean = evidence.tensor("log_probs").nan_to_num(nan=-1.0986122886681098)
        return bald(Evidence(evidence.n, log_probs=clean), b, generator)


class PrefersEarlyRows(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        return top_k(BALD().scores(evidence) - torch.arange(evidence.n).double(), b, generator=generator)


class ReadsGlobalRandomState(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        state = torch.random.get_rng_state()
        noise = torch.rand(evidence.n, dtype=torch.float64)
        torch.random.set_rng_state(state)
        return top_k(BALD().scores(evidence) + noise, b, generator=generator)


class MovesGlobalRandomState(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        torch.rand(1)
        return bald(evidence, b, generator)


class WritesToItsInput(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        picked = bald(evidence, b, generator)
        evidence.tensor("log_probs")[picked.indices] = 0.0
        return picked


class ReadsOnlyTheFirstTile(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        if isinstance(evidence.log_probs, torch.Tensor):
            return bald(evidence, b, generator)
        few = as_rows(evidence.require("log_probs"))[0:1024]
        return bald(Evidence(len(few), log_probs=few), b, generator)


class ScoresDifferWithMemory(Broken):
    def pick(self, evidence: Evidence, b: int, generator: torch.Generator, memory: int | None) -> Selection:
        picked = bald(evidence, b, generator)
        return Selection(picked.indices, picked.scores + (1e-16 if memory is None else 1e-12 * memory))


class HasNoJson(Broken):
    pass


class CanBeChanged:
    name: ClassVar[str] = "broken"
    needs: ClassVar[frozenset[str]] = frozenset({"log_probs"})

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        return bald(evidence, b, generator)


Law = Callable[[StrategyConformance, Strategy], None]

BROKEN: list[tuple[Law, Strategy]] = [
    (StrategyConformance.test_it_needs_evidence_that_exists, NeedsNonsense()),
    (StrategyConformance.test_it_needs_evidence_that_exists, TreatsMissingAsZero()),
    (StrategyConformance.test_it_picks_rows_once, PicksTwice()),
    (StrategyConformance.test_it_can_pick_none_and_all, PicksAtLeastOne()),
    (StrategyConformance.test_it_refuses_more_than_there_are, ClampsB()),
    (StrategyConformance.test_it_refuses_nan, FillsNaN()),
    (StrategyConformance.test_order_of_rows_does_not_matter, PrefersEarlyRows()),
    (StrategyConformance.test_only_the_generator_is_random, ReadsGlobalRandomState()),
    (StrategyConformance.test_only_the_generator_is_random, MovesGlobalRandomState()),
    (StrategyConformance.test_evidence_stays_as_it_was, WritesToItsInput()),
    (StrategyConformance.test_rows_are_as_good_as_tensors, ReadsOnlyTheFirstTile()),
    (StrategyConformance.test_memory_changes_nothing, ScoresDifferWithMemory()),
    (StrategyConformance.test_it_is_data, CanBeChanged()),
]


LAWS: dict[str, Law] = {name: law for name, law in vars(StrategyConformance).items() if name.startswith("test_")}


@pytest.mark.parametrize(("law", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", type(value).__name__))
def test_a_broken_strategy_fails_its_law(law: Law, broken: Strategy) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        law(StrategyConformance(), broken)


def test_a_strategy_that_json_does_not_know_fails() -> None:
    from asktell.errors import ProtocolError

    with pytest.raises(ProtocolError, match="no strategy broken"):
        StrategyConformance().test_json_makes_it_again(HasNoJson())


def test_every_law_is_shown_to_fail() -> None:
    assert set(LAWS.values()) == {law for law, _ in BROKEN} | {StrategyConformance.test_json_makes_it_again}


@pytest.mark.parametrize("name", LAWS)
def test_the_sound_original_of_the_broken_ones_keeps_every_law(name: str) -> None:
    LAWS[name](StrategyConformance(), BALD())
