"""A simulated annotator and a worker on one project: what is asked, learnt, measured and told."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from asktell.engine import Worker, files, predictions, state
from asktell.engine.cold import Typical
from asktell.errors import ProjectError
from asktell.evidence import Evidence
from asktell.project import Project
from asktell.selection import Selection
from asktell.types import SKIP, Query, Question

from . import learners
from .conftest import CLASSES, Digits, Make

Answer = Callable[..., list[str]]
Enter = Callable[[Project], Worker]


def learner(name: str) -> str:
    return f"{learners.__name__}:{name}"


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    learners.SEEN.clear()


def waiting(project: Project) -> tuple[Question, ...]:
    return project.questions(audit=False)


def accuracy(project: Project, name: str = "held_out") -> float:
    told = project.trainings[-1].report[name]
    assert isinstance(told, dict)
    return float(told["correct"] / told["n"])


def audit(project: Project, digits: Digits, count: int) -> None:
    """Ask the next reserved items, and answer."""
    ids = project.next_audit(count)
    strategy: dict[str, object] = {"name": "audit", "parameters": {}, "inner": None}
    project.record(Query(project.next_query, ids, (0.0,) * count, strategy, project.seed))
    project.tell(ids, [digits.truth[id_] for id_ in ids], "ann")


# A round -------------------------------------------------------------------------------------------------------------


def test_the_first_questions_stand_for_many_items(make: Make, enter: Enter, digits: Digits) -> None:
    project = make(queue=15)
    enter(project).work()
    asked = waiting(project)
    assert [question.strategy["name"] for question in asked] == ["typical"] * 15
    assert [question.position for question in asked] == list(range(15))
    assert all(question.model is None for question in asked)
    assert [question.score for question in asked] == sorted((question.score for question in asked), reverse=True)
    assert len({digits.truth[question.item] for question in asked}) >= 9


def test_accuracy_rises_with_answers(make: Make, enter: Enter, answer: Answer, digits: Digits) -> None:
    project = make(queue=20)
    test = digits.ids[300:]
    project.tell(test, [digits.truth[id_] for id_ in test], "imported")
    project.hold_out(test)
    worker = enter(project)
    worker.work()
    seen = []
    for _ in range(6):
        assert len(answer(project)) == 20
        worker.work()
        seen.append(accuracy(project))
    assert seen[-1] > seen[0] + 0.1
    assert seen[-1] > 0.85
    assert [training.n_labelled for training in project.trainings] == [20, 40, 60, 80, 100, 120]
    assert worker.doing.state == "waiting"


def test_questions_come_from_the_newest_model(make: Make, enter: Enter, answer: Answer) -> None:
    project = make(queue=10)
    worker = enter(project)
    worker.work()
    answer(project)
    worker.work()
    asked = waiting(project)
    assert {question.model for question in asked} == {project.trainings[-1].model}
    assert {question.strategy["name"] for question in asked} == {"power"}


def test_the_queue_is_filled_when_half_of_it_is_answered(make: Make, enter: Enter, answer: Answer) -> None:
    project = make(queue=8, retrain_every=100)
    worker = enter(project)
    worker.work()
    answer(project, 4)
    worker.work()
    assert len(waiting(project)) == 4
    answer(project, 1)
    worker.work()
    assert len(waiting(project)) == 8


@pytest.mark.parametrize("settings", [{}, {"strategy": "random"}, {"strategy": {"name": "batchbald"}}])
def test_what_is_open_is_never_asked_twice(
    make: Make, enter: Enter, answer: Answer, settings: dict[str, object]
) -> None:
    project = make(queue=12, **settings)
    worker = enter(project)
    asked: list[str] = []
    for _ in range(4):
        worker.work()
        asked += answer(project, 7)
    asked += [question.item for question in waiting(project)]
    assert len(asked) == len(set(asked))


def test_a_strategy_that_needs_no_model_asks_from_the_start(make: Make, enter: Enter) -> None:
    project = make(strategy="random", queue=3)
    enter(project).work()
    assert {question.strategy["name"] for question in waiting(project)} == {"random"}


def test_the_strategy_is_told_what_is_labelled_and_pending(
    make: Make, enter: Enter, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of both come in the order of the snapshot, standardised by one number."""
    told: list[Evidence] = []
    original = Typical.__call__

    def spy(self: Typical, evidence: Evidence, b: int, **options: Any) -> Selection:
        told.append(evidence)
        return original(self, evidence, b, **options)

    monkeypatch.setattr(Typical, "__call__", spy)
    project = make(queue=7, retrain_every=100)
    worker = enter(project)
    worker.work()
    first = [question.item for question in waiting(project)]
    project.tell(first[:4], [digits.truth[id_] for id_ in first[:4]], "ann")
    worker.work()
    labelled, pending = (sorted(ids, key=digits.ids.index) for ids in (first[:4], first[4:]))
    rows = digits.rows - digits.rows.mean(0)
    for ids, found in ((labelled, told[1].labelled_features), (pending, told[1].pending_features)):
        wanted = rows[[digits.ids.index(id_) for id_ in ids]]
        assert isinstance(found, torch.Tensor)
        torch.testing.assert_close(found * (wanted.norm() / found.norm()), wanted)
    assert told[0].pending_features is None


