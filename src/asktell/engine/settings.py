"""How a project is worked on: its settings, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from asktell.errors import ProjectError
from asktell.project import Project
from asktell.strategies import Strategy, from_json, strategy_alone


def default_strategy(learner: str | None) -> Strategy:
    """What a project asks by if nobody said otherwise: k-means of the margin on features, which our learners have.

    Power-BALD for a learner of the user's own, which may have none.

    >>> default_strategy(None).name, default_strategy("my_models:make").name
    ('kmeans-margin', 'power')
    """
    return strategy_alone("kmeans-margin" if learner is None else "power-bald")


@dataclass(frozen=True)
class Settings:
    """What `Project.settings` says, with a value for everything.

    `queue`: questions that are kept open; `retrain_every`: new answers before the next training; `draws`: models
    drawn to score and to predict with; `candidates`: how many candidates are scored at most, drawn anew for every
    query; `stop`: stop asking when the advice is to stop.
    """

    source: Mapping[str, object] = field(default_factory=dict)
    embedder: str | None = None
    learner: str | None = None
    strategy: Strategy = field(default_factory=lambda: default_strategy(None))
    queue: int = 20
    retrain_every: int = 10
    draws: int = 20
    candidates: int = 100_000
    stop: bool = False

    def means_the_same_rows(self, other: "Settings") -> bool:
        """Whether items look the same to the same learner under both."""
        return (self.source, self.embedder, self.learner) == (other.source, other.embedder, other.learner)

    @classmethod
    def of(cls, project: Project) -> "Settings":
        """The project's settings. Raises `ProjectError`, `ProtocolError` for a value that makes no sense."""
        told = project.settings
        learner = _text(told, "learner")
        return cls(
            source=_mapping(told.get("source")),
            embedder=_text(told, "embedder"),
            learner=learner,
            strategy=_strategy(told.get("strategy"), learner),
            queue=_count(told, "queue", cls.queue),
            retrain_every=_count(told, "retrain_every", cls.retrain_every),
            draws=_count(told, "draws", cls.draws),
            candidates=_count(told, "candidates", cls.candidates),
            stop=bool(told.get("stop", False)),
        )


def _strategy(told: object, learner: str | None) -> Strategy:
    if told is None:
        return default_strategy(learner)
    if isinstance(told, str):
        return strategy_alone(told)
    if isinstance(told, Mapping):
        return from_json(told)
    raise ProjectError(f"the setting strategy must be a name or JSON {{name, parameters, inner}}, not {told!r}")


def _mapping(told: object) -> Mapping[str, object]:
    if told is None:
        return {}
    if isinstance(told, Mapping):
        return told
    raise ProjectError(f"the setting source must be JSON {{kind, path, ...}}, not {told!r}")


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told.get(name)
    if value is None or isinstance(value, str):
        return value
    raise ProjectError(f"the setting {name} must be a name, not {value!r}")


def _count(told: Mapping[str, object], name: str, otherwise: int) -> int:
    value = told.get(name)
    if value is None:
        return otherwise
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ProjectError(f"the setting {name} must be a whole number of at least 1, not {value!r}")
