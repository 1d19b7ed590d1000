"""A small project on scikit-learn's digits as rows of features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from asktell.engine import Worker
from asktell.project import Project

from . import learners

CLASSES = tuple("0123456789")
N = 400


@dataclass(frozen=True)
class Digits:
    """What the project is made from."""

    file: Path
    ids: tuple[str, ...]
    rows: Tensor
    truth: dict[str, str]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    images, labels = load_digits(return_X_y=True)
    rows = images[:N].astype(np.float32)
    file = tmp_path_factory.mktemp("digits") / "digits.npy"
    np.save(file, rows)
    ids = tuple(f"digits-{number}" for number in range(1, N + 1))
    return Digits(file, ids, torch.from_numpy(rows), dict(zip(ids, map(str, labels), strict=False)))


Make = Callable[..., Project]


@pytest.fixture
def make(digits: Digits, tmp_path: Path) -> Iterator[Make]:
    """A project on the digits; keywords are settings but for budget, audit, classes and n."""
    made: list[Project] = []

    def project(
        *,
        audit: float = 0.0,
        budget: int | None = None,
        classes: Sequence[str] = CLASSES,
        n: int = N,
        **settings: object,
    ) -> Project:
        contents = [str(number) for number in range(1, n + 1)]
        new = Project.create(
            tmp_path / "project", digits.ids[:n], classes=classes, audit=audit, budget=budget, contents=contents
        )
        told = {
            "source": {"kind": "features", "path": str(digits.file)},
            "learner": f"{learners.__name__}:quick",
            **settings,
        }
        for name, value in told.items():
            new.set(name, value)
        made.append(new)
        return new

    yield project
    for one in made:
        one.close()


@pytest.fixture
def answer(digits: Digits) -> Callable[..., list[str]]:
    """Answers the first open questions, or all, as they should be; gives their ids."""

    def tell(project: Project, limit: int | None = None) -> list[str]:
        ids = [question.item for question in project.questions(limit, audit=False)]
        project.tell(ids, [digits.truth[id_] for id_ in ids], "ann")
        return ids

    return tell


@pytest.fixture
def enter() -> Iterator[Callable[[Project], Worker]]:
    """A worker of a project, at its place."""
    entered: list[Worker] = []

    def on(project: Project) -> Worker:
        entered.append(Worker(project.folder).__enter__())
        return entered[-1]

    yield on
    for one in entered:
        one.__exit__(None, None, None)
