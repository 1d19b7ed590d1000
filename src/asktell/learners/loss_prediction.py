"""One network that also learns which items it will be wrong about."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asktell.arrays import Scores
from asktell.errors import ProtocolError
from asktell.learners.protocols import Learner, Round
from asktell.learners.single import one_network
from asktell.posteriors import MCDropout, WithUtility, with_utility
from asktell.posteriors.network import Network, Source
from asktell.randomness import derive, seeded, take_key
from asktell.training import Forgetting, accuracy, fit
from asktell.training.fit import checked
from asktell.training.loss_module import WithLossModule
from asktell.training.method import Method, Step
from asktell.training.ranking_loss import rank_accuracy, ranking_loss


@dataclass(frozen=True)
class LossPrediction:
    """Fits the learner's network together with a module that predicts its loss, and offers that as `utility`.

    Yoo and Kweon 2019 (arXiv:1905.03677). A step makes mean loss + `weight` * `ranking_loss` small, the latter with
    `margin` over random pairs of its rows. After the share `until` of all steps the module's gradient stops at the
    network; 0 leaves the network as it would be alone. `layers` names what the module of `width` units a layer looks
    at: `WithLossModule`. The module starts afresh every round; so does the network, unless the learner restarts warm.

    `told`: what the learner's own posteriors tell, and how well predicted losses order true ones, dropout off:
    `rank_accuracy` on the validation set or, without one, `rank_accuracy_labelled` on the labelled rows themselves.

    Raises `EvidenceError` for a learner that is not of one network. `fit` takes one key from the generator; it raises
    `ModelError` as the learner does, and for layers that there are not.

    >>> from asktell.learners import SingleNetwork
    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = LossPrediction(SingleNetwork(two_moons_mlp, Training(epochs=2)))
    >>> round = Round(0, ("low", "high"), torch.eye(2), torch.tensor([0, 1]))
    >>> learner.fit(round, generator=torch.Generator()).utility(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    learner: Learner
    layers: tuple[str, ...] | None = None
    weight: float = 1.0
    margin: float = 1.0
    until: float = 0.6
    width: int = 128

    def __post_init__(self) -> None:
        one_network(self.learner, "loss-prediction")
        if self.layers is not None and not self.layers:
            raise ProtocolError("layers must name at least one layer; None takes the last four activations")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ProtocolError(f"weight must be zero or more, not {self.weight}")
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ProtocolError(f"margin must be positive, not {self.margin}")
        if not 0 <= self.until <= 1:
            raise ProtocolError(f"until is a share of training, 0 to 1, not {self.until}")
        if self.width < 1:
            raise ProtocolError(f"width must be at least 1, not {self.width}")

    @property
    def offers(self) -> frozenset[str]:
        """What the learner offers, and `utility`."""
        return self.learner.offers | {"utility"}

    def fit(self, round: Round, *, generator: torch.Generator) -> WithUtility:  # noqa: A002
        """Fit both on the labelled rows."""
        learner = one_network(self.learner, "loss-prediction")
        key = take_key(generator)
        both = self._joined(learner.start(round, key), round, key)
        forgetting = Forgetting(len(round.labels))
        fit(
            both,
            round.inputs,
            round.labels,
            training=learner.training,
            validation=round.validation,
            generator=derive(key, "fit"),
            method=Method(loss=self._loss(both, derive(key, "pairs"))),
            watch=forgetting,
        )
        told = {"train_accuracy": accuracy(both, round.inputs, round.labels), **forgetting.told}
        posterior = learner.posterior(both.network, told=told)
        predicted = PredictedLoss(both, batch=learner.batch)
        return with_utility(posterior, predicted, told=_ranked(posterior, predicted, round))

    def _joined(self, network: nn.Module, data: Round, key: int) -> WithLossModule:
        rows, _ = checked(network, data.inputs, data.labels, "labels")
        with seeded(derive(key, "loss module")):
            return WithLossModule(network, rows[0:1], layers=self.layers, width=self.width)

    def _loss(
        self, both: WithLossModule, pairs: torch.Generator
    ) -> Callable[[nn.Module, Tensor, Tensor, Step], Tensor]:
        def loss(_: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
            logits, predicted = both.both(x, through=step.done < self.until)
            losses = nn.functional.cross_entropy(logits.detach(), y, reduction="none")
            order = torch.randperm(len(x), generator=pairs).to(x.device)  # rows of a step are sorted, pairs random
            rank = ranking_loss(predicted[order], losses[order], margin=self.margin)
            return nn.functional.cross_entropy(logits, y) + self.weight * rank

        return loss


class PredictedLoss:
    """The finished copy of a network and its loss module, run `batch` rows at a time with dropout off."""

    def __init__(self, both: WithLossModule, *, batch: int = 256) -> None:
        self._network = Network(both, batch=batch)

    def __call__(self, inputs: Source) -> Scores:
        """The predicted loss of every row: any number, of which only the order means something."""
        both = self._network.module
        assert isinstance(both, WithLossModule)  # a copy of what came in
        with torch.no_grad():
            return torch.cat([both.both(x)[1].double().cpu() for x in self._network.batches(inputs)])


def _ranked(posterior: MCDropout, predicted: PredictedLoss, data: Round) -> dict[str, float]:
    """How well predicted losses order true ones; nothing where no two of these differ."""
    held_out = data.validation is not None
    inputs, labels = data.validation or (data.inputs, data.labels)
    losses = nn.functional.nll_loss(posterior.predict(inputs), labels.cpu(), reduction="none")
    share = rank_accuracy(predicted(inputs), losses)
    return {} if share is None else {"rank_accuracy" if held_out else "rank_accuracy_labelled": share}
