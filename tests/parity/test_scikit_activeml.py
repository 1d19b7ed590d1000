"""The same numbers as scikit-activeml 1.0.1, where that is right.

Right are BatchBALD while the joint is exact (zeros are clipped, so none are given) and farthest-first with labelled
rows. Its sampled BatchBALD takes as many label configurations as there are draws unless told otherwise, one for each
draw: another, coarser estimator, so it is not compared. Its BADGE never forgets the squared norms that chose the first
pick: every later distance is at most the norm, as if a centre lay at the origin. With that centre the laws are equal.

Contrastive active learning is right up to a floor of 1e-7 for probabilities. So is ProbCover at a radius that is given
(balls are closed there, which matters on no generic data); its own radius is the largest of a grid. TypiClust takes the
largest cluster without a label: the same as long as a cluster has twice as many rows as neighbours, is not small, and
there are enough of them.
"""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from asktell.embeddings import GradientEmbedding, LastLayer
from asktell.randomness import derive
from asktell.rows import as_rows
from asktell.scores import contrastive
from asktell.selection import batchbald, k_center, probcover, purity_radius, typiclust

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


@pytest.mark.parametrize("seed", range(3))
def test_contrastive(seed: int) -> None:
    features = random(80, 6, seed=seed)
    known = random(80, 4, seed=seed + 100).argmax(1)
    classifier = SklearnClassifier(LogisticRegression(), classes=[0, 1, 2, 3]).fit(features.numpy(), known.numpy())
    labels = np.full(80, np.nan)
    labels[:20] = known[:20]
    _, theirs = skactiveml.ContrastiveAL(nearest_neighbors_dict={"n_neighbors": 7}).query(
        features.numpy(), labels, classifier, fit_clf=False, return_utilities=True
    )
    log_probs = torch.from_numpy(classifier.predict_proba(features.numpy())).log()
    labelled = LastLayer(log_probs[:20], features[:20])
    ours = contrastive(LastLayer(log_probs[20:], features[20:]), labelled, neighbours=7, normalise=False)
    assert ours.tolist() == pytest.approx(theirs[0][20:].tolist(), abs=1e-5)


@pytest.mark.filterwarnings("ignore:The maximum purity was -1")  # said of any radius that is given
@pytest.mark.parametrize("seed", range(3))
def test_probcover_at_a_given_radius(seed: int) -> None:
    features = random(120, 2, seed=seed)
    labels = np.full(120, np.nan)
    labels[:5] = 0
    ours = probcover(features[5:], 8, delta=0.5, given=features[:5], covered="random", generator=derive(seed))
    for pick, score in zip(ours.indices.tolist(), ours.scores.tolist(), strict=True):
        _, counts = skactiveml.ProbCover(deltas=[0.5], n_classes=2).query(
            features.numpy(), labels, return_utilities=True
        )
        assert counts[0][pick + 5] == np.nanmax(counts[0]) == score
        labels[pick + 5] = 0


@pytest.mark.parametrize("seed", range(3))
def test_the_radius_of_purity_is_the_largest_of_a_fine_grid(seed: int) -> None:
    far = 5 * torch.eye(3, dtype=torch.float64)[torch.arange(90) % 3]
    features = far + random(90, 3, seed=seed)
    theirs = skactiveml.ProbCover(n_classes=3, deltas=np.arange(0.01, 8, 0.01), alpha=0.9, random_state=0)
    theirs.query(features.numpy(), np.full(90, np.nan))
    ours = purity_radius(features, 3, alpha=0.9, generator=derive(seed))
    assert ours == pytest.approx(theirs.delta_max_, abs=0.011)


@pytest.mark.parametrize("seed", range(3))
def test_typiclust_in_far_clusters_of_which_none_is_small(seed: int) -> None:
    sizes = torch.tensor([30, 25, 20, 15])
    far = 100 * torch.eye(4, dtype=torch.float64).repeat_interleave(sizes, 0)
    features = far + random(90, 4, seed=seed)
    theirs = skactiveml.TypiClust(random_state=0, k=5).query(features.numpy(), np.full(90, np.nan), batch_size=4)
    ours = typiclust(features, 4, neighbours=5, generator=derive(seed))
    assert ours.indices.tolist() == theirs.tolist()
