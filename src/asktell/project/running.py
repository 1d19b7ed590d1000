"""What a project keeps while people work on it: questions, the audit, flags, settings and trainings."""

from collections.abc import Iterable, Mapping

from asktell.project import annotations, answers, audit, flags, held_out, questions, receipts, settings, trainings
from asktell.project.answers import Taken
from asktell.project.database import Database
from asktell.project.names import check_name, check_names, check_whole
from asktell.types import Audit, Question, Skip, Training


class Running:
    """The half of `Project` that a running project needs beside asking and telling; every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Questions ---------------------------------------------------------------------------------------------------

    def questions(self, limit: int | None = None, *, audit: bool | None = None) -> tuple[Question, ...]:
        """The open questions, oldest query first and in pick order; `audit` picks those of one kind."""
        if limit is not None:
            check_whole(limit, "limit", least=0)
        with self._database.reading() as connection:
            return questions.waiting(connection, limit, audit)

    def question(self, item: str) -> Question | None:
        """Why an item was asked: the newest question for it, open or closed; None if nobody ever asked.

        Raises `UnknownItemError`.
        """
        with self._database.reading() as connection:
            return questions.newest(connection, item)

    @property
    def n_closed_questions(self) -> int:
        """How many questions are answered or skipped now."""
        with self._database.reading() as connection:
            return questions.closed(connection)

    def answer(self, item: str, label: str | Skip, annotator: str, *, receipt: str, corrects: bool = False) -> Taken:
        """The answer of a person to one item, a class name or SKIP: done once, however often it is sent.

        `receipt` is an id that the sender made up, the same when it is sent again; it is kept in the same transaction,
        for good. Where a class stands already that somebody answered meanwhile, another class replaces it and a skip
        leaves it, unless it `corrects`: then the sender has seen it. What the annotator has said already is not said
        twice. Raises `UnknownItemError`, `UnknownClassError`, and `ProjectError` for an item that is withdrawn or kept
        for the audit and not asked yet, or a receipt that was given for another item.
        """
        annotations.check([item], [label], annotator)
        receipts.check(receipt)
        with self._database.writing() as connection:
            return answers.take(connection, receipt, item, label, annotator, corrects=corrects)

    def take_back(self, annotator: str, item: str | None = None, *, receipt: str | None = None) -> str:
        """Undo: the annotator's newest standing answer (to `item`, if named) no longer counts; gives the item's id.

        The item then stands where its other answers put it; with none left it is pending again if it was asked, else
        free. What was asked is asked again, and counts as pending. A withdrawn item stays withdrawn. The answer itself
        is kept. With a `receipt`, sent again it is done once, as in `answer`. Raises `UnknownItemError`, and
        `ProjectError` if there is nothing to take back.
        """
        check_name(annotator, "annotator")
        receipts.check(receipt)
        with self._database.writing() as connection:
            return answers.take_back(connection, receipt, annotator, item)

    # The audit and the held-out items ----------------------------------------------------------------------------

    @property
    def audit(self) -> Audit:
        """Where the reserved items stand. Their order is that of sha256("seed:id"), whatever was added since."""
        with self._database.reading() as connection:
            return audit.read(connection)

    def next_audit(self, limit: int = 1) -> tuple[str, ...]:
        """The next reserved items that are free to be asked, in audit order; empty when none is left.

        A query whose strategy is called "audit" asks for them.
        """
        check_whole(limit, "limit", least=0)
        with self._database.reading() as connection:
            return audit.upcoming(connection, limit)

    def fold_in(self, ids: Iterable[str] | None = None) -> tuple[str, ...]:
        """Make reserved items (all answered ones unless named) ordinary: asked and trained on like others.

        Gives their ids. An item that is folded in never measures accuracy again. Raises `UnknownItemError`, and
        `ProjectError` for an item that is not reserved.
        """
        named = None if ids is None else check_names(ids, "item")
        with self._database.writing() as connection:
            return audit.fold_in(connection, named)

    def hold_out(self, ids: Iterable[str]) -> None:
        """Make items the test set: never candidates, never trained on, never audited. Holding out twice is fine.

        Raises `UnknownItemError`, and `ProjectError` for an item that was asked or skipped, or is withdrawn.
        """
        named = check_names(ids, "item")
        with self._database.writing() as connection:
            held_out.hold_out(connection, named)

    @property
    def held_out(self) -> dict[str, str]:
        """Id to class name, for all labelled held-out items in insertion order."""
        with self._database.reading() as connection:
            return held_out.labels(connection)

    # Flags -------------------------------------------------------------------------------------------------------

    def flag(self, item: str, annotator: str, flagged: bool = True, *, receipt: str | None = None) -> None:
        """Mark an item as one to look at again, or take the mark off. Every change is kept; the newest decides.

        With a `receipt`, sent again it is done once, as in `answer`. Raises `UnknownItemError`.
        """
        check_name(annotator, "annotator")
        receipts.check(receipt)
        with self._database.writing() as connection:
            answers.flag(connection, receipt, item, annotator, flagged)

    @property
    def flagged(self) -> tuple[str, ...]:
        """Ids of the flagged items in insertion order; withdrawn ones are left out."""
        with self._database.reading() as connection:
            return flags.flagged(connection)

    # Settings and trainings --------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, object]:
        """All settings by name, as JSON gives them back."""
        with self._database.reading() as connection:
            return settings.read(connection)

    def set(self, name: str, value: object) -> None:
        """Another value for a setting; None removes it. Raises `ProjectError` if the value is no JSON."""
        check_name(name, "setting")
        with self._database.writing() as connection:
            settings.write(connection, name, value)

    def record_training(self, training: Training) -> Training:
        """Write a training down and give it back; its number must be the next, that is `len(trainings)`.

        Raises `ConflictError` if another training got the number first, `ProjectError` if the report is no JSON.
        """
        trainings.check(training)
        with self._database.writing() as connection:
            trainings.record(connection, training)
        return training

    def report_training(self, number: int, report: Mapping[str, object]) -> None:
        """Merge keys into the report of a training; a key that is there already gets the new value.

        Raises `ProjectError` if there is no such training or the report is no JSON.
        """
        check_whole(number, "training", least=0)
        with self._database.writing() as connection:
            trainings.merge_report(connection, number, report)

    @property
    def trainings(self) -> tuple[Training, ...]:
        """All trainings, oldest first, failed ones included."""
        with self._database.reading() as connection:
            return trainings.read(connection)

    def changes(self) -> int:
        """A number that differs from the last call's if anybody, in any process, has changed the project since."""
        return self._database.changes()
