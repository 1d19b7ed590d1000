"""BAIT: the trace and its changes by direct inversion, and what it comes to in special cases."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.embeddings import LastLayer
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import file_rows
from asktell.selection import bait, fisher
from asktell.selection.fisher import Weighting, _Pool, _Trace


def arrays(n: int, seed: int, c: int = 3, d: int = 4) -> tuple[Tensor, Tensor]:
    log_probs = (2 * torch.randn(n, c, generator=derive(seed, "p"), dtype=torch.float64)).log_softmax(-1)
    return log_probs, torch.randn(n, d, generator=derive(seed, "h"), dtype=torch.float64)


def layer(n: int, seed: int, c: int = 3, d: int = 4) -> LastLayer:
    return LastLayer(*arrays(n, seed, c, d))


def information(log_probs: Tensor, h: Tensor) -> Tensor:
    """(diag p - p p') (x) h h' of one item."""
    p = log_probs.exp()
    return torch.kron(torch.diag(p) - torch.outer(p, p), torch.outer(h, h))


def each(part: tuple[Tensor, Tensor]) -> list[Tensor]:
    return [information(log_probs, h) for log_probs, h in zip(*part, strict=True)]


@dataclass
class Direct:
    """Everything by its definition: sums of whole matrices, and an inverse for every set."""

    points: tuple[Tensor, Tensor]
    labelled: tuple[Tensor, Tensor]
    pending: tuple[Tensor, Tensor]
    weighting: str = "paper"
    regulariser: float = 1.0

    def prepared(self, b: int) -> tuple[list[Tensor], Tensor, Tensor]:
        """Of each item, of what is known, and the mean over all."""
        mine, labelled, pending = each(self.points), each(self.labelled), each(self.pending)
        count = len(labelled)
        factor = b / (count + b) if self.weighting == "code" else 1.0
        share = {"paper": 1 / max(count, 1), "sum": 1.0, "code": 1 / (count + b)}[self.weighting]
        every = mine + labelled + pending
        zero = torch.zeros_like(mine[0])
        known = self.regulariser * torch.eye(len(zero), dtype=torch.float64)
        known = known + share * sum(labelled, zero) + factor * sum(pending, zero)
        return [factor * one for one in mine], known, sum(every, zero) / len(every)

    def pick(self, b: int, oversample: float) -> tuple[list[int], list[float]]:
        mine, known, mean = self.prepared(b)

        def trace(rows: list[int]) -> float:
            return float(torch.linalg.solve(known + sum((mine[i] for i in rows), 0 * known), mean).trace())

        picks: list[int] = []
        gains: list[float] = []
        for _ in range(min(len(mine), max(b, math.ceil(oversample * b)))):
            after = {i: trace([*picks, i]) for i in range(len(mine)) if i not in picks}
            best = min(after, key=lambda i: after[i])
            gains.append(trace(picks) - after[best])
            picks.append(best)
        while len(picks) > b:
            after = {j: trace(picks[:j] + picks[j + 1 :]) for j in range(len(picks))}
            gone = min(after, key=lambda j: after[j])
            picks.pop(gone)
            gains.pop(gone)
        return picks, gains


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 12),
    c=st.integers(2, 4),
    d=st.integers(1, 3),
    counts=st.tuples(st.integers(0, 3), st.integers(0, 2)),
    weighting=st.sampled_from(["paper", "sum", "code"]),
    oversample=st.sampled_from([1.0, 1.5, 2.0, 9.0]),
    regulariser=st.sampled_from([0.05, 1.0]),
)
def test_picks_and_scores_are_those_of_inverting_for_every_set(
    seed: int,
    n: int,
    c: int,
    d: int,
    counts: tuple[int, int],
    weighting: Weighting,
    oversample: float,
    regulariser: float,
) -> None:
    points, labelled, pending = (
        arrays(n, seed, c, d),
        arrays(counts[0], seed + 1, c, d),
        arrays(counts[1], seed + 2, c, d),
    )
    b = max(1, n // 2)
    found = bait(
        LastLayer(*points),
        b,
        labelled=LastLayer(*labelled),
        given=LastLayer(*pending),
        weighting=weighting,
        oversample=oversample,
        regulariser=regulariser,
        generator=derive(seed),
    )
    picks, gains = Direct(points, labelled, pending, weighting, regulariser).pick(b, oversample)
    assert found.indices.tolist() == picks
    assert found.scores.tolist() == pytest.approx(gains, rel=1e-7, abs=1e-12)


def test_the_information_is_that_of_the_gradients() -> None:
    _, h = arrays(1, 0)
    linear = nn.Linear(4, 3, bias=False).double()
    p = linear(h).log_softmax(-1)
    total = torch.zeros(12, 12, dtype=torch.float64)
    for y in range(3):
        (gradient,) = torch.autograd.grad(p[0, y], linear.weight, retain_graph=True)
        total += float(p[0, y].detach().exp()) * torch.outer(gradient.flatten(), gradient.flatten())
    torch.testing.assert_close(information(p.detach()[0], h[0]), total)


def trace_of(n: int, seed: int) -> _Trace:
    pool = _Pool(layer(n, seed), [layer(4, 90), None], 1_000, "principal", None, derive(0))
    known = pool.parts[0].information() / 4 + torch.eye(12, dtype=torch.float64)
    return _Trace(pool, known, 1.0, derive(0))


def test_joining_and_leaving_update_the_inverse_and_what_items_would_change() -> None:
    trace, points = trace_of(15, 3), each(arrays(15, 3))
    known = torch.linalg.inv(trace.inverse)
    joined, gains = trace.forward(8)
    here = torch.linalg.inv(known + sum((points[i] for i in joined), 0 * known))
    torch.testing.assert_close(trace.inverse, here, rtol=1e-10, atol=1e-12)
    assert all(gain > 0 for gain in gains)
    before = float((torch.linalg.inv(known) @ trace.fisher).trace())
    assert math.fsum(gains) == pytest.approx(before - float((here @ trace.fisher).trace()))
    stay = trace.backward(joined, 3)
    left = torch.linalg.inv(known + sum((points[joined[i]] for i in stay), 0 * known))
    torch.testing.assert_close(trace.inverse, left, rtol=1e-10, atol=1e-12)
    assert float((left @ trace.fisher).trace()) > float((here @ trace.fisher).trace())
    rows = torch.tensor(joined)[stay]
    torch.testing.assert_close(trace.g_n[rows], trace._between(left)[rows], rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(trace.t_n[rows], trace._between(left @ trace.fisher @ left)[rows], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("few", [1, 4, 1_000])
def test_looking_at_few_items_finds_the_best(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bait(layer(60, 5), 9, generator=derive(0))
    monkeypatch.setattr(fisher, "_FEW", few)
    monkeypatch.setattr(fisher, "_BLOCK", 50)
    again = bait(layer(60, 5), 9, generator=derive(0))
    assert again.indices.tolist() == whole.indices.tolist()
    assert again.scores.tolist() == pytest.approx(whole.scores.tolist(), rel=1e-9)


def test_with_two_classes_it_is_logistic_regression() -> None:
    """(diag p - p p') = p q (1, -1)(1, -1)': along (1, -1) / sqrt 2 the information is 2 p q h h', across it 0."""
    log_probs, h = arrays(25, 7, c=2)
    weights = 2 * log_probs.exp().prod(1)
    found = bait(LastLayer(log_probs, h), 4, oversample=1.0, generator=derive(0))
    each_one = weights[:, None, None] * h[:, :, None] * h[:, None, :]
    mean, known = each_one.mean(0), torch.eye(4, dtype=torch.float64)
    for pick, score in zip(found.indices.tolist(), found.scores.tolist(), strict=True):
        now = float(torch.linalg.solve(known, mean).trace())
        after = [float(torch.linalg.solve(known + one, mean).trace()) for one in each_one]
        assert now - after[pick] == pytest.approx(score)
        assert after[pick] == pytest.approx(min(x for i, x in enumerate(after)))
        known, each_one = known + each_one[pick], each_one.clone()
        each_one[pick] = 0.0


def test_what_is_pending_is_not_asked_again() -> None:
    h = torch.eye(3, dtype=torch.float64).repeat(4, 1) * 3
    points = LastLayer(torch.full((12, 2), 0.5, dtype=torch.float64).log(), h)
    known = LastLayer(torch.full((2, 2), 0.5, dtype=torch.float64).log(), h[:2])
    assert {int(bait(points, 1, given=known, generator=derive(s)).indices[0]) % 3 for s in range(9)} == {2}
    assert {int(bait(points, 1, labelled=known, generator=derive(s)).indices[0]) % 3 for s in range(9)} == {2}
    spread = bait(points, 3, generator=derive(0)).indices % 3
    assert sorted(spread.tolist()) == [0, 1, 2]


def test_a_class_that_nothing_speaks_for_changes_nothing() -> None:
    log_probs, h = arrays(20, 1)
    never = torch.cat([log_probs, torch.full((20, 1), -torch.inf)], 1)
    one, other = (bait(LastLayer(p, h), 5, generator=derive(0)) for p in (log_probs, never))
    assert one.indices.tolist() == other.indices.tolist()
    assert one.scores.tolist() == pytest.approx(other.scores.tolist())


def test_where_nothing_is_left_to_learn_the_batch_is_filled() -> None:
    certain = torch.tensor([[0.0, -torch.inf]]).expand(9, 2).clone()
    found = bait(LastLayer(certain, torch.randn(9, 3)), 4, generator=derive(0))
    assert len(set(found.indices.tolist())) == 4
    assert found.scores.tolist() == [0.0] * 4
    assert found.report.filled_from == 0
    certain[5] = math.log(0.5)
    found = bait(LastLayer(certain, torch.ones(9, 3)), 4, generator=derive(0))
    assert int(found.indices[0]) == 5
    assert found.report.filled_from == 1


def test_features_that_are_all_equal_are_told_apart_by_predictions() -> None:
    log_probs, _ = arrays(9, 2)
    found = bait(LastLayer(log_probs, torch.ones(9, 4).double()), 9, generator=derive(0))
    assert sorted(found.indices.tolist()) == list(range(9))
    same = bait(LastLayer(log_probs[:1].expand(9, 3), torch.ones(9, 4)), 4, generator=derive(0))
    assert len(set(same.indices.tolist())) == 4
    assert same.report.filled_from is None


def test_few_directions_that_hold_all_features_change_nothing() -> None:
    log_probs, inner = arrays(40, 3, c=3, d=2)
    onto = torch.linalg.qr(torch.randn(7, 2, generator=derive(1), dtype=torch.float64)).Q
    points = LastLayer(log_probs, inner @ onto.T)
    whole = bait(points, 6, generator=derive(0))
    projected = bait(points, 6, size=6, generator=derive(0))  # two directions
    assert projected.indices.tolist() == whole.indices.tolist()
    assert projected.scores.tolist() == pytest.approx(whole.scores.tolist())
    assert (whole.report.passes, projected.report.passes) == (1, 2)


def test_random_directions_depend_on_the_generator_alone() -> None:
    points = layer(40, 3, d=30)
    one, same, other = (bait(points, 6, size=6, projection="random", generator=derive(s)) for s in (0, 0, 1))
    assert one.indices.tolist() == same.indices.tolist()
    assert one.scores.tolist() != other.scores.tolist()
    assert bait(points, 3, size=1, generator=derive(0)).report.filled_from is None  # one direction at least


def test_neither_files_nor_memory_change_anything(tmp_path: Path) -> None:
    log_probs, h = arrays(2_500, 0, d=8)
    np.save(tmp_path / "p.npy", log_probs.numpy())
    np.save(tmp_path / "h.npy", h.float().numpy())
    stored = LastLayer(file_rows(tmp_path / "p.npy"), file_rows(tmp_path / "h.npy"))
    for size in (1_000, 12):
        whole = bait(LastLayer(log_probs, h.float()), 5, labelled=layer(5, 1, d=8), size=size, generator=derive(0))
        for memory in (800_000, 10**8):
            found = bait(stored, 5, labelled=layer(5, 1, d=8), size=size, memory=memory, generator=derive(0))
            assert found.indices.tolist() == whole.indices.tolist()
            assert found.scores.tolist() == whole.scores.tolist()
    with pytest.raises(EvidenceError, match="smallest budget"):
        bait(stored, 5, memory=100_000, generator=derive(0))


@pytest.mark.usefixtures("without_shape_checks")
def test_what_cannot_be_picked_is_refused() -> None:
    points = layer(5, 0)
    assert len(bait(points, 0, generator=derive(0))) == 0
    assert sorted(bait(points, 5, generator=derive(0)).indices.tolist()) == list(range(5))
    for b in (-1, 6):
        with pytest.raises(SelectionError, match="cannot pick"):
            bait(points, b, generator=derive(0))
    for wrong in ({"regulariser": 0.0}, {"oversample": 0.5}, {"size": 0}, {"regulariser": math.nan}):
        with pytest.raises(SelectionError, match="a regulariser above 0, an oversample of at least 1"):
            bait(points, 1, generator=derive(0), **wrong)
    with pytest.raises(SelectionError, match="'mean' is none of paper, sum, code"):
        bait(points, 1, weighting="mean", generator=derive(0))  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="'pca' is none of principal, random"):
        bait(points, 1, projection="pca", generator=derive(0))  # type: ignore[arg-type]


def test_bad_rows_and_other_networks_are_named() -> None:
    for name, seen in (("point_log_probs", 0), ("features", 1)):
        bad = arrays(2_000, 0)
        bad[seen][1_500, 1] = torch.nan
        for size in (1_000, 3):
            with pytest.raises(RowError, match=f"^{name}, row 1500: holds NaN"):
                bait(LastLayer(*bad), 1, size=size, generator=derive(0))
        with pytest.raises(RowError, match=f"^labelled {name}, row 1500: holds NaN"):
            bait(layer(3, 0), 1, labelled=LastLayer(*bad), generator=derive(0))
        with pytest.raises(RowError, match=f"^given {name}, row 1500: holds NaN"):
            bait(layer(3, 0), 1, given=LastLayer(*bad), generator=derive(0))
    with pytest.raises(EvidenceError, match="cannot be compared with rows of"):
        bait(layer(3, 0), 1, labelled=layer(3, 0, c=2), generator=derive(0))
