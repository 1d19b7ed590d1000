"""Advice on stopping, as the reports of trainings hold it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asktell.types import Training


@dataclass(frozen=True)
class Sign:
    """One criterion of the advice: whether its value has reached the threshold, and what that means."""

    name: str
    sentence: str
    met: bool
    value: float | None
    threshold: float | None


@dataclass(frozen=True)
class Advice:
    """What a training says about stopping."""

    stop: bool
    sentence: str
    signs: tuple[Sign, ...]

    @property
    def lines(self) -> tuple[tuple[str, bool, tuple[Sign, ...]], ...]:
        """(sentence, met, signs) for every sentence once, however many signs say it."""
        said: dict[tuple[str, bool], list[Sign]] = {}
        for sign in self.signs:
            said.setdefault((sign.sentence, sign.met), []).append(sign)
        return tuple((sentence, met, tuple(signs)) for (sentence, met), signs in said.items())


def advice_of(training: Training) -> Advice | None:
    """What a training's report advises, a mapping with its criteria or the criteria alone; None if it does not."""
    if "advice" not in training.report:
        return None
    told = training.report["advice"]
    whole: Mapping[str, object] = told if isinstance(told, Mapping) else {}
    listed = whole.get("criteria") if whole else told
    signs = tuple(_sign(one) for one in listed if isinstance(one, Mapping)) if isinstance(listed, list) else ()
    return Advice(whole.get("stop") is True, str(whole.get("sentence", "")), signs)


def newest_advice(trainings: Iterable[Training]) -> Advice | None:
    """That of the newest training that has some; `trainings` oldest first."""
    found = [training for training in trainings if "advice" in training.report]
    return advice_of(found[-1]) if found else None


def _sign(told: Mapping[str, object]) -> Sign:
    name, met = str(told.get("name", "")), told.get("met") is True
    return Sign(name, str(told.get("sentence", name)), met, _number(told.get("value")), _number(told.get("threshold")))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
