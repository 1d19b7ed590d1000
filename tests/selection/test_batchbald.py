"""BatchBALD equals the enumeration of all joint labellings, keeps its laws, and is lazy without harm."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from asktell import scores
from asktell.arrays import probabilities
from asktell.errors import DegenerateWarning, EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import ArrayRows
from asktell.selection import Selection, batchbald
from asktell.selection.joint import Joint


def random_log_probs(n: int, k: int, c: int, seed: int, sharpness: float = 3.0) -> Tensor:
    generator = derive(seed, "batchbald")
    return (sharpness * torch.randn(n, k, c, generator=generator, dtype=torch.float64)).log_softmax(-1)


def joint_information(p: Tensor) -> float:
    """I[y_S; w] by summing over every joint labelling of the rows [s, k, c], without any algebra."""
    s, k, c = p.shape
    joint_entropy = 0.0
    for labelling in itertools.product(range(c), repeat=s):
        mass: float = sum(math.prod(float(p[i, d, y]) for i, y in enumerate(labelling)) for d in range(k)) / k
        joint_entropy -= mass * math.log(mass) if mass > 0 else 0.0
    conditional: float = sum(-x * math.log(x) for x in p.flatten().tolist() if x > 0) / k
    return joint_entropy - conditional


def greedy(p: Tensor, b: int) -> tuple[list[int], list[float]]:
    """The plain greedy algorithm over enumerated information."""
    picks: list[int] = []
    gains: list[float] = []
    for _ in range(b):
        before = joint_information(p[picks]) if picks else 0.0
        options = {i: joint_information(p[[*picks, i]]) - before for i in range(len(p)) if i not in picks}
        picks.append(max(options, key=lambda i: options[i]))
        gains.append(options[picks[-1]])
    return picks, gains


def select(log_probs: Tensor, b: int, seed: int = 0, **options: object) -> Selection:
    return batchbald(log_probs, b, generator=derive(seed, "select"), **options)  # type: ignore[arg-type]


@given(
    seed=st.integers(0, 500),
    k=st.integers(2, 6),
    c=st.integers(2, 3),
    sharpness=st.sampled_from([0.5, 3.0, 60.0]),
)
def test_it_equals_greedy_over_all_joint_labellings(seed: int, k: int, c: int, sharpness: float) -> None:
    log_probs = random_log_probs(6, k, c, seed, sharpness)
    _, gains = greedy(log_probs.exp(), 3)
    selection = select(log_probs, 3, saturation=0.0)
    torch.testing.assert_close(selection.scores, torch.tensor(gains).double(), rtol=0, atol=1e-7)
    total = joint_information(log_probs.exp()[selection.indices])
    assert selection.scores.sum().item() == pytest.approx(total, abs=1e-10)


def test_picks_are_those_of_the_plain_greedy_algorithm() -> None:
    for seed in range(10):
        log_probs = random_log_probs(9, 5, 3, seed)
        assert select(log_probs, 4, saturation=0.0).indices.tolist() == greedy(log_probs.exp(), 4)[0]


@given(seed=st.integers(0, 500), k=st.integers(2, 7), c=st.integers(2, 4))
def test_exact_gains_equal_enumeration_to_1e_10(seed: int, k: int, c: int) -> None:
    p, log_p = probabilities(random_log_probs(5, k, c, seed))
    joint = Joint.start(k, 10_000)
    for s in range(3):
        gains = joint.gains(p, log_p)
        before = joint_information(p[:s]) if s else 0.0
        expected = [joint_information(torch.cat([p[:s], p[i : i + 1]])) - before for i in range(5)]
        torch.testing.assert_close(gains, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-10)
        assert joint.left == pytest.approx(math.log(k) - before, abs=1e-10)
        joint = joint.extended(p[s], derive(0))


def test_exact_zeros_are_legal_in_every_phase() -> None:
    p = torch.distributions.Dirichlet(torch.full((4,), 0.05)).sample((40, 8)).double()
    p = torch.where(p < 1e-3, 0.0, p)
    log_probs = (p / p.sum(-1, keepdim=True)).log()
    assert bool(log_probs.isinf().any())
    exact, sampled = select(log_probs, 3, saturation=0.0), select(log_probs, 3, saturation=0.0, particles=8)
    assert exact.indices[0] == sampled.indices[0]
    assert bool(exact.scores.isfinite().all() & sampled.scores.isfinite().all())


@given(seed=st.integers(0, 300), k=st.integers(2, 20))
def test_a_batch_of_one_is_top_bald(seed: int, k: int) -> None:
    log_probs = random_log_probs(30, k, 4, seed)
    selection = select(log_probs, 1)
    bald = scores.bald(log_probs)
    assert selection.indices.tolist() == [int(bald.argmax())]
    assert selection.scores.item() == pytest.approx(bald.max().item(), abs=1e-12)


@given(seed=st.integers(0, 300), particles=st.sampled_from([4, 64, 5_000]))
def test_gains_are_never_negative_and_stay_within_their_ceilings(seed: int, particles: int) -> None:
    log_probs = random_log_probs(20, 4, 3, seed)
    selection = select(log_probs, 8, saturation=0.0, particles=particles)
    information = selection.report.joint_information
    assert information is not None
    assert bool((selection.scores >= 0).all())
    assert information <= min(math.log(4), scores.bald(log_probs)[selection.indices].sum().item()) + 0.2
    assert information <= math.log(4) + 1e-12
    assert len(set(selection.indices.tolist())) == 8


@given(seed=st.integers(0, 300))
def test_exact_information_is_monotone_submodular_and_order_free(seed: int) -> None:
    p, log_p = probabilities(random_log_probs(3, 4, 3, seed))
    start = Joint.start(4, 1_000)
    first, swapped = start.extended(p[0], derive(0)), start.extended(p[1], derive(0))
    alone, after, twice = start.gains(p, log_p), first.gains(p, log_p), swapped.gains(p, log_p)
    assert bool((after <= alone + 1e-12).all())
    assert (alone[0] + after[1]).item() == pytest.approx((alone[1] + twice[0]).item(), abs=1e-12)
    assert after[0] <= alone[0] + 1e-12


def test_greedy_is_within_its_guarantee() -> None:
    for seed in range(5):
        log_probs = random_log_probs(9, 5, 3, seed)
        best = max(joint_information(log_probs.exp()[list(s)]) for s in itertools.combinations(range(9), 3))
        assert select(log_probs, 3, saturation=0.0).scores.sum().item() >= (1 - 1 / math.e) * best


def test_copies_of_a_pick_gain_less_and_less() -> None:
    copies = random_log_probs(1, 10, 3, 0, sharpness=1.0).expand(30, 10, 3)
    gains = select(copies, 30, saturation=0.0, particles=3_000).scores
    assert gains[0].item() == pytest.approx(scores.bald(copies)[0].item())
    assert bool((gains[:7].diff() < 0).all())
    assert gains[-5:].mean() < 0.2 * gains[0]


@pytest.mark.parametrize("seed", range(5))
def test_sampled_information_agrees_with_exact(seed: int) -> None:
    """Five picks of three classes: exact with 243 configurations, sampled with 2,000 particles."""
    log_probs = random_log_probs(5, 20, 3, seed, sharpness=1.5)
    p, log_p = probabilities(log_probs)
    exact, sampled = Joint.start(20, 243), Joint.start(20, 2_000)._sampled((p[0], p[1], p[2]), derive(seed))
    for row in p[:3]:
        exact = exact.extended(row, derive(0))
    error = torch.tensor([sampled.deviation(row) for row in p]) / math.sqrt(2_000)
    assert bool(((sampled.gains(p, log_p) - exact.gains(p, log_p)).abs() <= 4 * error).all())


@pytest.mark.parametrize("seed", range(5))
def test_every_lazy_pick_is_within_slack_of_the_full_maximum(seed: int) -> None:
    log_probs = random_log_probs(200, 20, 5, seed, sharpness=1.5)
    p, log_p = probabilities(log_probs)
    particles, picks, generator = 400, 8, derive(seed, "select")
    selection = batchbald(log_probs, picks, particles=particles, saturation=0.0, generator=generator)
    replay = derive(seed, "select")
    torch.randperm(200, generator=replay)  # the tie order comes first
    joint, free = Joint.start(20, particles), torch.ones(200, dtype=torch.bool)
    for pick, score in zip(selection.indices.tolist(), selection.scores.tolist(), strict=True):
        gain = joint.gains(p, log_p)
        slack = 0.0 if joint.exact else 3 * joint.deviation(p[pick]) / math.sqrt(particles)
        assert score == pytest.approx(float(gain[pick]), abs=1e-10 if joint.exact else 1e-6)
        assert score >= float(gain[free].max()) - slack - 1e-6
        free[pick] = False
        joint = joint.extended(p[pick], replay)
    assert not joint.exact


def test_particles_mixed_in_float32_gain_what_they_gain_in_float64() -> None:
    p, log_p = probabilities(random_log_probs(300, 50, 6, 0, sharpness=1.5))
    joint = Joint.start(50, 500)
    for row in p[:6]:
        joint = joint.extended(row, derive(1))
        mixed = torch.einsum("mk,ikc->mic", joint.weights_mk, p)
        each = -torch.xlogy(mixed, mixed).sum(-1) + joint.weights_mk @ torch.xlogy(p, p).sum(-1).T
        expected = joint.mass_m @ each
        torch.testing.assert_close(joint.gains(p, log_p), expected, rtol=0, atol=1e-10 if joint.exact else 2e-6)
        assert joint.gains(p, log_p).argmax() == expected.argmax()
    assert not joint.exact
    assert joint.deviation(p[9]) == pytest.approx(each[:, 9].std(correction=0).item(), rel=1e-9)


def test_sum_of_scores_is_the_joint_information() -> None:
    """Within 4 standard errors over runs of the particle phase."""
    log_probs = random_log_probs(100, 30, 4, 3, sharpness=1.5)
    difference = []
    for seed in range(30):
        selection = select(log_probs, 8, seed, particles=300, saturation=0.0)
        assert selection.report.joint_information is not None
        assert selection.report.joint_information <= math.log(30)
        difference.append(selection.scores.sum().item() - selection.report.joint_information)
    sample = torch.tensor(difference)
    assert abs(sample.mean()) <= 4 * sample.std() / math.sqrt(len(sample))


def test_laziness_evaluates_a_small_part() -> None:
    """On a pool in which, as in real ones, most items are easy."""
    sharpness = torch.rand(3_000, 1, 1, generator=derive(1), dtype=torch.float64) ** 4
    noise = 4 * sharpness * torch.randn(3_000, 10, 3, generator=derive(2), dtype=torch.float64)
    report = select(noise.log_softmax(-1), 5, saturation=0.0).report
    assert report.evaluations is not None
    assert report.evaluations < 0.2 * 4 * 3_000
    assert report.passes == 1
    assert report.rows_read == 3_000 + report.evaluations


def test_saturation_is_reported_and_filled_by_power_sampling() -> None:
    log_probs = random_log_probs(300, 4, 3, 0, sharpness=6.0)
    selection = select(log_probs, 40)
    at = selection.report.saturated_at
    assert at is not None
    assert 1 <= at < 10
    assert selection.report.filled_from == at
    assert selection.fill_share == pytest.approx((40 - at) / 40)
    assert selection.report.joint_information == pytest.approx(math.log(4), abs=0.05)
    assert bool((selection.scores[at:] <= 0.05).all())
    assert len(set(selection.indices.tolist())) == 40


def test_the_fill_has_weights_proportional_to_bald() -> None:
    """Two draws that the first pick tells apart for sure; of the rest, BALD 0.6 and less."""
    sure = torch.eye(2, dtype=torch.float64)[None]
    p1 = torch.tensor([[0.9, 0.1], [0.4, 0.6]], dtype=torch.float64)[None]
    p2 = torch.tensor([[0.7, 0.3], [0.2, 0.8]], dtype=torch.float64)[None]
    log_probs = torch.cat([sure, p1, p2]).log()
    firsts = [int(select(log_probs, 2, seed).indices[1]) for seed in range(800)]
    bald = scores.bald(log_probs)[1:]
    seen = [firsts.count(1), firsts.count(2)]
    assert chisquare(seen, (800 * bald / bald.sum()).tolist()).pvalue > 1e-4


def test_given_items_count_as_known() -> None:
    log_probs = random_log_probs(12, 6, 3, 2)
    whole = select(log_probs, 4, saturation=0.0)
    first, rest = whole.indices[:2], torch.tensor([i for i in range(12) if i not in whole.indices[:2]])
    then = select(log_probs[rest], 2, saturation=0.0, given=log_probs[first])
    assert rest[then.indices].tolist() == whole.indices[2:].tolist()
    torch.testing.assert_close(then.scores, whole.scores[2:], rtol=0, atol=1e-10)
    assert then.report.joint_information == pytest.approx(whole.scores[2:].sum().item(), abs=1e-10)


def test_many_given_items_saturate_at_once() -> None:
    log_probs = random_log_probs(60, 3, 3, 2, sharpness=6.0)
    selection = select(log_probs[:20], 5, given=log_probs[20:])
    assert selection.report.saturated_at == 0
    assert selection.fill_share == 1.0


def test_files_and_memory_budgets_change_nothing() -> None:
    log_probs = random_log_probs(3_000, 10, 3, 0)
    whole = select(log_probs, 6)
    rows = ArrayRows(log_probs.numpy())
    with pytest.raises(EvidenceError, match="smallest budget that does is ") as told:
        batchbald(rows, 6, memory=1_000, generator=derive(0))
    least = int(str(told.value).split("smallest budget that does is ")[1].split()[0])
    for memory in (least, 2**30):
        other = batchbald(rows, 6, memory=memory, generator=derive(0, "select"))
        assert other.indices.tolist() == whole.indices.tolist()
        assert other.scores.tolist() == whole.scores.tolist()


def test_ties_are_broken_by_the_generator() -> None:
    twins = random_log_probs(1, 5, 3, 0).expand(3, 5, 3)
    firsts = [int(select(twins, 1, seed).indices[0]) for seed in range(300)]
    assert chisquare([firsts.count(i) for i in range(3)]).pvalue > 1e-4


def test_a_single_draw_fills_the_batch_and_warns() -> None:
    with pytest.warns(DegenerateWarning, match="single draw"):
        selection = select(random_log_probs(10, 1, 3, 0), 3)
    assert selection.report.saturated_at == 0
    assert selection.scores.tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


def test_half_types_are_reported() -> None:
    assert select(random_log_probs(20, 4, 3, 0).half(), 2).report.renormalised
    assert not select(random_log_probs(20, 4, 3, 0).float(), 2).report.renormalised


@pytest.mark.usefixtures("without_shape_checks")
def test_bad_input_is_refused() -> None:
    log_probs = random_log_probs(10, 4, 3, 0)
    with pytest.raises(SelectionError, match="11 rows out of 10"):
        select(log_probs, 11)
    with pytest.raises(SelectionError, match="particles >= 1"):
        select(log_probs, 2, particles=0)
    with pytest.raises(SelectionError, match="saturation >= 0, not 2000 and nan"):
        select(log_probs, 2, saturation=math.nan)
    with pytest.raises(EvidenceError, match="same draws"):
        select(log_probs, 2, given=log_probs[:, :3])
    with pytest.raises(EvidenceError, match="must have shape"):
        select(log_probs[:, 0], 2)
    broken = log_probs.clone()
    broken[7, 0, 0] = math.nan
    with pytest.raises(RowError, match="row 7: holds NaN"):
        select(broken, 2)
    with pytest.raises(RowError, match="given, row 7: holds NaN"):
        select(log_probs, 2, given=broken)
    assert len(select(log_probs, 0)) == 0
    assert sorted(select(log_probs, 10).indices.tolist()) == list(range(10))
