"""Five models of one's own, each as a posterior: what they know about digits, and what they know they do not know.

    python examples/own_models.py

A ResNet with dropout, a plain network, a network's last layer, a scikit-learn pipeline, and functions that return
probabilities. Every one gives draws, and every strategy works on those.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn

import asktell
from asktell.learners import DeepEnsemble, LastLayerLaplace, Learner, Round, SingleNetwork, SklearnCommittee
from asktell.posteriors import Committee, Posterior
from asktell.posteriors.committee import Predict
from asktell.rows import as_rows
from asktell.training import Training

torch.set_num_threads(1)  # so small a network is slower on more

digits = load_digits()
images = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
truth = torch.tensor(digits.target)
LABELLED, TEST = slice(0, 200), slice(1297, None)
labelled = Round(0, tuple("0123456789"), as_rows(images[LABELLED]), truth[LABELLED])
noise = torch.rand(500, 1, 8, 8, generator=asktell.derive(0, "noise"))


class Block(nn.Module):
    """Two convolutions and a way round them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.Dropout2d(0.2),
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Sum of both ways."""
        return (x + self.body(x)).relu()


def resnet(classes: int) -> nn.Module:
    """A small one."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), Block(16), nn.MaxPool2d(2), Block(16),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, classes),
    )  # fmt: skip


def plain(classes: int) -> nn.Module:
    """No dropout: nothing to draw from in a single one."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, classes))


def template(which: slice) -> Predict:
    """A function that returns probabilities: nearness to the mean image of every class, over some labelled images."""
    means = np.stack([images[LABELLED][which][truth[LABELLED][which] == label].mean(0).numpy() for label in range(10)])

    def probabilities(x: np.ndarray) -> np.ndarray:
        scores = np.exp(-2 * np.square(x[:, None] - means).sum((2, 3, 4)))
        return scores / scores.sum(1, keepdims=True)

    return probabilities


def fitted(learner: Learner) -> Posterior:
    """On the labelled images."""
    return learner.fit(labelled, generator=asktell.derive(0, "fit"))


TRAINING = Training(epochs=30, batch=32, lr=3e-3)
MODELS = {
    "ResNet with dropout": lambda: fitted(SingleNetwork(resnet, TRAINING)),
    "five plain networks": lambda: fitted(DeepEnsemble(plain, TRAINING)),
    "last layer": lambda: fitted(LastLayerLaplace(plain, TRAINING, precision=10.0)),
    "pipelines": lambda: fitted(
        SklearnCommittee(make_pipeline(PCA(20), LogisticRegression(max_iter=1000)), members=10, bootstrap=True)
    ),
    "functions": lambda: Committee([template(slice(start, start + 100)) for start in (0, 50, 100)]),
}

for name, model in MODELS.items():
    posterior = model()
    accuracy = (posterior.predict(as_rows(images[TEST])).argmax(1) == truth[TEST]).double().mean()
    draws = posterior.draw(posterior.distinct or 30, generator=asktell.derive(0, "draws"))
    here, elsewhere = (asktell.uncertainty(draws.log_probs(as_rows(x))).epistemic.mean() for x in (images[TEST], noise))
    print(f"{name:20s} accuracy {accuracy:.3f}   epistemic, in nats: digits {here:.3f}   noise {elsewhere:.3f}")