def test_large_pools_are_scored_in_part_and_the_query_says_so(make: Make, enter: Enter, answer: Answer) -> None:
    project = make(queue=10, candidates=50)
    worker = enter(project)
    worker.work()
    answer(project)
    worker.work()
    assert [query.report["candidates"] for query in project.queries] == [50, 50]
    assert [query.report["of"] for query in project.queries] == [400, 390]


# Audit and held-out items --------------------------------------------------------------------------------------------


def test_audit_items_are_neither_asked_nor_learnt_until_they_are_folded_in(
    make: Make, enter: Enter, answer: Answer, digits: Digits
) -> None:
    project = make(audit=0.3, queue=20, learner=learner("spying"))
    reserved = set(project.next_audit(1000))
    assert 60 < len(reserved) < 180
    worker = enter(project)
    for _ in range(4):
        worker.work()
        assert not reserved & set(answer(project))
        audit(project, digits, 5)
    worker.work()
    told = project.trainings[-1].report["audit"]
    assert isinstance(told, dict)
    assert told["n"] == 20
    learnt = {tuple(row.tolist()) for round_ in learners.SEEN for row in learners.rows_of(round_)}
    assert not learnt & {tuple(digits.rows[digits.ids.index(id_)].tolist()) for id_ in reserved}
    assert project.trainings[-1].n_labelled == 80 == len(learners.SEEN[-1].labels)

    folded = project.fold_in()
    worker.work()
    newest = project.trainings[-1]
    assert len(folded) == 20
    assert newest.n_labelled == 100
    assert newest.report["reason"] == "20 audit items were folded in"
    assert newest.report.get("audit", {"n": 0})["n"] == 0  # type: ignore[index]


def test_audit_answers_are_judged_when_they_come(make: Make, enter: Enter, answer: Answer, digits: Digits) -> None:
    project = make(audit=0.2, queue=20)
    worker = enter(project)
    worker.work()
    answer(project)
    worker.work()
    count = len(project.trainings)
    assert "audit" not in project.trainings[-1].report
    for number in range(1, 4):
        audit(project, digits, 1)
        worker.work()
        told = project.trainings[-1].report["audit"]
        assert isinstance(told, dict)
        assert told["n"] == number
    assert len(project.trainings) == count


