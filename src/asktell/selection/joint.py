"""BatchBALD: the batch whose labels, taken together, tell most about the model.

Kirsch, van Amersfoort & Gal 2019 (arXiv:1906.08158). Greedy, with two changes to the algorithm of the paper that
leave what is maximised as it is. Gains are conditional: given labels of the earlier picks each draw has a weight, and
the gain of an item is the mean over label configurations of a Jensen-Shannon divergence, so it is never negative. And
they are lazy: an item's gain only shrinks as the batch grows, so its last gain bounds its next, and only items whose
bound reaches the best are evaluated.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from asktell.arrays import LogProbs, PendingLogProbs, PickScores, check_draws, entropies, is_half, probabilities
from asktell.errors import EvidenceError, SelectionError
from asktell.rows import Reading, Rows, as_rows
from asktell.scores import bald
from asktell.scores.formula import nonnegative
from asktell.selection.ranked import power_sample
from asktell.selection.result import Report, Selection, check_batch, empty_selection

PARTICLES = 2_000
SATURATION = 0.05
"""Nats left to learn below which further gains are noise."""
_FIRST_BLOCK = 16
_BLOCK_NUMBERS = 2**20  # float64 numbers in one [m, items, c] block of mixed predictions
_ITEM_BYTES = 6 * 8  # BALD, the last gain, a place among ties, and three more while the gains are sorted
_SETTLED = 1e-6  # nats: gains below are taken for equal; weights of less entropy can gain no more


def batchbald(
    log_probs: LogProbs | Rows,
    b: int,
    *,
    particles: int = PARTICLES,
    given: PendingLogProbs | Rows | None = None,
    saturation: float = SATURATION,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """Greedily the b rows with the largest joint information I[y_1..y_b; w], scores = marginal gains in nats.

    Exact while c ** picks <= particles (rounded up to a multiple of k); from then on over that many sampled label
    configurations, where each pick is within its sampling error of the maximum. b = 1 is top BALD.

    `given` [g, k, c]: the same draws' predictions for items that are asked and not answered; their labels count as
    known. k draws can tell apart no more than log k nats: when less than `saturation` nats are left, the rest of the
    batch is filled by `power_sample` on BALD, with `report.saturated_at` and `report.filled_from` saying so;
    `saturation=0` never fills. Two numbers per row stay in memory.

    Raises `EvidenceError` for rows that are no log-probabilities, `SelectionError` if b < 0 or b > n, and for a
    parameter out of range. Kirsch et al. 2019, eq. 8 and algorithm 1 (arXiv:1906.08158).

    >>> twice = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log().expand(2, 2, 2)  # two copies of a sure disagreement
    >>> batchbald(twice, 2, saturation=0.0, generator=torch.Generator()).scores
    tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    if particles < 1 or not 0 <= saturation < math.inf:
        raise SelectionError(f"batchbald needs particles >= 1 and saturation >= 0, not {particles} and {saturation}")
    pool = _Pool(as_rows(log_probs), memory, particles)
    check_batch(b, pool.n)
    if b == 0:
        return empty_selection()
    joint = _given_joint(pool, particles, given, generator)
    return _Greedy(pool, joint, saturation, generator).pick(b)


def joint_information(log_probs: LogProbs, *, particles: int = PARTICLES, generator: torch.Generator) -> PickScores:
    """I[y_1..y_i; w] of the first i rows, for i = 1..n, in nats: what the labels of a batch tell about the model.

    At most log k, and at most the sum of the rows' BALD; it never falls as rows join. Exact while c ** i <= particles
    (rounded up to a multiple of k); from then on a mean over that many sampled label configurations, with its sampling
    error. Kirsch et al. 2019, eq. 8 (arXiv:1906.08158).

    Raises `EvidenceError` for rows that are no log-probabilities, `SelectionError` unless particles >= 1.

    >>> twice = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).log().expand(2, 2, 2)  # two copies of a sure disagreement
    >>> joint_information(twice, generator=torch.Generator())
    tensor([0.6931, 0.6931], dtype=torch.float64)
    """
    if particles < 1:
        raise SelectionError(f"joint_information needs particles >= 1, not {particles}")
    check_draws(log_probs)
    joint = Joint.start(log_probs.shape[1], particles, log_probs.device)
    left = []
    for p_kc in probabilities(log_probs)[0]:
        joint = joint.extended(p_kc, generator)
        left.append(joint.left)
    return nonnegative(math.log(log_probs.shape[1]) - torch.tensor(left, dtype=torch.float64))


