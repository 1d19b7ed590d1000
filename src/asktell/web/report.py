"""A report on a labelling project: one HTML page that holds all it needs, for whoever was not there."""

import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from asktell.accuracy import wilson
from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.project.files import write_text
from asktell.types import Audit, Training
from asktell.web import accuracies, why
from asktell.web.accuracies import Accuracy
from asktell.web.advice import Advice, Sign, advice_of, newest_advice
from asktell.web.dashboard import shares
from asktell.web.plotting import HEIGHT, LEFT, WIDTH, plot
from asktell.web.rendering import Templates, percent

SECRETS = ("password", "token")
PACKAGES = ("asktell", "torch", "numpy", "scikit-learn", "onnxruntime", "sqlalchemy")


@dataclass(frozen=True)
class Round:
    """One training, how good its model was, and what it said about stopping."""

    training: Training
    held_out: Accuracy | None
    audit: Accuracy | None
    advice: Advice | None

    def sign(self, name: str) -> Sign | None:
        """One criterion of the advice."""
        return next((sign for sign in self.advice.signs if sign.name == name), None) if self.advice else None


def write_report(folder: Path, path: Path, *, command: str) -> None:
    """Write the report on the project in `folder` to `path`; `command` is shown as what made it.

    Raises `ProjectError` if there is no project, or `path` cannot be written.
    """
    with Project.open(folder) as project, closing(Catalogue(project.path)) as catalogue:
        page = Templates().render("report", _values(project, catalogue, command))
    write_text(path, page)


def _values(project: Project, catalogue: Catalogue, command: str) -> dict[str, object]:
    """All that the page says, as of now."""
    status, trainings, audit, settings = project.status(), project.trainings, project.audit, project.settings
    points, held_out = accuracies.points(trainings), status.held_out["labelled"]
    rounds = tuple(map(_round, trainings))
    return {
        "project": project.folder.resolve().name,
        "now": datetime.now(UTC).isoformat(),
        "headline": headline(trainings, audit, held_out),
        "status": status,
        "budget": status.budget,
        "plot": plot(points) if points else None,
        "frame": {"width": WIDTH, "height": HEIGHT, "left": LEFT},
        "rounds": rounds,
        "criteria": _criteria(rounds),
        "advice": newest_advice(trainings),
        "balance": shares(catalogue.balance()),
        "annotators": catalogue.annotators(),
        "audit": audit,
        "audited": accuracies.newest(trainings, "audit"),
        "if_wrong": if_skipped_are_wrong(accuracies.newest(trainings, "audit"), audit),
        "strategies": [(why.described(asked.strategy), asked) for asked in catalogue.strategies()],
        "settings": {name: value for name, value in settings.items() if name not in (*SECRETS, "made_by")},
        "made_by": settings.get("made_by"),
        "seed": project.seed,
        "command": command,
        "versions": versions(),
    }


def headline(trainings: Sequence[Training], audit: Audit, held_out: int) -> str:
    """How good the newest model is that was measured: by the audit if there is one, else on held-out items.

    >>> told = {"audit": {"n": 20, "correct": 19}}
    >>> print(headline([Training(0, "m", 80, "", 1.0, told)], Audit(0.1, 0, 0, 0, 0, {}), 0).replace("\\u202f", " "))
    The model that learnt 80 labels has 95.0 % of 20 audited items right (95 % interval: 76.4 % to 99.1 %).
    """
    for on, what in (("audit", "audited items"), ("held_out", "held-out items")):
        for training in reversed(trainings):
            found = accuracies.accuracy(training, on)
            if found is not None:
                interval = f"{percent(0.95, 0)} interval: {percent(found.low)} to {percent(found.high)}"
                share = f"{percent(found.value)} of {found.n} {what} right"
                return f"The model that learnt {training.n_labelled} labels has {share} ({interval})."
    return f"There is no accuracy to report. {accuracies.why_unmeasured(trainings, audit, held_out)}"


def if_skipped_are_wrong(found: Accuracy | None, audit: Audit) -> Accuracy | None:
    """The audit if all of its skipped items were answered and the model wrong about each: the least it can be.

    >>> if_skipped_are_wrong(Accuracy(9, 10, 0.0, 1.0), Audit(0.1, 0, 0, 2, 0, {})).value
    0.75
    """
    if found is None or not audit.skipped:
        return None
    n = found.n + audit.skipped
    return Accuracy(found.correct, n, *wilson(found.correct, n))


def versions() -> Mapping[str, str]:
    """Python, and the packages on which the numbers may depend."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _round(training: Training) -> Round:
    held_out, audit = (accuracies.accuracy(training, on) for on in ("held_out", "audit"))
    return Round(training, held_out, audit, advice_of(training))


def _criteria(rounds: Sequence[Round]) -> tuple[Sign, ...]:
    """The newest round's, for the names and thresholds at the head of a table."""
    advised = [one.advice for one in rounds if one.advice]
    return advised[-1].signs if advised else ()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
