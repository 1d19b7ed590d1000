"""The parts of a worker, each alone: when to train, whose learner, what rests after a failure, what is told."""

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asktell.engine import files, models, state, troubles
from asktell.engine.due import Lesson, answers_missing, why_train
from asktell.engine.evaluation import StopSet
from asktell.engine.learner import own_learner
from asktell.engine.settings import Settings
from asktell.engine.state import Bulletin, the_only_one
from asktell.engine.troubles import FIRST_REST, LONGEST_REST, TRIES, Troubles
from asktell.errors import DataError, ModelError, ProjectError
from asktell.learners import SingleNetwork
from asktell.strategies import BALD, KMeansMargin, Power

from . import learners
from .conftest import Make

# When to train -------------------------------------------------------------------------------------------------------


def lesson(count: int, *, kinds: int = 2, how: str = "head", classes: tuple[str, ...] = ("a", "b")) -> Lesson:
    return Lesson({f"i{number}": classes[number % kinds] for number in range(count)}, classes, how)


@pytest.mark.parametrize(
    ("now", "learnt", "reason"),
    [
        (lesson(0), None, None),
        (lesson(9), None, None),
        (lesson(10), None, "10 new answers"),
        (lesson(50, kinds=1), None, None),
        (lesson(10), lesson(10), None),
        (lesson(19), lesson(10), None),
        (lesson(20), lesson(10), "10 new answers"),
        (lesson(1049), lesson(1000), None),
        (lesson(1050), lesson(1000), "50 new answers"),
        (lesson(9), lesson(10), "1 answers changed"),
        (lesson(10, how="cnn"), lesson(10), "another way of learning"),
        (lesson(10, classes=("a", "b", "c")), lesson(10), "the classes changed"),
        (lesson(10, classes=("A", "b")), lesson(10), "the classes changed"),
    ],
)
def test_reasons_to_train(now: Lesson, learnt: Lesson | None, reason: str | None) -> None:
    assert why_train(now, learnt, 10) == reason


def test_folded_in_items_are_a_reason_however_few() -> None:
    learnt = Lesson(lesson(10).labels, ("a", "b"), "head", frozenset({"i10", "i11"}))
    assert why_train(lesson(11), learnt, 10) == "1 audit items were folded in"


def test_at_the_end_every_answer_counts() -> None:
    assert why_train(lesson(11), lesson(10), 10, last=True) == "1 new answers"
    assert why_train(lesson(10), lesson(10), 10, last=True) is None
    assert why_train(lesson(2), None, 10, last=True) == "2 new answers"


@given(st.integers(2, 300), st.integers(0, 60), st.integers(1, 40))
def test_a_training_is_due_when_no_answer_is_missing(learnt: int, new: int, every: int) -> None:
    now = lesson(learnt + new)
    assert (why_train(now, lesson(learnt), every) is not None) == (answers_missing(now, lesson(learnt), every) <= 0)


# Whose learner -------------------------------------------------------------------------------------------------------

HERE = learners.__name__


def test_a_function_is_called_with_classes_and_settings() -> None:
    assert isinstance(own_learner(f"{HERE}:quick", ("a", "b"), {}), SingleNetwork)
    with pytest.raises(ModelError, match="ValueError: 2 classes, queue 7"):
        own_learner(f"{HERE}:told", ("a", "b"), {"queue": 7})


