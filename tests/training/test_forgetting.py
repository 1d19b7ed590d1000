"""Forgetting events: by hand, against a plain count, and through a training."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.learners import Round, SingleNetwork
from asktell.randomness import derive, seeded
from asktell.training import Forgetting, Training, fit, two_moons_mlp


def shown(*sequences: str) -> Forgetting:
    """One row for each sequence of wrong (0) and right (1), all rows in every step."""
    watch = Forgetting(len(sequences))
    for step in zip(*sequences, strict=True):
        watch(torch.arange(len(sequences)), torch.tensor([int(right) for right in step]).bool())
    return watch


@pytest.mark.parametrize(
    ("sequence", "events"),
    [("0110", 1), ("1111", 0), ("1010", 2), ("0000", 4), ("0101", 1), ("0001", 0), ("1000", 1), ("1", 0), ("0", 1)],
)
def test_events_of_hand_made_sequences(sequence: str, events: int) -> None:
    assert shown(sequence).events.tolist() == [events]


def test_unforgettable_is_learned_and_never_forgotten() -> None:
    watch = shown("0110", "1111", "0001", "0000", "1010")
    assert watch.unforgettable.tolist() == [False, True, True, False, False]
    assert watch.never_learned.tolist() == [False, False, False, True, False]
    assert watch.told == {"forgetting_events": (1 + 0 + 0 + 4 + 2) / 5, "unforgettable": 2 / 5, "never_learned": 1 / 5}


def test_rows_count_only_when_they_are_presented() -> None:
    watch = Forgetting(3)
    watch(torch.tensor([0, 1]), torch.tensor([True, False]))
    watch(torch.tensor([1]), torch.tensor([False]))
    watch(torch.tensor([0]), torch.tensor([False]))
    assert watch.events.tolist() == [1, 2, 0]  # the second was never learned, the third never seen
    assert watch.never_learned.tolist() == [False, True, True]


def test_copies_in_one_minibatch_are_one_presentation_by_majority() -> None:
    watch = Forgetting(2)
    watch(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([True, False, True, True, False]))
    assert watch.never_learned.tolist() == [False, True]
    watch(torch.tensor([0, 0, 0]), torch.tensor([False, False, True]))
    assert watch.events.tolist() == [1, 1]


Steps = list[dict[int, bool]]
steps_of_four = st.lists(st.dictionaries(st.integers(0, 3), st.booleans(), min_size=1), max_size=12)


def plain(steps: Steps, row: int) -> tuple[int, bool, bool]:
    """Events, unforgettable, never learned, from the whole sequence."""
    sequence = [step[row] for step in steps if row in step]
    events = sum(before and not after for before, after in pairwise(sequence))
    learned = any(sequence)
    return events if learned else len(sequence), learned and events == 0, not learned


@given(steps_of_four)
def test_any_minibatches_are_counted_as_their_sequences_say(steps: Steps) -> None:
    watch = Forgetting(4)
    for step in steps:
        rows = sorted(step)
        watch(torch.tensor(rows), torch.tensor([step[row] for row in rows]))
    found = zip(watch.events.tolist(), watch.unforgettable.tolist(), watch.never_learned.tolist(), strict=True)
    assert list(found) == [plain(steps, row) for row in range(4)]


@given(steps_of_four)
def test_events_are_at_most_half_of_the_presentations_once_learned(steps: Steps) -> None:
    watch = Forgetting(4)
    for step in steps:
        watch(torch.tensor(sorted(step)), torch.tensor([step[row] for row in sorted(step)]))
    presented = torch.tensor([sum(row in step for step in steps) for row in range(4)])
    assert bool((2 * watch.events <= presented)[~watch.never_learned].all())
    assert bool((watch.events == presented)[watch.never_learned].all())


def contradiction() -> tuple[Tensor, Tensor]:
    """Three rows that can be learned, and one that a copy with another label always outvotes."""
    return torch.tensor([[-1.0], [1.0], [1.0], [1.0]]), torch.tensor([0, 1, 1, 0])


def test_a_training_forgets_nothing_that_it_can_learn() -> None:
    x, y = contradiction()
    module, watch = nn.Linear(1, 2), Forgetting(4)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        module.bias.zero_()
    fit(module, x, y, training=Training(epochs=7, batch=None, lr=1e-3), generator=derive(0), watch=watch)
    assert watch.events.tolist() == [0, 0, 0, 7]  # 7 epochs, each row once in each
    assert watch.unforgettable.tolist() == [True, True, True, False]


def test_one_network_tells_what_it_forgot() -> None:
    x = torch.randn(30, 2, generator=derive(1))
    y = (x[:, 0] > 0).long()
    learner = SingleNetwork(two_moons_mlp, Training(epochs=40, batch=8, lr=1e-2))
    told = learner.fit(Round(0, ("left", "right"), x, y), generator=derive(0)).told
    assert told["train_accuracy"] > 0.9
    assert 0 <= told["unforgettable"] <= 1 - told["never_learned"] <= 1
    watch, key = Forgetting(30), int(torch.randint(2**63 - 1, (), generator=derive(0)))
    module = learner.start(Round(0, ("left", "right"), x, y), key)
    fit(module, x, y, training=learner.training, generator=derive(key, "fit"), watch=watch)
    assert watch.told == {name: told[name] for name in ("forgetting_events", "unforgettable", "never_learned")}


def test_labels_that_are_noise_are_forgotten_more_than_labels_that_mean_something() -> None:
    x = torch.randn(60, 2, generator=derive(2))
    y = (x[:, 0] > 0).long()
    y[:12] = 1 - y[:12]
    watch = Forgetting(60)
    with seeded(derive(3)):
        module = two_moons_mlp()
    fit(module, x, y, training=Training(epochs=30, batch=8, lr=1e-2), generator=derive(0), watch=watch)
    assert watch.events[:12].double().mean() > 3 * watch.events[12:].double().mean()
    assert watch.unforgettable[12:].double().mean() > watch.unforgettable[:12].double().mean()


def test_nothing_labelled_still_raises() -> None:
    learner = SingleNetwork(two_moons_mlp, Training(epochs=2))
    with pytest.raises(ModelError, match="one or more rows"):
        learner.fit(Round(0, ("a", "b"), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)), generator=derive(0))
