"""Asking by a cheap model, predicting with a dear one."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from asktell import scores
from asktell.errors import ModelError, ProtocolError
from asktell.learners.bootstrap import part
from asktell.learners.protocols import Learner, Restores, Round
from asktell.learners.single import SingleNetwork, one_network
from asktell.posteriors import Posterior, Proxied, proxied, told_by
from asktell.randomness import derive, take_key
from asktell.rows import Rows, TensorRows, as_rows

COMPARED: Final = 1_000
"""Unlabelled items on which proxy and target are compared, at most."""


@dataclass(frozen=True)
class Proxy:
    """Fits a cheap `proxy`, which gives all evidence, and the dear `target`, which predicts: `Proxied`.

    Selection via proxy, Coleman et al. 2020 (arXiv:1906.11829). Without a `proxy` it is the target's own network,
    trained for `share` of its epochs, rounded up. The target is the one that it would be alone, from the same random
    numbers; restarted warm, each goes on from itself.

    `told`: what the target tells; what the proxy tells, as `proxy_...`; and `proxy_rank_correlation`, Spearman's,
    between their predictive entropies on at most COMPARED of the unlabelled items, drawn at random, dropout off. It is
    left out where there is none: fewer than two items, or one of both equally sure of all. `seconds` says how long
    each took to fit.

    Raises `EvidenceError` for a target that is not of one network, without a `proxy`, and `ProtocolError` for a
    `share` that is none. `fit` takes from the generator what the target takes, what the proxy takes, and one key; it
    raises `ModelError` as they do.

    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = Proxy(SingleNetwork(two_moons_mlp, Training(epochs=12)))
    >>> learner.cheap.training.epochs
    3
    >>> round = Round(0, ("low", "high"), torch.eye(2), torch.tensor([0, 1]), unlabelled=torch.rand(5, 2))
    >>> sorted(learner.fit(round, generator=torch.Generator()).seconds)
    ['fit proxy', 'fit target']
    """

    target: Learner
    proxy: Learner | None = None
    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ProtocolError(f"share is a part of the target's epochs, above 0 and at most 1, not {self.share}")
        if self.proxy is None:
            one_network(self.target, "svp without a proxy of its own")

    @property
    def cheap(self) -> Learner:
        """The proxy."""
        return shortened(one_network(self.target, "svp"), self.share) if self.proxy is None else self.proxy

    @property
    def offers(self) -> frozenset[str]:
        """What the proxy offers."""
        return self.cheap.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Proxied:  # noqa: A002
        """Fit both on the labelled rows."""
        before = round.previous
        target, dear = _timed(self.target, round, before.target if isinstance(before, Proxied) else before, generator)
        proxy, cheap = _timed(self.cheap, round, before.proxy if isinstance(before, Proxied) else before, generator)
        told = told_by(target) | {f"proxy_{name}": value for name, value in told_by(proxy).items()}
        told |= compared(proxy, target, round.unlabelled, generator=derive(take_key(generator), "compared"))
        return proxied(proxy, target, told=told, seconds={"fit proxy": cheap, "fit target": dear})

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Proxied:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        proxy, target = (
            _restored(learner, classes, part(weights, f"{who}."))
            for who, learner in (("proxy", self.cheap), ("target", self.target))
        )
        return proxied(proxy, target)


def shortened(learner: SingleNetwork, share: float) -> SingleNetwork:
    """The same network, trained for a share of the epochs, rounded up."""
    training = learner.training
    epochs = math.ceil(round(share * training.epochs, 9))  # 0.2 * 35 is a little more than 7
    return replace(learner, training=replace(training, epochs=epochs))


def compared(
    proxy: Posterior, target: Posterior, unlabelled: Rows | None, *, generator: torch.Generator
) -> dict[str, float]:
    """Rank correlation of their predictive entropies on some unlabelled rows; nothing where it is not defined."""
    if unlabelled is None or len(unlabelled) < 2:
        return {}
    rows = as_rows(unlabelled)
    sample = TensorRows(rows.take(torch.randperm(len(rows), generator=generator)[:COMPARED].sort().values))
    both = [scores.entropy(posterior.predict(sample)[:, None]) for posterior in (proxy, target)]
    if any(bool((entropies == entropies[0]).all()) for entropies in both):
        return {}
    from scipy.stats import spearmanr  # here, since all who import asktell.learners would wait for it

    return {"proxy_rank_correlation": float(spearmanr(*(entropies.numpy() for entropies in both)).statistic)}


def _timed(
    learner: Learner, data: Round, previous: Posterior | None, generator: torch.Generator
) -> tuple[Posterior, float]:
    """What a learner gives, and in how many seconds."""
    begun = time.perf_counter()
    posterior = learner.fit(replace(data, previous=previous), generator=generator)
    return posterior, round(time.perf_counter() - begun, 4)


def _restored(learner: Learner, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
    if not isinstance(learner, Restores):
        raise ModelError(f"{type(learner).__name__} cannot make its posterior again from weights")
    return learner.restore(classes, weights)