@dataclass(frozen=True)
class Joint:
    """What m label configurations of the picks so far say about the k draws.

    `log_likelihood_mk`: log p(configuration | draw). `mass_m` sums to one. While `exact`, the rows are all
    configurations (of positive mass) and `history` holds the picks' probabilities [k, c]; later every row is a
    particle, extended by labels drawn from its own fixed true draw, m mod k.
    """

    log_likelihood_mk: Tensor
    mass_m: Tensor
    particles: int
    exact: bool
    history: tuple[Tensor, ...] = ()

    @classmethod
    def start(cls, k: int, particles: int, device: torch.device | None = None) -> "Joint":
        """Nothing picked: one empty configuration, under which every draw is as likely."""
        particles = math.ceil(particles / k) * k
        zeros = torch.zeros(1, k, dtype=torch.float64, device=device)
        return cls(zeros, zeros.new_ones(1), particles, exact=True)

    @cached_property
    def weights_mk(self) -> Tensor:
        """p(draw | configuration)."""
        return self.log_likelihood_mk.softmax(1)

    @cached_property
    def left(self) -> float:
        """Mean entropy of the weights, nats: no further gain can be larger. log k - left is the joint information."""
        return float(self.mass_m @ entropies(self.weights_mk))

    @cached_property
    def _mixing(self) -> tuple[Tensor, Tensor]:
        """Weights and mass of the configurations that can still gain, in the type that gains are computed in.

        Particles are mixed in float32, whose rounding is a thousand times below their sampling error.
        """
        if self.exact:
            return self.weights_mk, self.mass_m
        keep = entropies(self.weights_mk) >= _SETTLED
        return self.weights_mk[keep].float(), self.mass_m[keep].float()

    def extended(self, p_kc: Tensor, generator: torch.Generator) -> "Joint":
        """The same after one more pick, whose label the draws predict as `p_kc`."""
        if not self.exact:
            return self._drawn(p_kc, generator)
        history = (*self.history, p_kc)
        if p_kc.shape[1] ** len(history) > self.particles:
            return self._sampled(history, generator)
        return self._enumerated(p_kc, history)

    def gains(self, p_ikc: Tensor, log_p_ikc: Tensor) -> Tensor:
        """Marginal gain of every item, nats, float64 on the CPU: mean over m of H[sum_k w p] - sum_k w H[p]."""
        weights, mass = self._mixing
        step = max(1, _BLOCK_NUMBERS // max(1, len(weights) * p_ikc.shape[2]))
        mixed = torch.cat([_mixed_entropies(weights, mass, p) for p in torch.split(p_ikc, step)])
        expected = entropies(p_ikc, log_p_ikc) @ (mass @ weights).double()
        return nonnegative((mixed - expected).cpu(), 1e-9 if self.exact else 1e-5)

    def deviation(self, p_kc: Tensor) -> float:
        """Standard deviation over configurations of one item's gain, nats."""
        gain_m = entropies(self.weights_mk @ p_kc) - self.weights_mk @ entropies(p_kc)
        return math.sqrt(max(0.0, float(self.mass_m @ gain_m**2 - (self.mass_m @ gain_m) ** 2)))

    def _enumerated(self, p_kc: Tensor, history: tuple[Tensor, ...]) -> "Joint":
        extended = self.log_likelihood_mk[:, None, :] + p_kc.log().T
        log_likelihood = extended.reshape(-1, len(p_kc))
        mass = log_likelihood.exp().mean(1)
        return Joint(log_likelihood[mass > 0], mass[mass > 0], self.particles, True, history)

    def _sampled(self, history: tuple[Tensor, ...], generator: torch.Generator) -> "Joint":
        zeros = history[0].new_zeros(self.particles, len(history[0]))
        joint = Joint(zeros, zeros.new_full((self.particles,), 1 / self.particles), self.particles, exact=False)
        for p_kc in history:
            joint = joint._drawn(p_kc, generator)
        return joint

    def _drawn(self, p_kc: Tensor, generator: torch.Generator) -> "Joint":
        true_draw = torch.arange(self.particles) % len(p_kc)
        labels = torch.multinomial(p_kc.cpu()[true_draw], 1, generator=generator).squeeze(1)
        log_likelihood = self.log_likelihood_mk + p_kc.log()[:, labels.to(p_kc.device)].T
        return Joint(log_likelihood, self.mass_m, self.particles, exact=False)


def _mixed_entropies(weights_mk: Tensor, mass_m: Tensor, p_ikc: Tensor) -> Tensor:
    """Mean over configurations of H[sum_k w p], float64 [items]."""
    items, k, c = p_ikc.shape
    mixed = weights_mk @ p_ikc.to(weights_mk.dtype).transpose(0, 1).reshape(k, items * c)
    mixed *= mixed.clamp_min(torch.finfo(mixed.dtype).tiny).log_()
    return -(mass_m @ mixed).double().reshape(items, c).sum(1)


class _Pool:
    """Rows of log-probabilities, read under a budget."""

    def __init__(self, rows: Rows, memory: int | None, particles: int) -> None:
        probe = rows[0:1]
        check_draws(probe)
        self.n = len(rows)
        self.shape, self.device = (probe.shape[1], probe.shape[2]), probe.device
        self.renormalised = is_half(probe)
        self.reading = Reading(rows, memory=memory, state=_ITEM_BYTES * self.n + 16 * particles * probe.shape[1])
        self.evaluations = 0

    def bald(self) -> Tensor:
        return self.reading.score(bald)

    def evaluate(self, joint: Joint, indices: Tensor) -> Tensor:
        """Gains of the rows at `indices`, in that order."""
        self.evaluations += len(indices)
        return joint.gains(*probabilities(self.reading.take(indices)))

    def row(self, index: int) -> Tensor:
        return probabilities(self.reading.rows.take(torch.tensor([index])))[0][0]


class _Greedy:
    """The batch as it grows: last known gains, random tie order, picks."""

    def __init__(self, pool: _Pool, joint: Joint, saturation: float, generator: torch.Generator) -> None:
        self.pool, self.joint, self.saturation, self.generator = pool, joint, saturation, generator
        self.left_at_start = joint.left
        self.bald = pool.bald()
        self.bound = self.bald.clone()
        self.fresh = len(joint.history) == 0 and joint.exact
        self.ties = torch.randperm(pool.n, generator=generator)
        self.picks: list[int] = []
        self.gains: list[float] = []

    def pick(self, b: int) -> Selection:
        while len(self.picks) < b and self.joint.left >= self.saturation:
            self._pick_one()
        return self._fill(b) if len(self.picks) < b else self._selection(None)

    def _pick_one(self) -> None:
        best = self._best()
        self.picks.append(best)
        self.gains.append(float(self.bound[best]))
        self.bound[best] = -math.inf
        self.joint = self.joint.extended(self.pool.row(best), self.generator)
        self.fresh = False

    def _best(self) -> int:
        """The row of the largest gain; its entry in `bound` is that gain.

        No gain is larger than what is left, so one within `slack` of that is within `slack` of the largest.
        """
        order = self.ties[self.bound[self.ties].sort(descending=True, stable=True).indices]
        order = order[: self.pool.n - len(self.picks)]
        if self.fresh:
            return int(order[0])
        if self.joint.left < _SETTLED:  # no gain can be told from another
            self.bound[order[:1]] = self.pool.evaluate(self.joint, order[:1])
            return int(order[0])
        bounds = self.bound[order]  # as they were: evaluation overwrites self.bound
        best, best_gain, slack = -1, -math.inf, 0.0
        start, size = 0, _FIRST_BLOCK
        while start < len(order) and best_gain < float(bounds[start]) + slack and best_gain + slack < self.joint.left:
            block = order[start : start + size]
            gain = self.pool.evaluate(self.joint, block)
            self.bound[block] = gain
            top = int(gain.argmax())
            if float(gain[top]) > best_gain:
                best, best_gain = int(block[top]), float(gain[top])
                slack = self._slack(best)
            start += len(block)
            reaching = int((bounds[start:] + slack > best_gain).sum())
            size = min(2 * size, self.pool.reading.plan.tile, reaching)
        return best

    def _slack(self, row: int) -> float:
        """How much a stale bound may be off, since sampled labels change what a gain is measured by."""
        if self.joint.exact:
            return 0.0
        return 3 * self.joint.deviation(self.pool.row(row)) / math.sqrt(self.joint.particles)

    def _fill(self, b: int) -> Selection:
        start = len(self.picks)
        free = torch.ones(self.pool.n, dtype=torch.bool)
        free[self.picks] = False
        rows = free.nonzero().squeeze(1)
        filled = rows[power_sample(self.bald[rows], b - start, generator=self.generator).indices]
        gain = self.pool.evaluate(self.joint, filled)
        self.picks += filled.tolist()
        self.gains += gain.tolist()
        return self._selection(start)

    def _selection(self, saturated_at: int | None) -> Selection:
        report = Report(
            passes=self.pool.reading.passes,
            rows_read=self.pool.reading.rows_read,
            evaluations=self.pool.evaluations,
            joint_information=self.left_at_start - self.joint.left,
            saturated_at=saturated_at,
            filled_from=saturated_at,
            renormalised=self.pool.renormalised,
        )
        return Selection(torch.tensor(self.picks), torch.tensor(self.gains, dtype=torch.float64), report=report)


def _given_joint(
    pool: _Pool, particles: int, given: PendingLogProbs | Rows | None, generator: torch.Generator
) -> Joint:
    joint = Joint.start(pool.shape[0], particles, pool.device)
    if given is None or len(given) == 0:
        return joint
    rows = as_rows(given)
    log_probs = rows[0 : len(rows)]
    check_draws(log_probs, "given")
    if tuple(log_probs.shape[1:]) != pool.shape:
        raise EvidenceError(
            f"given has {list(log_probs.shape[1:])} draws and classes, log_probs {list(pool.shape)}; "
            "both must come from the same draws of one posterior"
        )
    p, _ = probabilities(log_probs, "given")
    for p_kc in p.to(pool.device):
        joint = joint.extended(p_kc, generator)
    return joint
