"""Classifiers of scikit-learn, or of anything that behaves as they do.

scikit-learn is imported where it is used: it takes a second, and other learners do not need it.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from asktell.errors import DegenerateWarning, ModelError, ProtocolError
from asktell.learners.ensemble import check_members
from asktell.learners.protocols import Round
from asktell.learners.resampling import resampled
from asktell.posteriors import Committee, Forest, Tree
from asktell.randomness import derive, take_key
from asktell.rows import as_rows


@runtime_checkable
class Classifier(Protocol):
    """What scikit-learn calls a classifier with probabilities."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from inputs [l, d] and labels [l]."""
        ...

    def predict_proba(self, X: Any) -> Any:
        """Probabilities [n, classes seen]."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name, those of inner estimators too."""
        ...

    def set_params(self, **params: Any) -> Any:
        """Set some of them."""
        ...


@dataclass(frozen=True)
class SklearnCommittee:
    """Fits classifiers with predict_proba; each is a draw. Gives `Committee`, or `Forest` if all are decision trees.

    `estimator` is never fitted itself: each fit makes clones of it. `members` None takes the members that one fitted
    estimator has: the trees of a forest (leaf class frequencies) or what a BaggingClassifier holds. A number fits so
    many clones, each with its own `random_state` wherever the estimator has one (a GradientBoostingClassifier with
    subsample=0.5, a pipeline's last step), and with `bootstrap` on its own rows, drawn with replacement within each
    class. Inputs are flattened to [rows, d].

    Probabilities stand by class of the round: a class that a member never saw is a column of zeros. A member whose
    labels are all of one class is sure of it, as a tree is; if there is one class in the whole round,
    `DegenerateWarning` says so. It also warns if all members are equal.

    `fit` takes one key from the generator; it raises `ModelError` with the member's own words if one cannot be fitted.
    `ProtocolError` for an estimator without predict_proba, and where members could not differ or there are none.

    >>> from sklearn.ensemble import RandomForestClassifier
    >>> learner = SklearnCommittee(RandomForestClassifier(7))
    >>> round = Round(0, ("low", "high", "none"), torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))
    >>> posterior = learner.fit(round, generator=torch.Generator())
    >>> posterior.distinct, posterior.predict(torch.tensor([[0.0]])).exp()[0, 2]
    (7, tensor(0., dtype=torch.float64))
    """

    estimator: Any
    members: int | None = None
    bootstrap: bool = False
    batch: int = 4096

    def __post_init__(self) -> None:
        if not isinstance(self.estimator, Classifier):
            raise ProtocolError(
                f"{type(self.estimator).__name__} is no classifier with predict_proba; choose one that gives "
                "probabilities, such as SVC(probability=True)"
            )
        if self.members is None:
            self._check_has_members()
            return
        check_members(self.members)
        if self.members > 1 and not self.bootstrap and not _seeds(self.estimator):
            raise ProtocolError(
                f"{self.members} clones of {type(self.estimator).__name__} would all be equal, since it has no "
                "random_state; use bootstrap=True"
            )

    @property
    def offers(self) -> frozenset[str]:
        """What `Committee` offers."""
        return Committee.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Committee:  # noqa: A002
        """Fit on the labelled rows."""
        key = take_key(generator)
        x, y = _arrays(round)
        if len(np.unique(y)) == 1:
            name = round.classes[int(y[0])]
            warnings.warn(f"all labels are {name!r}, so every member is sure of it", DegenerateWarning, stacklevel=2)
        classes = len(round.classes)
        if self.members is None:
            posterior = _committee(list(_inner(self._clone(x, y, key, 0), classes)), self.batch)
        else:
            posterior = _committee([self._member(x, y, key, i, classes) for i in range(self.members)], self.batch)
            self._warn_if_equal(posterior, x, len(np.unique(y)))
        return posterior

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Forest:
        """The forest that had these weights. Raises `ModelError` if they are not those of a forest."""
        missing = {*Tree.__annotations__, "ends"} - set(weights)
        if missing or weights["values"].shape[1] != len(classes):
            raise ModelError(f"these are not the weights of a forest of {len(classes)} classes")
        return Forest.of(weights, batch=self.batch)

    def _check_has_members(self) -> None:
        from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier

        if not isinstance(self.estimator, (RandomForestClassifier, ExtraTreesClassifier, BaggingClassifier)):
            raise ProtocolError(
                f"{type(self.estimator).__name__} has no members of its own, as a random forest has; say how many "
                "clones to fit: members=10"
            )

    def _member(self, x: np.ndarray, y: np.ndarray, key: int, number: int, classes: int) -> "_Member":
        rows = np.arange(len(y))
        if self.bootstrap:
            rows = resampled(torch.from_numpy(y), derive(key, "resample", number)).numpy()
        if len(np.unique(y[rows])) == 1:
            return _Member(_Sure(), y[rows][:1], classes)
        estimator = self._clone(x[rows], y[rows], key, number)
        return _Member(estimator, np.asarray(estimator.classes_), classes)

    def _clone(self, x: np.ndarray, y: np.ndarray, key: int, number: int) -> Any:
        """Fitted."""
        from sklearn.base import clone

        estimator = clone(self.estimator)
        estimator.set_params(**{name: _seed(key, number, name) for name in _seeds(estimator)})
        try:
            return estimator.fit(x, y)
        except ValueError as error:
            raise ModelError(f"member {number}: {type(estimator).__name__} cannot be fitted: {error}") from error

    def _warn_if_equal(self, posterior: Committee, x: np.ndarray, seen: int) -> None:
        if self.bootstrap or seen == 1 or len(posterior.members) == 1:
            return
        between = np.concatenate([x, *((x + np.roll(x, shift, 0)) / 2 for shift in (1, 2))]).astype(x.dtype)
        first, *others = (np.asarray(member(between)) for member in posterior.members)
        if all(np.array_equal(first, other) for other in others):
            warnings.warn(
                f"all {len(posterior.members)} members predict the same for all labelled rows and points between "
                f"them: the random_state of {type(self.estimator).__name__} does nothing; use bootstrap=True",
                DegenerateWarning,
                stacklevel=3,
            )