def test_every_model_is_judged_however_fast_answers_come(
    make: Make, enter: Enter, answer: Answer, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, fit = make(queue=60, retrain_every=10), learners.quick(()).fit
    test = digits.ids[300:]
    project.tell(test, [digits.truth[id_] for id_ in test], "imported")
    project.hold_out(test)
    worker = enter(project)
    worker.work()
    answer(project, 10)

    def slow(self: object, *args: Any, **kwargs: Any) -> Any:
        """While it fits, enough answers come for the next training."""
        if len(project.trainings) < 4:
            answer(project, 10)
        return fit(*args, **kwargs)

    monkeypatch.setattr(type(learners.quick(())), "fit", slow)
    worker.work()
    assert [training.n_labelled for training in project.trainings] == [10, 20, 30, 40, 50]
    for training in project.trainings:
        assert training.report["held_out"]["n"] == 100  # type: ignore[index]
        assert "advice" in training.report


def test_held_out_items_are_never_learnt_nor_asked(make: Make, enter: Enter, answer: Answer, digits: Digits) -> None:
    project = make(queue=30, learner=learner("spying"))
    test = digits.ids[:200]
    project.tell(test, [digits.truth[id_] for id_ in test], "imported")
    project.hold_out(test)
    worker = enter(project)
    worker.work()
    assert not set(test) & set(answer(project))
    worker.work()
    assert [len(round_.labels) for round_ in learners.SEEN] == [30]
    assert project.trainings[-1].report["held_out"]["n"] == 200  # type: ignore[index]


# Changes -------------------------------------------------------------------------------------------------------------


def trained(make: Make, enter: Enter, answer: Answer, **settings: object) -> tuple[Project, Worker, list[str]]:
    project = make(**{"queue": 20, **settings})
    worker = enter(project)
    worker.work()
    ids = answer(project)
    worker.work()
    assert len(project.trainings) == 1
    return project, worker, ids


def reason(project: Project) -> object:
    return project.trainings[-1].report["reason"]


def test_nothing_new_means_no_training(make: Make, enter: Enter, answer: Answer) -> None:
    project, worker, _ = trained(make, enter, answer)
    answer(project, 5)
    worker.work()
    worker.work()
    assert len(project.trainings) == 1
    assert worker.doing.message == "15 questions wait for answers; the next training comes after 5 more"


def test_a_correction_is_learnt_at_once(make: Make, enter: Enter, answer: Answer, digits: Digits) -> None:
    project, worker, ids = trained(make, enter, answer)
    project.tell(ids[:1], [next(name for name in CLASSES if name != digits.truth[ids[0]])], "bob")
    worker.work()
    assert reason(project) == "1 answers changed"
    assert project.trainings[-1].n_labelled == 20


def test_an_undone_answer_is_forgotten(make: Make, enter: Enter, answer: Answer) -> None:
    project, worker, ids = trained(make, enter, answer)
    project.take_back("ann", ids[0])
    project.withdraw(ids[1:3])
    project.tell(ids[3:4], [SKIP], "ann")
    worker.work()
    assert reason(project) == "4 answers changed"
    assert project.trainings[-1].n_labelled == 16


def test_classes_that_change_are_learnt_anew(make: Make, enter: Enter, answer: Answer) -> None:
    project, worker, _ = trained(make, enter, answer, learner=learner("spying"))
    changes: list[tuple[Callable[[], None], tuple[str, ...]]] = [
        (partial(project.add_class, "ten"), (*CLASSES, "ten")),
        (partial(project.rename_class, "0", "zero"), ("zero", *CLASSES[1:], "ten")),
        (partial(project.merge_classes, "1", "7"), ("zero", *CLASSES[2:], "ten")),
    ]
    for change, classes in changes:
        change()
        worker.work()
        assert learners.SEEN[-1].classes == classes == tuple(project.trainings[-1].report["classes"])  # type: ignore[arg-type]
        kept = predictions.read(project.folder)
        assert kept is not None
        assert kept.probabilities.shape == (400, len(classes))


def test_added_items_are_embedded_predicted_and_asked(make: Make, enter: Enter, answer: Answer, digits: Digits) -> None:
    project, worker, _ = trained(make, enter, answer, n=100)
    project.add_items(digits.ids[100:150], [str(number) for number in range(101, 151)])
    worker.work()
    kept = predictions.read(project.folder)
    assert kept is not None
    assert tuple(kept.ids) == digits.ids[:150]
    assert len(project.trainings) == 1


def test_another_learner_learns_anew(make: Make, enter: Enter, answer: Answer) -> None:
    project, worker, _ = trained(make, enter, answer)
    project.set("learner", learner("spying"))
    worker.work()
    assert len(project.trainings) == 2
    assert len(learners.SEEN) == 1


def test_labels_of_fewer_classes_than_the_project_has(make: Make, enter: Enter, digits: Digits) -> None:
    project = make(queue=5)
    some = [id_ for id_ in digits.ids if digits.truth[id_] in "34"][:20]
    project.tell(some, [digits.truth[id_] for id_ in some], "imported")
    worker = enter(project)
    worker.work()
    assert project.trainings[-1].n_labelled == 20
    assert all(question.model for question in waiting(project))
    kept = predictions.read(project.folder)
    assert kept is not None
    assert kept.probabilities.shape == (400, 10)


def test_labels_of_one_class_train_nothing_but_questions_go_on(make: Make, enter: Enter, digits: Digits) -> None:
    project = make(queue=5)
    some = [id_ for id_ in digits.ids if digits.truth[id_] == "3"][:20]
    project.tell(some, ["3"] * 20, "imported")
    worker = enter(project)
    worker.work()
    assert project.trainings == ()
    assert len(waiting(project)) == 5
    assert worker.doing.state == "waiting"
    assert "two classes" in worker.doing.message


def test_a_project_of_one_class_waits(make: Make, enter: Enter, answer: Answer, digits: Digits) -> None:
    project = make(classes=["digit"], queue=5)
    worker = enter(project)
    worker.work()
    project.tell([question.item for question in waiting(project)], ["digit"] * 5, "ann")
    worker.work()
    assert worker.doing.state == "waiting"
    assert len(waiting(project)) == 5


# The end -------------------------------------------------------------------------------------------------------------


def test_a_budget_ends_the_questions(make: Make, enter: Enter, answer: Answer) -> None:
    project = make(budget=15, queue=10)
    worker = enter(project)
    worker.work()
    assert len(answer(project)) == 10
    worker.work()
    assert len(answer(project)) == 5
    worker.work()
    assert waiting(project) == ()
    assert project.trainings[-1].n_labelled == 15  # also the last five, though ten were to come
    assert worker.doing.message == "The budget of 15 labels is used up; raise it to go on"
    project.set_budget(20)
    worker.work()
    assert len(waiting(project)) == 5


def test_all_items_can_be_asked(make: Make, enter: Enter, answer: Answer) -> None:
    project = make(n=25, queue=20)
    worker = enter(project)
    worker.work()
    answer(project)
    worker.work()
    answer(project)
    worker.work()
    assert project.trainings[-1].n_labelled == 25
    assert worker.doing.message == "Every item has been asked"


def advised(project: Project, stop: bool) -> None:
    """The newest training says so, as if the criteria were met."""
    advice = {"stop": stop, "sentence": "You can stop.", "criteria": []}
    project.report_training(len(project.trainings) - 1, {"advice": advice})


@pytest.mark.parametrize("told", [True, False])
def test_the_worker_stops_asking_only_if_it_was_told_to(make: Make, answer: Answer, told: bool) -> None:
    project = make(queue=20, retrain_every=20, stop=told)
    with Worker(project.folder) as worker:
        worker.work()
        answer(project)
        worker.work()
    advised(project, stop=True)
    answer(project, 19)
    with Worker(project.folder) as worker:
        worker.work()
        assert len(waiting(project)) == (1 if told else 20)
        answer(project)
        worker.work()
        if told:
            assert project.trainings[-1].n_labelled == 40  # the new advice is to go on
            assert len(waiting(project)) == 20


# Errors --------------------------------------------------------------------------------------------------------------


def test_a_learner_that_fails_is_recorded_and_told_and_questions_go_on(
    make: Make, enter: Enter, answer: Answer
) -> None:
    project = make(queue=10, learner=learner("failing"))
    worker = enter(project)
    worker.work()
    answer(project)
    worker.work()
    (training,) = project.trainings
    assert (training.model, training.error) == (None, "RuntimeError: out of coffee")
    assert (worker.doing.state, worker.doing.message) == ("failed", "training failed: RuntimeError: out of coffee")
    assert len(waiting(project)) == 10
    worker.work()
    assert len(project.trainings) == 1  # it rests before it tries again
    project.set("learner", learner("quick"))
    worker.work()
    assert project.trainings[-1].error is None
    assert worker.doing.state == "waiting"


def test_data_that_are_gone_are_told_and_found_again(make: Make, enter: Enter, digits: Digits, tmp_path: Path) -> None:
    project = make(source={"kind": "features", "path": str(tmp_path / "gone.npy")})
    worker = enter(project)
    worker.work()
    assert worker.doing.state == "failed"
    assert "gone.npy" in worker.doing.message
    project.set("source", {"kind": "features", "path": str(digits.file)})
    worker.work()
    assert worker.doing.state == "waiting"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("queue", 0, "queue must be a whole number"),
        ("strategy", {"name": "guess"}, "no strategy guess"),
        ("strategy", 3, "strategy must be a name or JSON"),
        ("embedder", "bag", "no embedder called 'bag'"),
        ("source", 3, "source must be JSON"),
    ],
)
def test_settings_that_make_no_sense_are_told(
    make: Make, enter: Enter, setting: str, value: object, message: str
) -> None:
    project = make(**{setting: value})
    worker = enter(project)
    worker.work()
    assert worker.doing.state == "failed"
    assert message in worker.doing.message


