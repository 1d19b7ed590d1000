"""Strategies that make the labelled items look like the pool: what is most surely unlabelled is asked."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar

import torch
from torch import Tensor, nn

from asktell.errors import ProtocolError, RowError
from asktell.evidence import Evidence
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Reading, Rows, as_rows
from asktell.selection import Selection, top_k
from asktell.selection.farthest import check_finite, given_rows
from asktell.selection.result import Report, check_batch, empty_selection
from asktell.strategies.views import Joined
from asktell.training.autoencoder import Moments
from asktell.training.discriminator import balanced_accuracy, discriminator, discriminator_loss, held_out

_LAYERS = 3
_NARROW, _WIDE, _FEW_NUMBERS = 20, 256, 30  # units of a layer, and the numbers in a row from which on it is wide
_BATCH = 64
_WINDOW = 25  # steps after which the accuracy is looked at


@dataclass(frozen=True)
class Discriminative:
    """Most surely unlabelled, by a network that tells labelled from unlabelled items (Gissin & Shalev-Shwartz 2019).

    The batch is picked in `sub_batches` parts, each counted as labelled before the next network is trained. Training
    ends once `accuracy` of the rows of 25 steps were told right, at the latest after `steps`.
    """

    name: ClassVar[str] = "discriminative"
    needs: ClassVar[frozenset[str]] = frozenset({"features", "labelled_features", "pending_features"})
    sub_batches: int = 10
    steps: int = 300
    accuracy: float = 0.98
    lr: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.sub_batches, self.steps) < 1:
            raise ProtocolError(f"sub_batches and steps must be at least 1, not {self.sub_batches} and {self.steps}")
        if not (0 < self.accuracy <= 1 and math.isfinite(self.lr) and self.lr > 0):
            raise ProtocolError(
                f"accuracy must be above 0 and at most 1, and lr positive, not {self.accuracy} and {self.lr}"
            )

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """b items, scores = 1 - D, the probability of being unlabelled when they were picked.

        What is pending counts as labelled. While nothing is either, a sub-batch is uniform, with score 1.
        """
        features, labelled = as_rows(evidence.require("features")), evidence.require("labelled_features")
        check_batch(b, evidence.n)
        if b == 0:
            return empty_selection()
        given = Joined(tuple(as_rows(rows) for rows in (labelled, evidence.pending_features) if rows is not None))
        try:
            pool = _Pool(features, given_rows(given, features), memory, take_key(generator))
        except RowError as error:
            raise _named(error, evidence.n, len(labelled)) from None
        return _Picking(self, pool, generator).picked(b)


@dataclass
class _Pool:
    """Candidates, and after them the rows that count as labelled, standardised when they are read.

    `ranked` is an order of all rows that depends on the key and on what a row holds, not on where it stands: what is
    drawn to train on depends on no order of the candidates.
    """

    features: Rows
    given: Rows
    memory: int | None
    key: int
    ranked: Tensor = field(init=False)

    def __post_init__(self) -> None:
        n, state = len(self.features), 40 * (len(self.features) + len(self.given))
        self.candidates = Reading(self.features, memory=self.memory, state=state)
        self.all = Reading(Joined((self.features, self.given)), memory=self.memory, state=state)
        self.n, self.d = n, self.all.row_shape[0]
        hashes = torch.empty(self.all.n, dtype=torch.int64)
        self.mean, self.scale = (moment.double() for moment in Moments.of(self._hashed(hashes)))
        order = torch.randperm(self.all.n, generator=derive(self.key, "copies"))
        self.ranked = order[hashes[order].argsort(stable=True)]

    def drawn(self, rows: Tensor) -> Tensor:
        """These rows, standardised, float32, in this order."""
        return self._standardised(self.all.take(rows)).float()

    def batches(self, labelled: Tensor, unlabelled: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """For ever: rows drawn with replacement, 64 of either kind, labelled first. A tile of them is read at once."""
        steps = max(1, self.all.plan.tile // (2 * _BATCH))
        while True:
            chosen = (
                side[torch.randint(len(side), (steps, _BATCH), generator=generator)] for side in (labelled, unlabelled)
            )
            yield from torch.split(self.drawn(torch.stack(tuple(chosen), 1).flatten()), 2 * _BATCH)

    def logits(self, module: nn.Module) -> Tensor:
        """Of every candidate, float64; rounded to single precision, so that copies tie."""
        with torch.no_grad():
            return self.candidates.score(lambda tile: module(self._standardised(tile)).float())

    def _standardised(self, rows: Tensor) -> Tensor:
        return (rows.detach().double().cpu() - self.mean) / self.scale

    def _hashed(self, hashes: Tensor) -> Iterator[Tensor]:
        """One pass over all rows: checked, and hashed bit by bit with random factors, modulo 2^64."""
        generator = derive(self.key, "hash")
        keys, factors = torch.randint(-(2**63), 2**63 - 1, (2, self.d), generator=generator).unbind()
        for start, tile in self.all.tiles():
            x = tile.detach().double().cpu() + 0.0  # + 0: no -0
            check_finite(x.square().sum(1), "features", start)
            bits = x.view(torch.int64) ^ keys
            hashes[start : start + len(x)] = ((bits ^ (bits >> 29)) * (factors | 1)).sum(1)
            yield x


@dataclass
class _Picking:
    """Candidates on their way to the labelled side."""

    strategy: Discriminative
    pool: _Pool
    generator: torch.Generator
    accuracy: float | None = None

    def __post_init__(self) -> None:
        self.labelled = torch.arange(self.pool.all.n) >= self.pool.n

    def picked(self, b: int) -> Selection:
        """The batch, part by part; parts differ by one at the most."""
        picks, scores = [], []
        for number, size in enumerate(map(len, torch.arange(b).tensor_split(min(self.strategy.sub_batches, b)))):
            left = (~self.labelled[: self.pool.n]).nonzero().squeeze(1)
            chosen, probability = self._part(left, size, number)
            self.labelled[chosen] = True
            picks.append(chosen)
            scores.append(probability)
        readings = (self.pool.all, self.pool.candidates)
        passes, rows_read = (sum(getattr(one, name) for one in readings) for name in ("passes", "rows_read"))
        report = Report(passes, rows_read, discriminator_accuracy=self.accuracy)
        return Selection(torch.cat(picks), torch.cat(scores), report=report)

    def _part(self, left: Tensor, size: int, number: int) -> tuple[Tensor, Tensor]:
        """Some of the candidates that are left, and the probability that each is unlabelled."""
        if not bool(self.labelled.any()):
            order = torch.randperm(self.pool.n, generator=derive(self.pool.key, "first"))
            return self.pool.ranked[order[:size]], torch.ones(size, dtype=torch.float64)
        module = self._trained(number).double()
        top = top_k(-self.pool.logits(module)[left], size, generator=self.generator)
        return left[top.indices], top.scores.sigmoid()

    def _trained(self, number: int) -> nn.Module:
        """A network of its own for a part of the batch. For the first, some rows are held out to see how good it is."""
        key = derive(self.pool.key, "part", number)
        of_labelled = self.labelled[self.pool.ranked]
        labelled, unlabelled = self.pool.ranked[of_labelled], self.pool.ranked[~of_labelled]
        if number:
            return self._fitted(labelled, unlabelled, key)
        (kept, held), (others_kept, others_held) = held_out(len(labelled), key), held_out(len(unlabelled), key)
        module = self._fitted(labelled[kept], unlabelled[others_kept], key)
        if len(held) and len(others_held):
            found = (module(self.pool.drawn(rows)) for rows in (labelled[held], unlabelled[others_held]))
            self.accuracy = balanced_accuracy(*found)
        return module

    def _fitted(self, labelled: Tensor, unlabelled: Tensor, generator: torch.Generator) -> nn.Module:
        """Trained on as many labelled as unlabelled rows in every step."""
        width = _NARROW if self.pool.d < _FEW_NUMBERS else _WIDE
        with seeded(generator):
            module = discriminator(self.pool.d, *[width] * _LAYERS)
        optimiser, right = torch.optim.Adam(module.parameters(), self.strategy.lr, fused=True), 0.0
        batches = self.pool.batches(labelled, unlabelled, generator)
        for step, x in enumerate(islice(batches, self.strategy.steps), 1):
            logits = torch.split(module(x), _BATCH)
            optimiser.zero_grad()
            discriminator_loss(*logits).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            right += balanced_accuracy(*logits)
            if step % _WINDOW == 0:
                if right / _WINDOW >= self.strategy.accuracy:
                    break
                right = 0.0
        return module


def _named(error: RowError, n: int, labelled: int) -> RowError:
    """The same error under the name of the evidence."""
    for name, count in (("features", n), ("labelled_features", labelled)):
        if error.row < count:
            return RowError(name, error.row, error.reason)
        error = error.moved(-count)
    return RowError("pending_features", error.row, error.reason)