def test_modules_in_the_current_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_models.py").write_text(f"from {HERE} import quick as make\n")
    monkeypatch.chdir(tmp_path)
    assert isinstance(own_learner("my_own_models:make", ("a", "b"), {}), SingleNetwork)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("quick", "named module:function"),
        (f"{HERE}:", "named module:function"),
        (f"{HERE}:no-name", "named module:function"),
        ("no_such_module_here:make", "cannot be imported from"),
        (f"{HERE}:missing", "has no function missing"),
        (f"{HERE}:SEEN", "has no function SEEN"),
        (f"{HERE}:no_learner", "returned str, which is no learner"),
    ],
)
def test_what_is_no_learner_is_named(where: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        own_learner(where, ("a", "b"), {})


# What rests after a failure ------------------------------------------------------------------------------------------


class Clock:
    """Time that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_failed_rests_longer_and_longer(clock: Clock) -> None:
    standing = Troubles(clock)
    for count in range(1, 20):
        trouble = standing.add("train", "training", ValueError("no"), seen=1)
        rest = min(FIRST_REST * 2 ** (count - 1), LONGEST_REST)
        assert trouble.again == clock.now + rest
        assert standing.rests("train", seen=2)
        clock.now += rest
        assert not standing.rests("train", seen=2)
        assert standing.rests("train", seen=1) == (count >= TRIES)
        assert standing.can_try(seen=1) == (count < TRIES)


def test_success_ends_it(clock: Clock) -> None:
    standing = Troubles(clock)
    standing.add("train", "training", ValueError("no"), seen=1)
    standing.add("ask", "asking", DataError("the data\nare gone"), seen=1)
    standing.add("ask", "asking", DataError("the data\nare gone"), seen=1)
    assert standing.worst is not None
    assert standing.worst.message == "asking failed: the data are gone"
    standing.over("ask")
    assert standing.worst is not None
    assert standing.worst.message == "training failed: ValueError: no"
    standing.clear()
    assert standing.worst is None
    assert not standing.rests("train", seen=1)


def test_failures_are_logged_with_their_trace(caplog: pytest.LogCaptureFixture) -> None:
    Troubles().add("train", "training", ValueError("no"), seen=1)
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert troubles.__name__ == caplog.records[0].name


# What is told --------------------------------------------------------------------------------------------------------


def test_the_bulletin_says_since_when(tmp_path: Path) -> None:
    with Bulletin(tmp_path) as bulletin:
        bulletin.tell("embedding", "Reading", 1, 10)
        first = state.read(tmp_path)
        bulletin.tell("embedding", "Reading", 2, 10)
        second = state.read(tmp_path)
        bulletin.tell("waiting", "")
        third = state.read(tmp_path)
    assert first is not None
    assert second is not None
    assert third is not None
    assert (second.since, second.done, second.of, second.pid) == (first.since, 2, 10, os.getpid())
    assert (third.state, third.done) == ("waiting", 0)
    assert third.since >= second.since


def test_a_bulletin_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Bulletin(tmp_path / "gone") as bulletin:
        bulletin.tell("training", "")
    assert bulletin.doing.state == "training"
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("content", [None, "", "[]", '{"pid": 1}', "\xff"])
def test_no_bulletin_is_read_as_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / files.STATE).write_bytes(content.encode("latin-1"))
    assert state.read(tmp_path) is None


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with the_only_one(tmp_path), pytest.raises(ProjectError, match=f"process {os.getpid()}"):
            the_only_one(tmp_path).__enter__()


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be opened"), the_only_one(tmp_path / "gone"):
        pass


# Settings, models, stop set ------------------------------------------------------------------------------------------


def test_settings_have_defaults(make: Make) -> None:
    project = make(learner=None, source=None)
    assert Settings.of(project) == Settings()
    assert Settings().strategy == KMeansMargin()
    assert (Settings().queue, Settings().retrain_every, Settings().draws) == (20, 10, 20)


def test_a_learner_of_ones_own_may_have_no_features_to_ask_by(make: Make) -> None:
    assert Settings.of(make()).strategy == Power(BALD())


def test_only_the_newest_models_are_kept(tmp_path: Path) -> None:
    kept = models.KEPT
    for number in range(kept + 2):
        posterior = learners.quick(()).fit(learners.tiny(number), generator=torch.Generator())
        models.save(tmp_path, models.Model(f"m{number}", posterior, lesson(2), number))
        os.utime(models.card_file(tmp_path, f"m{number}"), (number, number))
    names = {path.stem for path in (tmp_path / files.MODELS).iterdir()}
    assert names == {f"m{number}" for number in range(2, kept + 2)}


@pytest.mark.parametrize("card", ["", "[]", '{"model": "other"}'])
def test_a_damaged_card_is_no_card(tmp_path: Path, card: str) -> None:
    (tmp_path / files.MODELS).mkdir()
    models.card_file(tmp_path, "m").write_text(card)
    assert models.read_card(tmp_path, "m") is None


def test_the_stop_set_is_seeded_and_survives(tmp_path: Path) -> None:
    ids = [str(number) for number in range(5000)]
    chosen = StopSet.chosen(ids, seed=1)
    assert len(set(chosen.ids)) == 2000
    assert chosen == StopSet.chosen(ids, seed=1) != StopSet.chosen(ids, seed=2)
    assert StopSet.chosen(ids[:7], seed=1).ids == tuple(ids[:7])
    chosen.write(tmp_path)
    assert StopSet.read(tmp_path) == chosen
    (tmp_path / files.STOP_SET).write_text(json.dumps({"ids": 3}))
    assert StopSet.read(tmp_path) is None