def test_a_model_without_weights_lives_in_memory(make: Make, enter: Enter, answer: Answer) -> None:
    project, worker, _ = trained(make, enter, answer, learner=learner("reticent"))
    assert [training.model for training in project.trainings] == ["training-0"]
    assert {question.model for question in waiting(project)} == {"training-0"}
    worker.__exit__(None, None, None)
    with Worker(project.folder) as second:
        second.work()
    assert [training.model for training in project.trainings] == ["training-0", "training-1"]


def test_a_strategy_beyond_the_model_is_told(make: Make, enter: Enter, answer: Answer) -> None:
    project, worker, _ = trained(make, enter, answer, learner=learner("reticent"))
    project.set("strategy", {"name": "badge"})
    answer(project)
    worker.work()
    assert worker.doing.state == "failed"
    assert worker.doing.message.startswith("asking failed")
    assert "log_probs, but the strategy needs features" in worker.doing.message


# One worker, and the next --------------------------------------------------------------------------------------------


def test_a_second_worker_is_refused(make: Make, enter: Enter) -> None:
    project = make()
    enter(project)
    with pytest.raises(ProjectError, match=r"a worker \(process \d+\) works on .* already"):
        Worker(project.folder).__enter__()


def test_no_project_no_worker(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project"):
        Worker(tmp_path).__enter__()


def test_the_next_worker_loads_the_model(make: Make, answer: Answer) -> None:
    project = make(queue=20, learner=None, retrain_every=20)
    with Worker(project.folder) as worker:
        worker.work()
        answer(project)
        worker.work()
    model, asked = project.trainings[-1].model, len(project.queries)
    answer(project)
    with Worker(project.folder) as worker:
        worker.work()
    assert [training.n_labelled for training in project.trainings] == [20, 40]
    assert project.trainings[0].model == model
    assert len(project.queries) == asked + 1


@pytest.mark.parametrize("damage", ["weights", "card", "all"])
def test_a_model_that_is_lost_is_trained_again(make: Make, answer: Answer, damage: str) -> None:
    project = make(queue=20)
    with Worker(project.folder) as worker:
        worker.work()
        answer(project)
        worker.work()
    (training,) = project.trainings
    folder = project.folder / files.MODELS
    if damage == "weights":
        content = bytearray((folder / f"{training.model}.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / f"{training.model}.safetensors").write_bytes(content)
    elif damage == "card":
        (folder / f"{training.model}.json").write_text("{")
    else:
        for file in folder.iterdir():
            file.unlink()
    with Worker(project.folder) as worker:
        worker.work()
        assert worker.doing.state == "waiting"
    assert [one.model for one in project.trainings] == [training.model] * 2  # the same labels, the same model


def test_files_that_can_be_rebuilt_are(make: Make, answer: Answer) -> None:
    project = make(queue=20)
    with Worker(project.folder) as worker:
        worker.work()
        answer(project)
        worker.work()
    before = predictions.read(project.folder)
    for name in (files.PREDICTIONS, files.PREDICTED, files.SUMMARY, files.STOP_SET):
        (project.folder / name).unlink()
    for file in (project.folder / files.EMBEDDINGS).iterdir():
        file.unlink()
    with Worker(project.folder) as worker:
        worker.work()
    after = predictions.read(project.folder)
    assert before is not None
    assert after is not None
    assert (before.probabilities == after.probabilities).all()
    assert len(project.trainings) == 1


def test_what_the_worker_does_stands_in_a_file(make: Make) -> None:
    project = make()
    with Worker(project.folder) as worker:
        worker.work()
        told = json.loads((project.folder / files.STATE).read_text())
        assert told["state"] == "waiting"
        assert set(told) == {"pid", "state", "message", "done", "of", "since", "beat"}
        assert state.read(project.folder) == worker.doing
    assert json.loads((project.folder / files.STATE).read_text())["state"] == "stopped"


# Learners that read items themselves ---------------------------------------------------------------------------------


def test_a_learner_that_reads_items_itself_needs_no_embeddings(make: Make, enter: Enter, answer: Answer) -> None:
    project = make(queue=15, learner=learner("reading"), source=None)
    worker = enter(project)
    worker.work()
    assert {question.strategy["name"] for question in waiting(project)} == {"random"}
    ids = answer(project)
    worker.work()
    told = learners.rows_of(learners.SEEN[-1])[:, 0].tolist()
    assert sorted(told) == sorted(float(project.ids.index(id_) + 1) for id_ in ids)
    assert not (project.folder / files.EMBEDDINGS).exists()
