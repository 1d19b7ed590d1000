"""Classifiers of scikit-learn as committees."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from asktell.errors import DegenerateWarning, ModelError, ProtocolError
from asktell.learners import Bootstrap, Learner, Round, SklearnCommittee, load, save
from asktell.posteriors import Committee, Forest, Posterior, model_id
from asktell.randomness import derive, take_key
from asktell.rows import as_rows

CLASSES = ("a", "b", "c", "d")


def data(n: int = 40, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Images of 2 x 2, whose class is a column of the plane; the last class of the round is never seen."""
    x = torch.rand(n, 2, 2, generator=derive(0, "x"))
    return x, (x[:, 0, 0] * classes).long()


def labelled(n: int = 40, classes: int = 3) -> Round:
    x, y = data(n, classes)
    return Round(0, CLASSES, as_rows(x), y)


def drawn(posterior: Posterior, x: Tensor) -> Tensor:
    assert posterior.distinct is not None
    return posterior.draw(posterior.distinct, generator=derive(0)).log_probs(as_rows(x)).exp()


LEARNERS = {
    "forest": SklearnCommittee(RandomForestClassifier(7)),
    "extra trees": SklearnCommittee(ExtraTreesClassifier(7)),
    "bagged trees": SklearnCommittee(BaggingClassifier(n_estimators=7, max_features=0.5)),
    "bagged neighbours": SklearnCommittee(BaggingClassifier(KNeighborsClassifier(3), n_estimators=7, max_features=3)),
    "trees": SklearnCommittee(DecisionTreeClassifier(max_features=1), members=3),
    "gradient boosting": SklearnCommittee(GradientBoostingClassifier(n_estimators=5, subsample=0.5), members=3),
    "pipeline": SklearnCommittee(make_pipeline(StandardScaler(), LogisticRegression()), members=3, bootstrap=True),
    "naive Bayes": SklearnCommittee(GaussianNB(), members=3, bootstrap=True),
}
each = pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS.keys())


@each
def test_members_learn_differ_and_give_no_probability_to_what_they_never_saw(learner: SklearnCommittee) -> None:
    used, expected = derive(0), derive(0)
    posterior = learner.fit(labelled(), generator=used)
    take_key(expected)
    assert isinstance(learner, Learner)
    assert learner.offers == posterior.offers
    assert torch.equal(used.get_state(), expected.get_state())
    x, y = data(200)
    values = drawn(posterior, x)
    assert values.shape == (200, posterior.distinct, 4)
    assert not bool(values[..., 3].any())
    assert float((values - values[:, :1]).abs().max()) > 1e-3
    assert float((posterior.predict(as_rows(x)).argmax(1) == y).float().mean()) > 0.6


