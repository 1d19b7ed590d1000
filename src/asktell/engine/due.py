"""When to train: decided from what the newest model has learnt and from what there is to learn now."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

GROWTH = 0.05
"""Later on, a model is trained again after so many more answers, as a share of those it has learnt."""


@dataclass(frozen=True)
class Lesson:
    """All that a training depends on: labels by id, the classes in order, and how is learnt (learner, embedder).

    `reserved`: items whose answers measured accuracy then, and were not learnt.
    """

    labels: Mapping[str, str]
    classes: tuple[str, ...]
    how: str
    reserved: frozenset[str] = frozenset()

    @property
    def can_be_learnt(self) -> bool:
        """Whether there are labels of two classes at least."""
        return len(set(self.labels.values())) >= 2


def answers_missing(now: Lesson, learnt: Lesson | None, every: int) -> int:
    """How many answers the next training waits for; 0 or less if for none.

    >>> answers_missing(Lesson({"a": "owl"}, ("owl", "wren"), ""), None, 10)
    9
    """
    known = {} if learnt is None else learnt.labels
    return max(every, math.ceil(GROWTH * len(known))) - len(now.labels.keys() - known.keys())


def why_train(now: Lesson, learnt: Lesson | None, every: int, *, last: bool = False) -> str | None:
    """The reason to train now, or None.

    `every` new answers, or 5 % more than were learnt, whichever is more; any change of what was learnt; items that
    were folded in; other classes; another learner. `last`: no answer will come any more, so each that is there counts.

    >>> now = Lesson({"a": "owl", "b": "wren"}, ("owl", "wren"), "")
    >>> why_train(now, None, 2), why_train(now, None, 3), why_train(now, None, 3, last=True)
    ('2 new answers', None, '2 new answers')
    """
    if not now.can_be_learnt:
        return None
    if learnt is None:
        return _new_answers(now, None, every, last)
    if now.how != learnt.how:
        return "another way of learning"
    if now.classes != learnt.classes:
        return "the classes changed"
    return _why_again(now, learnt, every, last)


def _why_again(now: Lesson, learnt: Lesson, every: int, last: bool) -> str | None:
    gone = sum(now.labels.get(id_) != label for id_, label in learnt.labels.items())
    if gone:
        return f"{gone} answers changed"
    new = now.labels.keys() - learnt.labels.keys()
    folded = len(new & learnt.reserved)
    if folded:
        return f"{folded} audit items were folded in"
    return _new_answers(now, learnt, every, last)


def _new_answers(now: Lesson, learnt: Lesson | None, every: int, last: bool) -> str | None:
    count = len(now.labels) - (0 if learnt is None else len(now.labels.keys() & learnt.labels.keys()))
    enough = count >= 1 if last else answers_missing(now, learnt, every) <= 0
    return f"{count} new answers" if enough else None
