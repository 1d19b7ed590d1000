"""The same numbers as scikit-activeml 1.0.1, where that is right.

Right are BatchBALD while the joint is exact (zeros are clipped, so none are given) and farthest-first with labelled
rows. Its sampled BatchBALD takes as many label configurations as there are draws unless told otherwise, one for each
draw: another, coarser estimator, so it is not compared. Its BADGE never forgets the squared norms that chose the first
pick: every later distance is at most the norm, as if a centre lay at the origin. With that centre the laws are equal.
"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from asktell.embeddings import GradientEmbedding
from asktell.randomness import derive
from asktell.rows import as_rows
from asktell.selection import batchbald, k_center

skactiveml = pytest.importorskip("skactiveml.pool", reason="scikit-activeml is not installed: make setup")
SklearnClassifier = pytest.importorskip("skactiveml.classifier").SklearnClassifier


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=derive(seed, "parity"), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_batchbald_in_its_exact_phase(seed: int) -> None:
    log_probs = (3 * random(60, 8, 4, seed=seed)).log_softmax(-1)
    joint = skactiveml.batch_bald(log_probs.exp().transpose(0, 1).numpy().copy(), 4, n_MC_samples=10_000, eps=1e-12)
    ours = batchbald(log_probs, 4, saturation=0.0, generator=derive(seed))
    assert np.nanargmax(joint, axis=1).tolist() == ours.indices.tolist()
    assert ours.scores.cumsum(0).tolist() == pytest.approx(np.nanmax(joint, axis=1), abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_farthest_first(seed: int) -> None:
    features = random(200, 5, seed=seed)
    labels = np.full(200, np.nan)
    labels[:3] = 0
    theirs, distances = skactiveml.k_greedy_center(features.numpy(), labels, batch_size=20)
    ours = k_center(features[3:], 20, given=features[:3], generator=derive(seed))
    assert (ours.indices + 3).tolist() == theirs.tolist()
    assert ours.scores.tolist() == pytest.approx(np.nanmax(distances, axis=1), abs=1e-10)


def rows(points: GradientEmbedding, picks: list[int]) -> GradientEmbedding:
    return GradientEmbedding(*(as_rows(factor).take(torch.tensor(picks)) for factor in points.factors.values()))


@pytest.mark.parametrize("seed", range(3))
def test_badge_draws_as_if_the_origin_were_a_centre(seed: int) -> None:
    features = random(50, 6, seed=seed)
    known = random(50, 4, seed=seed + 100).argmax(1)
    classifier = SklearnClassifier(LogisticRegression(), classes=[0, 1, 2, 3]).fit(features.numpy(), known.numpy())
    picks, law = skactiveml.Badge(random_state=seed).query(
        features.numpy(), np.full(50, np.nan), classifier, fit_clf=False, batch_size=5, return_utilities=True
    )
    points = GradientEmbedding.of(torch.from_numpy(classifier.predict_proba(features.numpy())).log(), features)
    assert picks[0] == int(points.norms().argmax())
    for count in range(1, 5):
        weight = points.squared_distances(rows(points, picks[:count])).amin(1).minimum(points.norms().square())
        expected = (weight / weight.sum()).tolist()
        assert np.nan_to_num(law[count]).tolist() == pytest.approx(expected, abs=1e-6)