@dataclass(frozen=True)
class _Member:
    """A fitted classifier whose columns are the classes `seen`, of so many; it looks at `features` alone."""

    classifier: Any
    seen: np.ndarray
    classes: int
    features: np.ndarray | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities [rows, classes]."""
        p = np.zeros((len(x), self.classes))
        if len(x):
            flat = x.reshape(len(x), -1)
            p[:, self.seen] = self.classifier.predict_proba(flat if self.features is None else flat[:, self.features])
        return p

    def tree(self) -> Tree:
        """The same as arrays."""
        tree = self.classifier.tree_
        values = np.zeros((tree.node_count, self.classes))
        values[:, self.seen] = tree.value[:, 0] / tree.value[:, 0].sum(1, keepdims=True)
        inner = tree.children_left >= 0
        feature = np.where(inner, tree.feature, 0)
        return Tree(
            tree.children_left.astype(np.int64),
            tree.children_right.astype(np.int64),
            np.where(inner, feature if self.features is None else self.features[feature], 0).astype(np.int64),
            tree.threshold.astype(np.float64),
            values,
        )


class _Sure:
    """Has seen one class and knows no other."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """1."""
        return np.ones((len(x), 1))


def _committee(members: Sequence[_Member], batch: int) -> Committee:
    """A forest if all are trees."""
    from sklearn.tree import DecisionTreeClassifier

    if all(isinstance(member.classifier, DecisionTreeClassifier) for member in members):
        return Forest([member.tree() for member in members], batch=batch)
    return Committee(members, batch=batch)


def _inner(fitted: Any, classes: int) -> Iterator[_Member]:
    """The members that a forest or a bagging ensemble holds; they number the classes that it saw."""
    features = getattr(fitted, "estimators_features_", [None] * len(fitted.estimators_))
    for estimator, columns in zip(fitted.estimators_, features, strict=True):
        yield _Member(estimator, fitted.classes_[estimator.classes_.astype(int)], classes, columns)


def _arrays(data: Round) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [l, d] and labels [l]."""
    rows = as_rows(data.inputs)
    if not len(rows) or len(rows) != len(data.labels):
        raise ModelError(
            f"need one or more rows and as many labels, not {len(rows)} rows and {len(data.labels)} labels"
        )
    return rows[0 : len(rows)].detach().cpu().flatten(1).numpy().copy(), data.labels.cpu().numpy().copy()


def _seeds(estimator: Classifier) -> list[str]:
    """Parameters that seed it, or what is inside it."""
    return sorted(name for name in estimator.get_params() if name.split("__")[-1] == "random_state")


def _seed(key: int, number: int, name: str) -> int:
    return take_key(derive(key, "member", number, name)) % 2**31
