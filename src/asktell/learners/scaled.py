"""Any learner, with its probabilities scaled by what a validation set says."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from asktell.errors import ModelError
from asktell.learners.bootstrap import part
from asktell.learners.protocols import Learner, Restores, Round
from asktell.posteriors import Scaled, calibrated
from asktell.training.temperature import temperature


@dataclass(frozen=True)
class TemperatureScaled:
    """Fits the learner, then one temperature that makes the validation labels as likely as it can.

    Guo et al. 2017, section 4.2 (arXiv:1706.04599). Gives `Scaled`. The generator goes to the learner. Raises
    `ModelError` without a validation set.

    >>> from asktell.learners import SingleNetwork
    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = TemperatureScaled(SingleNetwork(two_moons_mlp, Training(epochs=2)))
    >>> points = torch.eye(2), torch.tensor([0, 1])
    >>> posterior = learner.fit(Round(0, ("low", "high"), *points, validation=points), generator=torch.Generator())
    >>> posterior.temperature > 0
    True
    """

    learner: Learner

    @property
    def offers(self) -> frozenset[str]:
        """What `Scaled` offers."""
        return Scaled.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Scaled:  # noqa: A002
        """Fit on the labelled rows, scale by the validation set."""
        if round.validation is None:
            raise ModelError("a temperature needs a validation set: Round(validation=(inputs, labels))")
        posterior = self.learner.fit(round, generator=generator)
        inputs, labels = round.validation
        return calibrated(posterior, temperature(posterior.predict(inputs), labels))

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Scaled:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        if not isinstance(self.learner, Restores):
            raise ModelError(f"{type(self.learner).__name__} cannot make its posterior again from weights")
        return calibrated(self.learner.restore(classes, part(weights, "posterior.")), float(weights["temperature"]))
