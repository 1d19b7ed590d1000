"""Covers of the pool: farthest-first without computing every distance, its robust form, and greedy maximum cover."""

import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import ArrayRows, FileRows, Rows, file_rows
from asktell.selection import Selection, farthest, k_center, max_cover, robust_k_center


def normal(n: int, d: int, *seed: int) -> Tensor:
    return torch.randn(n, d, generator=derive(0, "cover", *seed), dtype=torch.float64)


def distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")


def plain(x: Tensor, b: int, *, centres: Tensor | None = None, first: int = 0) -> tuple[list[int], list[float]]:
    """Farthest-first by its definition: every distance after every pick."""
    if centres is None or len(centres) == 0:
        nearest = distances(x, x[first : first + 1])[:, 0]
        picks, scores = [first], [float(nearest.max())]
    else:
        nearest = distances(x, centres).amin(1)
        picks, scores = [], []
    while len(picks) < b:
        left = nearest.clone()
        left[picks] = -1
        picks.append(int(left.argmax()))
        scores.append(float(left.max()))
        nearest = torch.minimum(nearest, distances(x, x[picks[-1:]])[:, 0])
    return picks, scores


def assert_plain(x: Tensor, selection: Selection, centres: Tensor | None = None, *, close: float = 1e-9) -> None:
    picks, scores = plain(x, len(selection), centres=centres, first=int(selection.indices[0]))
    assert selection.indices.tolist() == picks
    assert selection.scores.tolist() == pytest.approx(scores, rel=close, abs=1e-15)


def radius(x: Tensor, picks: list[int], centres: Tensor | None = None, left_out: int = 0) -> float:
    """The distance within which picks and centres have all rows but some."""
    near = x[picks] if centres is None else torch.cat([x[picks], centres])
    return float(distances(x, near).amin(1).sort(descending=True).values[left_out])


def smallest_radius(x: Tensor, b: int, centres: Tensor | None = None, left_out: int = 0) -> float:
    return min(radius(x, list(some), centres, left_out) for some in itertools.combinations(range(len(x)), b))