@each
def test_the_same_seed_gives_the_same_members_and_leaves_the_estimator_alone(learner: SklearnCommittee) -> None:
    x, _ = data(50)
    before, state = repr(learner.estimator.get_params()), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    first, second, other = (drawn(learner.fit(labelled(), generator=derive(seed)), x) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert repr(learner.estimator.get_params()) == before
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("estimator", [RandomForestClassifier(5), ExtraTreesClassifier(5)], ids=["random", "extra"])
def test_trees_as_arrays_predict_what_scikit_learn_predicts(estimator: Any) -> None:
    posterior = SklearnCommittee(estimator).fit(labelled(), generator=derive(0))
    assert isinstance(posterior, Forest)
    seed = take_key(derive(take_key(derive(0)), "member", 0, "random_state")) % 2**31
    x, y = (array.numpy() for array in data())
    fitted = estimator.set_params(random_state=seed).fit(x.reshape(40, -1), y)
    test = data(300)[0]
    for number, tree in enumerate(fitted.estimators_):
        expected = tree.predict_proba(test.flatten(1).numpy())
        assert drawn(posterior, test)[:, number, :3].numpy() == pytest.approx(expected, abs=1e-12)
    assert posterior.predict(test).exp()[:, :3].numpy() == pytest.approx(
        fitted.predict_proba(test.flatten(1).numpy()), abs=1e-12
    )


@pytest.mark.parametrize("name", ["forest", "extra trees", "bagged trees", "trees"])
def test_trees_come_back_from_disk(name: str, tmp_path: Path) -> None:
    learner, x = LEARNERS[name], data(60)[0]
    posterior = learner.fit(labelled(), generator=derive(0))
    assert isinstance(posterior, Forest)
    save(posterior, CLASSES, tmp_path)
    restored, _ = load(learner, tmp_path)
    assert model_id(restored) == model_id(posterior)
    assert torch.equal(drawn(restored, x), drawn(posterior, x))
    with pytest.raises(ModelError, match="not the weights of a forest of 2 classes"):
        learner.restore(("a", "b"), posterior.weights())


def test_other_members_have_no_weights() -> None:
    posterior = LEARNERS["naive Bayes"].fit(labelled(), generator=derive(0))
    assert type(posterior) is Committee
    with pytest.raises(ModelError, match="no weights"):
        model_id(posterior)


@pytest.mark.parametrize("name", ["forest", "trees", "gradient boosting", "pipeline", "bagged trees"])
def test_a_single_class_is_certain_and_said(name: str) -> None:
    with pytest.warns(DegenerateWarning, match="all labels are 'a', so every member is sure of it"):
        posterior = LEARNERS[name].fit(labelled(5, classes=1), generator=derive(0))
    assert drawn(posterior, data(9)[0]).tolist() == [[[1, 0, 0, 0]] * (posterior.distinct or 0)] * 9


def test_classes_lost_in_a_bootstrap_are_zero_columns() -> None:
    """Three labels of three classes, drawn freely: most members miss one."""
    x = torch.tensor([[0.0], [1.0], [2.0]])
    data = Round(0, CLASSES, as_rows(x), torch.tensor([0, 2, 3]))
    learner = Bootstrap(SklearnCommittee(KNeighborsClassifier(1), members=1), members=12, stratified=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWarning)
        values = drawn(learner.fit(data, generator=derive(0)), x)
    seen = (values.amax(0) > 0).sum(1)
    assert seen.min() < 3
    assert not bool(values[..., 1].any())
    assert torch.allclose(values.sum(2), torch.ones(3, 12, dtype=torch.float64))


def test_inside_another_bootstrap_every_class_stays() -> None:
    learner = Bootstrap(SklearnCommittee(RandomForestClassifier(3)), members=2)
    values = drawn(learner.fit(labelled(), generator=derive(0)), data(20)[0])
    assert values.shape == (20, 6, 4)


def test_members_that_are_all_equal_are_told() -> None:
    equal = SklearnCommittee(LogisticRegression(random_state=0), members=2)
    with pytest.warns(DegenerateWarning, match=r"the random_state of LogisticRegression does nothing; use bootstrap"):
        equal.fit(labelled(), generator=derive(0))


def test_an_estimator_that_fails_is_quoted() -> None:
    learner = SklearnCommittee(GradientBoostingClassifier(max_depth=-1), members=2)
    with pytest.raises(ModelError, match=r"member 0: GradientBoostingClassifier cannot be fitted: .*max_depth"):
        learner.fit(labelled(), generator=derive(0))
    with pytest.raises(ModelError, match="one or more rows"):
        SklearnCommittee(RandomForestClassifier(2)).fit(labelled(0), generator=derive(0))


def test_trees_refuse_what_is_missing() -> None:
    posterior = LEARNERS["forest"].fit(labelled(), generator=derive(0))
    with pytest.raises(ModelError, match="the inputs hold NaN"):
        posterior.predict(torch.full((1, 2, 2), torch.nan))


def test_committees_that_cannot_be() -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: SklearnCommittee(LinearSVC(), members=2), "LinearSVC is no classifier with predict_proba"),
        (lambda: SklearnCommittee(GaussianNB(), members=2), "GaussianNB would all be equal, .* use bootstrap=True"),
        (lambda: SklearnCommittee(GaussianNB()), "has no members of its own, .* members=10"),
        (lambda: SklearnCommittee(GaussianNB(), members=0), "members must be at least 1"),
    ]
    for make, words in cases:
        with pytest.raises(ProtocolError, match=words):
            make()
