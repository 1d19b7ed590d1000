"""What a worker does for a project. Each duty sees for itself whether it is due, and then does one piece of it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from asktell.engine import evaluation, predictions, standing
from asktell.engine.asking import Asker
from asktell.engine.due import Lesson, answers_missing, why_train
from asktell.engine.evaluation import StopSet
from asktell.engine.fitting import Trainer, now
from asktell.engine.listing import learnable
from asktell.engine.models import Model
from asktell.engine.predictions import Predicting, Predictions
from asktell.engine.settings import Settings
from asktell.engine.standing import Standing
from asktell.engine.state import Bulletin
from asktell.project import Project
from asktell.randomness import derive
from asktell.types import Training

PATIENCE: Final = 2.0
"""Seconds of training that people wait for better questions; before a longer training the old model asks."""

PIECE: Final = 2.0
"""Seconds of predicting before the worker looks whether questions are wanted."""

Duty = Callable[[], bool]
"""Does one piece of what is due and gives True, or gives False if nothing is."""


class Duties:
    """The duties of one worker, most urgent first."""

    def __init__(self, project: Project, bulletin: Bulletin) -> None:
        self._project, self._bulletin = project, bulletin
        self._at: Standing | None = None
        self._judged: tuple[object, ...] = ()
        self._reserved: frozenset[str] = frozenset()
        self._lesson: Lesson | None = None
        self._predicting: Predicting | None = None
        self._is_untried = False

    def in_order(self) -> tuple[tuple[str, Duty], ...]:
        """Names, as errors call them, and what to call."""
        return (
            ("setting up", self.set_up),
            ("embedding", self.embed_first),
            ("asking", self.ask_early),
            ("evaluating", self.evaluate),
            ("training", self.train),
            ("asking", self.ask),
            ("predicting", self.predict),
            ("embedding", self.embed),
        )

    # The items ---------------------------------------------------------------------------------------------------

    def set_up(self) -> bool:
        """Heed the settings; begin anew where they change what the items look like or who learns."""
        told = Settings.of(self._project)
        at = self._at
        if at is not None and told.means_the_same_rows(at.settings):
            at.settings = told
            return False
        self._bulletin.tell("embedding", "Getting ready")
        self._at = standing.set_up(self._project, told)
        self._judged, self._predicting = (), None
        self._is_untried = self._at.model is not None and not self._at.has_predicted()
        return True

    def embed_first(self) -> bool:
        """Without a model, nothing else is worth doing before all items have rows."""
        return self._at is not None and self._at.model is None and self.embed()

    def embed(self) -> bool:
        """Make the rows of the next items."""
        at = self._at
        if at is None:
            return False
        begun, total = len(at.items), self._project.n_items
        if begun >= total:
            return False
        self._tell_embedding(begun, total)
        at.items.grow(lambda done, _: self._tell_embedding(begun + done, total))
        return True

    def _tell_embedding(self, done: int, total: int) -> None:
        self._bulletin.tell("embedding", "Reading the items: numbers that the model can work with", done, total)

    # Learning ----------------------------------------------------------------------------------------------------

    def train(self) -> bool:
        """Train if there is a reason, and once the model before has predicted: else nobody knew how good that was."""
        at = self._at
        if at is None or self._is_untried or self._predicting is not None:
            return False
        self._lesson = lesson = self._to_learn(at)
        learnt = None if at.model is None else at.model.lesson
        if learnt is not None:
            learnt = replace(learnt, reserved=learnt.reserved | self._reserved)
        self._reserved |= lesson.reserved
        reason = why_train(lesson, learnt, at.settings.retrain_every, last=self._asks_no_more(at))
        if reason is None:
            return False
        self._bulletin.tell("training", f"Training on {len(lesson.labels)} labels: {reason}")
        at.model = Trainer(self._project, at.items, at.settings).train(lesson, reason, at.model)
        at.training = self._project.trainings[at.model.number]
        self._is_untried = True
        return True

    def _to_learn(self, at: Standing) -> Lesson:
        """The labels of ordinary items that have rows, under the classes that there are; the pool is not read."""
        while True:
            labels, classes = learnable(self._project), self._project.classes
            if set(labels.values()) <= set(classes):  # nobody renamed a class between the two
                break
        known = {id_: labels[id_] for id_ in at.items.with_rows(labels)}
        return Lesson(known, classes, at.items.how, frozenset(self._project.audit.answered))

    def _asks_no_more(self, at: Standing) -> bool:
        """Whether no question is open and none will follow."""
        if self._project.questions(1, audit=False):
            return False
        return self._project.budget.left == 0 or self._stops(at) or not self._any_free(at)

    def _any_free(self, at: Standing) -> bool:
        """Whether a strategy could ask for anything. Only where that is not clear from counting, items are read."""
        told = self._project.status()
        free = told.states["free"] - told.audit["free"] - told.held_out["free"]
        return free > at.items.n_failed or bool(free and at.items.usable(self._project.candidates()).ids)

    # Predicting and judging --------------------------------------------------------------------------------------

    def predict(self) -> bool:
        """Predict all items with a new model, or when items have joined, and say how good that is."""
        at, self._is_untried = self._at, False
        if at is None or at.model is None or at.training is None:
            return False
        if at.has_predicted() and "advice" in at.training.report:
            return False
        if at.predictions is not None and at.predictions.model == at.model.id and len(at.items) < self._project.n_items:
            return False
        found = self._predicted(at, at.model)
        if found is None:
            return True
        at.predictions = found
        snapshot = at.items.usable(self._project.candidates())
        unlabelled = snapshot.ids + snapshot.pending_ids
        predictions.write_summary(self._project.folder, at.predictions, unlabelled, len(snapshot.labels), now())
        if "advice" not in at.training.report:
            self._advise(at, at.training, at.predictions, unlabelled)
        return True

    def _predicted(self, at: Standing, model: Model) -> Predictions | None:
        """One more piece; what the model predicts, on disk, when that was the last one, else None."""
        if self._predicting is None:
            ids, generator = at.items.ids, derive(self._project.seed, "predictions")
            self._predicting = Predicting(model, ids, at.items.inputs(ids), at.settings.draws, generator)
        under_way, self._predicting = self._predicting, None  # what fails is begun anew
        self._bulletin.tell("training", "Predicting all items", under_way.done, len(under_way.found))
        if not under_way.advance(PIECE):
            self._predicting = under_way
            return None
        predictions.write(self._project.folder, under_way.found, now())
        return under_way.found

    def _advise(self, at: Standing, training: Training, found: Predictions, unlabelled: tuple[str, ...]) -> None:
        """Compare with the model before on the stop set, and judge whether to go on."""
        kept = StopSet.read(self._project.folder) or StopSet.chosen(unlabelled, self._project.seed)
        stop_set = kept.after(training.number, found)
        stop_set.write(self._project.folder)
        selected: object = training.report.get("selected")
        measured = evaluation.measures(stop_set, found, unlabelled, selected if isinstance(selected, dict) else None)
        at.advice = evaluation.advice(self._project.trainings, training.number, measured).to_json()
        self._report(at, training, {"measures": measured.to_json(), "advice": at.advice})

    def evaluate(self) -> bool:
        """Say how many held-out items and audit answers the newest model has right, whenever that changes."""
        at = self._at
        if at is None or at.model is None or at.training is None or at.predictions is None:
            return False
        truths = {"held_out": self._project.held_out, "audit": dict(self._project.audit.answered)}
        facts = (at.model.id, at.training.number, self._project.classes, truths)
        if facts == self._judged or (at.predictions.model, at.predictions.classes) != (at.model.id, facts[2]):
            return False
        known = at.training.report
        found = {name: evaluation.accuracy(at.predictions, truth) for name, truth in truths.items()}
        news = {name: told or _NONE for name, told in found.items() if (told or _NONE) != known.get(name, _NONE)}
        if news:
            self._report(at, at.training, news)
        self._judged = facts
        return bool(news)

    def _report(self, at: Standing, training: Training, news: Mapping[str, object]) -> None:
        self._project.report_training(training.number, news)
        at.training = replace(training, report={**training.report, **news})

    # Asking ------------------------------------------------------------------------------------------------------

    def ask_early(self) -> bool:
        """Ask with the model that is there, if a long training is due and the queue would run dry meanwhile."""
        at = self._at
        if at is None or at.model is None or at.training is None or at.training.seconds <= PATIENCE:
            return False
        waiting = len(self._project.questions(audit=False))
        return 4 * waiting < at.settings.queue and self.ask()

    def ask(self) -> bool:
        """Fill the queue when it has run low."""
        at = self._at
        if at is None or self._stops(at):
            return False
        asker = Asker(self._project, at.items, at.settings)
        missing = asker.missing(len(self._project.questions(audit=False)))
        if not missing or self._project.budget.left == 0:
            return False
        self._bulletin.tell("asking", f"Choosing {missing} questions")
        return asker.ask(at.model, missing) is not None

    def _stops(self, at: Standing) -> bool:
        return at.settings.stop and at.advice.get("stop") is True

    # Nothing to do -----------------------------------------------------------------------------------------------

    def tell_what_is_awaited(self) -> None:
        """Why there is nothing to do."""
        if self._at is not None and self._lesson is not None:
            self._bulletin.tell("waiting", self._awaited(self._at, self._lesson))

    def _awaited(self, at: Standing, lesson: Lesson) -> str:
        waiting, budget = len(self._project.questions(audit=False)), self._project.budget
        if waiting:
            return f"{waiting} questions wait for answers; {self._next_training(at, lesson)}"
        if self._stops(at):
            return "Asks no more: " + str(at.advice["sentence"])
        if budget.left == 0:
            return f"The budget of {budget.limit} labels is used up; raise it to go on"
        return self._next_training(at, lesson) if self._any_free(at) else "Every item has been asked"

    def _next_training(self, at: Standing, lesson: Lesson) -> str:
        learnt = None if at.model is None else at.model.lesson
        missing = answers_missing(lesson, learnt, at.settings.retrain_every)
        if missing <= 0 or not lesson.can_be_learnt:
            return "a training needs answers of two classes at least"
        return f"the next training comes after {missing} more"


_NONE: Final[dict[str, int]] = {"n": 0, "correct": 0}