@contextmanager
def blocks_of(few: int, most: int, part: int) -> Iterator[None]:
    """Blocks so small that few rows fill many of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(farthest, "_FEW_ROWS", few)
        patch.setattr(farthest, "_MOST_ROWS", most)
        patch.setattr(farthest, "PART", part)
        yield


# k_center --------------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 60),
    d=st.integers(1, 5),
    given_rows=st.integers(0, 7),
    sizes=st.sampled_from([(256, 2_048, 512), (2, 5, 3), (1, 1, 1), (3, 20, 7)]),
)
def test_picks_are_those_of_computing_every_distance(
    seed: int, n: int, d: int, given_rows: int, sizes: tuple[int, int, int]
) -> None:
    x, centres = normal(n, d, seed), normal(given_rows, d, seed, 1)
    with blocks_of(*sizes):
        for b in {1, n // 2, n} - {0}:
            assert_plain(x, k_center(x, b, given=centres, generator=derive(seed)), centres)


def test_so_are_those_of_a_pool_of_many_blocks_and_few_rows_are_read_twice() -> None:
    x = normal(6_000, 64)
    selection = k_center(x, 300, generator=derive(1))
    assert_plain(x, selection)
    assert selection.report.passes == 1
    assert selection.report.rows_read is not None
    assert selection.report.rows_read < 3 * 6_000
    clusters = normal(50, 64)[torch.arange(6_000) % 50] + 0.05 * x
    assert_plain(clusters, k_center(clusters, 300, given=x[:3], generator=derive(1)), x[:3])


@pytest.mark.parametrize("make", [
    lambda x: (x + 1e4).float(),
    lambda x: x + 1e6 * (torch.arange(len(x)) % 2)[:, None],
    lambda x: normal(7, x.shape[1], 1)[torch.arange(len(x)) % 7] + 1e-7 * x,
    lambda x: torch.cat([torch.full_like(x[:1], 1e7), x[1:]]),
], ids=["far from the origin", "two far clusters", "collapsed clusters", "one far row"])  # fmt: skip
def test_what_cancels_does_not_corrupt_the_picks(make: object) -> None:
    x = make(normal(600, 20))  # type: ignore[operator]
    assert_plain(x, k_center(x, 80, generator=derive(0)), close=1e-7)


@given(seed=st.integers(0, 1_000), n=st.integers(2, 30))
def test_smaller_batches_begin_larger_ones_and_scores_never_rise(seed: int, n: int) -> None:
    grid = torch.randint(0, 4, (n, 2), generator=derive(seed)).double()  # many ties, many copies
    with blocks_of(2, 7, 3):
        whole = k_center(grid, n, generator=derive(seed))
        for b in (0, 1, n // 3, n - 1):
            part = k_center(grid, b, generator=derive(seed))
            assert part.indices.tolist() == whole.indices[:b].tolist()
            assert part.scores.tolist() == whole.scores[:b].tolist()
    assert sorted(whole.indices.tolist()) == list(range(n))
    assert bool((whole.scores.diff() <= 0).all())
    different = len(np.unique(grid.numpy(), axis=0))
    assert whole.report.filled_from == (different if different < n else None)
    assert int((whole.scores[1:] > 0).sum()) == different - 1


@pytest.mark.parametrize("seed", range(20))
def test_the_radius_is_at_most_twice_the_smallest(seed: int) -> None:
    x, centres = normal(12, 2, seed), normal(2, 2, seed, 1)
    alone, with_given = (k_center(x, 3, given=some, generator=derive(seed)) for some in (None, centres))
    assert radius(x, alone.indices.tolist()) <= 2 * smallest_radius(x, 3)
    assert radius(x, with_given.indices.tolist(), centres) <= 2 * smallest_radius(x, 3, centres)


def test_the_score_of_the_next_pick_is_the_radius() -> None:
    x = normal(50, 3)
    selection = k_center(x, 11, generator=derive(0))
    for b in range(1, 11):
        assert selection.scores[b].item() == pytest.approx(radius(x, selection.indices[:b].tolist()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_copies_of_labelled_rows_come_last_at_distance_zero(dtype: torch.dtype) -> None:
    labelled = (3 + normal(9, 301)).to(dtype)
    others = (3 + normal(30, 301, 1)).to(dtype)
    x = torch.cat([labelled, others, labelled[:4]])[torch.randperm(43, generator=derive(5))]
    selection = k_center(x, 43, given=labelled, generator=derive(0))
    assert selection.report.filled_from == 30
    assert bool((selection.scores[:30] > 0).all())
    assert selection.scores[30:].tolist() == [0.0] * 13
    assert bool((distances(x, labelled)[selection.indices[30:]].amin(1) == 0).all())


def test_rows_that_are_all_equal_are_picked_at_random_each_once() -> None:
    x = torch.full((6, 4), 0.1)
    selection = k_center(x, 6, generator=derive(0))
    assert sorted(selection.indices.tolist()) == list(range(6))
    assert selection.scores.tolist() == [0.0] * 6
    assert selection.report.filled_from == 1
    assert k_center(x, 2, given=x[:1], generator=derive(0)).report.filled_from == 0
    for place in range(2):
        seen = Counter(int(k_center(x, 2, generator=derive(seed)).indices[place]) for seed in range(600))
        assert chisquare([seen[row] for row in range(6)]).pvalue > 1e-4


def test_the_first_pick_is_uniform_and_ties_go_to_the_generator() -> None:
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    firsts = Counter(int(k_center(square, 1, generator=derive(seed)).indices[0]) for seed in range(600))
    assert chisquare([firsts[row] for row in range(4)]).pvalue > 1e-4
    middle = torch.tensor([[0.5, 0.5]])
    tied = Counter(int(k_center(square, 1, given=middle, generator=derive(seed)).indices[0]) for seed in range(600))
    assert chisquare([tied[row] for row in range(4)]).pvalue > 1e-4
    assert k_center(square, 2, generator=derive(0)).scores.tolist() == pytest.approx([math.sqrt(2)] * 2)


def test_given_rows_may_be_many_and_anywhere(tmp_path: Path) -> None:
    x, centres = normal(40, 3), normal(23, 3, 1)
    np.save(tmp_path / "given.npy", centres.numpy())
    with blocks_of(2, 5, 3):
        selections = [
            k_center(x, 9, given=some, generator=derive(0))
            for some in (centres, ArrayRows(centres.numpy()), file_rows(tmp_path / "given.npy"))
        ]
    for selection in selections:
        assert_plain(x, selection, centres)
        assert selection.report.passes == 5
    for none in (None, x[:0]):
        assert len(k_center(x, 3, given=none, generator=derive(0))) == 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_neither_memory_nor_where_the_rows_are_changes_anything(dtype: torch.dtype, tmp_path: Path) -> None:
    x = (5 + normal(3_000, 16)).to(dtype)
    np.save(tmp_path / "x.npy", x.numpy())
    tmp_path.chmod(0o500)
    whole = k_center(x, 150, generator=derive(0))
    assert_plain(x, whole)
    for rows in (x, file_rows(tmp_path / "x.npy"), ArrayRows(x.numpy())):
        for memory in (300_000, 500_000, 10**9):
            selection = k_center(rows, 150, memory=memory, generator=derive(0))
            assert selection.indices.tolist() == whole.indices.tolist()
            assert selection.scores.tolist() == whole.scores.tolist()
            assert selection.report == whole.report
    tmp_path.chmod(0o700)


def test_a_budget_that_is_too_small_names_the_smallest() -> None:
    x = normal(3_000, 16)
    with pytest.raises(EvidenceError, match="smallest budget that does is") as caught:
        k_center(x, 20, memory=1_000, generator=derive(0))
    least = int(str(caught.value).split("that does is ")[1].split()[0])
    assert least < 400_000
    assert len(k_center(x, 20, memory=least, generator=derive(0))) == 20
    with pytest.raises(EvidenceError):
        k_center(x, 20, memory=least - 1, generator=derive(0))


def test_batches_of_none_of_all_and_of_more() -> None:
    x = normal(5, 2)
    for select in (k_center, robust_k_center):
        assert len(select(x, 0, generator=derive(0))) == 0
        assert sorted(select(x, 5, generator=derive(0)).indices.tolist()) == list(range(5))
        for b in (-1, 6):
            with pytest.raises(SelectionError, match="cannot pick"):
                select(x, b, generator=derive(0))
        assert select(x[:1], 1, generator=derive(0)).scores.tolist() == [0.0]
        with pytest.raises(SelectionError, match="out of 0"):
            select(x[:0], 1, generator=derive(0))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 700, 1_999])
def test_a_row_that_is_no_number_is_named(value: float, row: int, tmp_path: Path) -> None:
    x = normal(2_000, 3).float()
    x[row, 1] = value
    np.save(tmp_path / "x.npy", x.numpy())
    rows = file_rows(tmp_path / "x.npy")
    calls: list[Callable[[], Selection]] = [
        lambda: k_center(rows, 3, generator=derive(0)),
        lambda: k_center(rows, 3, given=torch.zeros(1, 3), generator=derive(0)),
        lambda: robust_k_center(rows, 3, time_limit=1e-9, generator=derive(0)),
        lambda: max_cover(rows, torch.tensor([5, row]), 1, generator=derive(0)),
        lambda: max_cover(rows, torch.tensor([5]), 1, generator=derive(0)),
    ]
    for call in calls:
        with pytest.raises(RowError, match=f"features, row {row}: holds NaN"):
            call()


def test_what_is_given_is_checked_too() -> None:
    x, centres = normal(20, 3), normal(4, 3, 1)
    centres[2, 0] = math.nan
    candidates = torch.arange(20)
    calls: list[Callable[[Tensor | Rows], Selection]] = [
        lambda some: k_center(x, 3, given=some, generator=derive(0)),
        lambda some: robust_k_center(x, 3, given=some, generator=derive(0)),
        lambda some: max_cover(x, candidates, 3, given=some, generator=derive(0)),
    ]
    for call in calls:
        with pytest.raises(RowError, match="given, row 2: holds NaN"):
            call(centres)
        with pytest.raises(EvidenceError, match="given has 2 numbers a row where features has 3"):
            call(ArrayRows(np.zeros((4, 2))))
        with pytest.raises(EvidenceError, match="given must have one vector per item"):
            call(ArrayRows(np.zeros((4, 3, 1))))


def test_rows_that_are_no_vectors_are_refused() -> None:
    for shape in ((5, 2, 2), (5,), (5, 0)):
        with pytest.raises(EvidenceError, match="one vector per item"):
            k_center(ArrayRows(np.zeros(shape)), 2, generator=derive(0))


def test_numbers_too_large_to_square_are_named() -> None:
    x = normal(5, 2)
    x[3, 0] = 1e200
    with pytest.raises(RowError, match=r"features, row 3: .* too large to square"):
        k_center(x, 2, generator=derive(0))


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", normal(3_000, 4).numpy())
    rows = file_rows(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", 32 * 2_000)
    with pytest.raises(EvidenceError, match="it was cut off"):
        k_center(rows, 3, generator=derive(0))
    with pytest.raises(EvidenceError, match="it was cut off"):
        file_rows(tmp_path / "x.npy")


def test_features_stay_as_they_were_and_may_want_gradients() -> None:
    x = normal(400, 3).requires_grad_()
    before = x.detach().clone()
    for selection in (
        k_center(x, 5, generator=derive(0)),
        robust_k_center(x[:30], 3, generator=derive(0)),
        max_cover(x, torch.arange(9), 3, generator=derive(0)),
    ):
        assert not selection.scores.requires_grad
    assert torch.equal(x.detach(), before)


GROWTH = """
import sys
from pathlib import Path
import torch
from asktell.randomness import derive
from asktell.rows import FileRows
from asktell.selection import k_center
def resident(name):  # ru_maxrss would begin with what the parent held
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])
torch.set_num_threads(1)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
rows = FileRows(sys.argv[1], torch.float32, (50_000, 512))
picked = k_center(rows, 1_000, memory=20_000_000, generator=derive(0))
print(picked.report.passes, picked.report.rows_read, resident("VmHWM") - before)
"""


def test_a_pool_on_disk_takes_little_memory_and_is_read_about_twice(tmp_path: Path) -> None:
    with (tmp_path / "x.bin").open("wb") as file:
        for part in range(10):
            file.write(normal(5_000, 512, part).float().numpy().tobytes())
    run = [sys.executable, "-c", GROWTH, str(tmp_path / "x.bin")]
    passes, rows_read, kilobytes = map(int, subprocess.run(run, capture_output=True, check=True).stdout.split())
    assert passes == 1
    assert rows_read < 2 * 50_000
    assert 2**20 < kilobytes * 1024 < 64 * 2**20
    assert len(FileRows(tmp_path / "x.bin", torch.float32, (50_000, 512))) == 50_000


# robust_k_center -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("outliers", [0.0, 1e-4, 0.25])
def test_the_robust_radius_is_the_smallest(seed: int, outliers: float) -> None:
    x, left_out = normal(11, 2, seed), math.ceil(outliers * 11)
    for centres in (None, normal(2, 2, seed, 1)):
        selection = robust_k_center(x, 3, given=centres, outliers=outliers, generator=derive(seed))
        found = radius(x, selection.indices.tolist(), centres, left_out)
        assert found == pytest.approx(smallest_radius(x, 3, centres, left_out), abs=1e-12)
        assert selection.report.optimal is True
        assert selection.report.passes == 1
        greedy = k_center(x, 3, given=centres, generator=derive(seed))
        assert found <= radius(x, greedy.indices.tolist(), centres, left_out)
        chosen = x[selection.indices]
        order, scores = plain(chosen, 3, centres=centres)
        assert order == [0, 1, 2]
        assert selection.scores[1:].tolist() == pytest.approx(scores[1:])


def test_outliers_that_fool_the_greedy_one_are_left_out() -> None:
    centres = 10 * torch.eye(3, dtype=torch.float64)
    x = torch.cat([centres[torch.arange(30) % 3] + 0.1 * normal(30, 3), torch.full((2, 3), -80.0).double()])
    x[31] += 40.0
    greedy = k_center(x, 3, given=x[:1], generator=derive(0))
    robust = robust_k_center(x, 3, outliers=0.05, generator=derive(0))
    assert set(greedy.indices.tolist()) & {30, 31} == {30, 31}
    assert {row % 3 for row in robust.indices.tolist()} == {0, 1, 2}
    assert max(robust.indices.tolist()) < 30
    assert radius(x, robust.indices.tolist(), left_out=2) < 0.6


def test_the_first_score_is_the_largest_distance_as_in_k_center() -> None:
    x = normal(15, 2)
    selection = robust_k_center(x, 2, generator=derive(0))
    first = int(selection.indices[0])
    assert selection.scores[0].item() == pytest.approx(distances(x, x[first : first + 1]).max().item())


def test_a_limit_of_time_or_rows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x, centres = normal(40, 3), normal(4, 3, 1)
    greedy = k_center(x, 6, given=centres, generator=derive(0))
    hasty = robust_k_center(x, 6, given=centres, time_limit=1e-9, generator=derive(0))
    assert hasty.report.optimal is False
    assert hasty.indices.tolist() == greedy.indices.tolist()
    assert robust_k_center(x, 0, generator=derive(0)).report.optimal is True
    monkeypatch.setattr("asktell.selection.cover.EXACT_ROWS", 39)
    many = robust_k_center(x, 6, given=centres, generator=derive(0))
    assert many.report.to_json() == {**greedy.report.to_json(), "optimal": False}
    assert many.indices.tolist() == greedy.indices.tolist()


def test_copies_leave_nothing_to_cover() -> None:
    x = normal(2, 3)[torch.arange(12) % 2]
    selection = robust_k_center(x, 4, outliers=0.0, generator=derive(0))
    assert {row % 2 for row in selection.indices[:2].tolist()} == {0, 1}
    assert selection.report.optimal is True
    assert selection.report.filled_from == 2


@pytest.mark.parametrize("wrong", [{"outliers": -0.1}, {"outliers": 1.0}, {"time_limit": 0.0}, {"outliers": math.nan}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SelectionError, match=r"outliers must be in \[0, 1\) and time_limit above 0"):
        robust_k_center(normal(5, 2), 2, generator=derive(0), **wrong)  # type: ignore[arg-type]


# max_cover -------------------------------------------------------------------------------------------------------


def covered(x: Tensor, picks: list[int], centres: Tensor | None = None) -> float:
    """sum_j max_i max(0, cos(x_j, x_i)) by its definition."""
    near = x[picks] if centres is None else torch.cat([x[picks], centres])
    total = 0.0
    for row in x:
        norms = row.norm() * near.norm(dim=1)
        cosines = torch.where(norms > 0, near @ row / norms, 0.0)
        total += max(0.0, float(cosines.max())) if len(near) else 0.0
    return total


def greedy_cover(
    x: Tensor, candidates: list[int], b: int, centres: Tensor | None = None
) -> tuple[list[int], list[float], bool]:
    """Picks, gains, and whether there was a tie."""
    picks: list[int] = []
    gains: list[float] = []
    tied = False
    for _ in range(b):
        before = covered(x, picks, centres)
        gain = {row: covered(x, [*picks, row], centres) - before for row in candidates if row not in picks}
        picks.append(max(gain, key=lambda row: gain[row]))
        gains.append(gain[picks[-1]])
        tied = tied or sum(value > gains[-1] - 1e-9 for value in gain.values()) > 1
    return picks, gains, tied


@given(seed=st.integers(0, 10_000), n=st.integers(3, 14), d=st.integers(1, 4), few=st.sampled_from([1, 2, 64]))
def test_the_cover_is_that_of_the_plain_greedy_algorithm(seed: int, n: int, d: int, few: int) -> None:
    x, centres = normal(n, d + 1, seed), normal(2, d + 1, seed, 1)
    candidates = torch.randperm(n, generator=derive(seed))[: max(2, n // 2)]
    for some in (None, centres):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("asktell.selection.facility._FEW", few)
            selection = max_cover(x, candidates, 2, given=some, generator=derive(seed))
        picks, gains, tied = greedy_cover(x, candidates.tolist(), 2, some)
        assert selection.scores.tolist() == pytest.approx(gains, abs=1e-12)
        if not tied:
            assert selection.indices.tolist() == picks


def test_gains_never_rise_and_add_up_to_the_cover() -> None:
    x = normal(300, 4)
    candidates = torch.arange(0, 300, 2)
    selection = max_cover(x, candidates, 40, generator=derive(0))
    assert set(selection.indices.tolist()) <= set(candidates.tolist())
    assert len(set(selection.indices.tolist())) == 40
    assert bool((selection.scores.diff() <= 0).all())
    assert selection.scores.sum().item() == pytest.approx(covered(x, selection.indices.tolist()))
    assert selection.report.passes is not None
    assert 40 <= selection.report.passes <= 80


def test_once_all_is_covered_the_rest_is_random() -> None:
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    selection = max_cover(x, torch.tensor([4, 1, 2, 3]), 4, generator=derive(0))
    assert selection.indices[:2].tolist() == [1, 2]
    assert selection.scores.tolist() == [2.0, 1.0, 0.0, 0.0]
    assert selection.report.filled_from == 2
    assert max_cover(x, torch.tensor([3, 4]), 1, generator=derive(0)).report.filled_from == 0
    tied = Counter(
        int(max_cover(x[3:], torch.tensor([0, 1]), 1, generator=derive(seed)).indices[0]) for seed in range(200)
    )
    assert chisquare([tied[0], tied[1]]).pvalue > 1e-4


def test_a_cover_is_the_same_from_a_file_and_under_every_budget(tmp_path: Path) -> None:
    x = normal(2_500, 6).float()
    np.save(tmp_path / "x.npy", x.numpy())
    candidates = torch.randperm(2_500, generator=derive(0))[:100]
    whole = max_cover(x, candidates, 7, generator=derive(1))
    for memory in (100_000, 10**8):
        selection = max_cover(file_rows(tmp_path / "x.npy"), candidates, 7, memory=memory, generator=derive(1))
        assert selection.indices.tolist() == whole.indices.tolist()
        assert selection.scores.tolist() == whole.scores.tolist()
    with pytest.raises(EvidenceError, match="smallest budget"):
        max_cover(x, candidates, 7, memory=10_000, generator=derive(1))


def test_very_long_and_very_short_rows_have_directions_too() -> None:
    x = torch.tensor([[1e200, 0.0], [0.0, 1e-200], [1.0, 1.0]], dtype=torch.float64)
    selection = max_cover(x, torch.arange(3), 2, generator=derive(0))
    assert selection.scores.tolist() == pytest.approx([1 + math.sqrt(2), 1 - math.sqrt(0.5)])


def test_candidates_must_be_rows_each_once() -> None:
    x = normal(5, 2)
    assert len(max_cover(x, torch.tensor([3]), 0, generator=derive(0))) == 0
    assert max_cover(x, torch.tensor([3]), 1, generator=derive(0)).indices.tolist() == [3]
    with pytest.raises(SelectionError, match="cannot pick 2 rows out of 1"):
        max_cover(x, torch.tensor([3]), 2, generator=derive(0))
    for wrong in (torch.tensor([0, 5]), torch.tensor([-1, 0])):
        with pytest.raises(EvidenceError, match="rows of features, 0 to 4"):
            max_cover(x, wrong, 1, generator=derive(0))
    with pytest.raises(EvidenceError, match="twice"):
        max_cover(x, torch.tensor([2, 2]), 1, generator=derive(0))


@pytest.mark.usefixtures("without_shape_checks")
def test_candidates_must_be_whole_numbers() -> None:
    with pytest.raises(EvidenceError, match=r"int64 \[k\], not torch.float32"):
        max_cover(normal(5, 2), torch.tensor([1.0]), 1, generator=derive(0))
