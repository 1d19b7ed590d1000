"""Batches that spread out: the exact D^2 law in few passes, and the rows nearest to weighted centres."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.cluster import KMeans
from torch import Tensor

from asktell.embeddings import GradientEmbedding
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import ArrayRows, FileRows, Rows, file_rows
from asktell.selection import Selection, kmeans_pp, spread, weighted_kmeans
from asktell.selection.spread import First

CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.2, 0.1], [4.0, 1.0], [0.0, 3.0]])
LABELLED = torch.tensor([[0.5, 0.5]])
Points = Tensor | Rows | GradientEmbedding


def clusters(n: int, count: int, d: int = 16, *, width: float = 0.05) -> Tensor:
    centres = torch.randn(count, d, generator=derive(0, "centres"))
    return centres[torch.arange(n) % count] + width * torch.randn(n, d, generator=derive(0, "noise"))


def gradients(n: int, c: int = 3, d: int = 5) -> GradientEmbedding:
    log_probs = (3 * torch.randn(n, c, generator=derive(1))).log_softmax(-1)
    return GradientEmbedding.of(log_probs, torch.randn(n, d, generator=derive(2)).relu())


def apart(points: Tensor, others: Tensor | None = None) -> Tensor:
    others = points if others is None else others
    return (points.double()[:, None] - others.double()[None]).square().sum(-1)


def law(distance: Tensor, weight: Tensor, b: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every ordered batch of rows, drawn one after another by `weight`, with its probability."""
    if b == 0:
        yield (), 1.0
        return
    for i in weight.nonzero().squeeze(1).tolist():
        later = torch.minimum(weight, distance[i])
        for rows, probability in law(distance, later, b - 1):
            yield (i, *rows), float(weight[i] / weight.sum()) * probability


def begun(distance: Tensor, first: dict[int, float], b: int) -> dict[tuple[int, ...], float]:
    """The same when the first is drawn otherwise."""
    return {(i, *rows): p * q for i, p in first.items() for rows, q in law(distance, distance[i], b - 1)}


def assert_law(pick: Callable[..., Selection], expected: dict[tuple[int, ...], float], times: int = 600) -> None:
    assert sum(expected.values()) == pytest.approx(1)
    seen = Counter(tuple(pick(generator=derive(seed, "law")).indices.tolist()) for seed in range(times))
    assert set(seen) <= set(expected)
    common = [rows for rows, p in expected.items() if p * times >= 5]
    observed = [*(seen[rows] for rows in common), times - sum(seen[rows] for rows in common)]
    predicted = [*(expected[rows] * times for rows in common), times * (1 - sum(expected[rows] for rows in common))]
    assert len(common) >= 8
    assert chisquare(observed, np.array(predicted) * times / sum(predicted)).pvalue > 1e-4


@pytest.fixture(params=["in blocks", "one by one", "a pass at every rejection"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways to the same law."""
    if request.param != "in blocks":
        monkeypatch.setattr(spread, "_PROPOSALS", 1)
    if request.param == "a pass at every rejection":
        monkeypatch.setattr(spread, "_SEEK", 10**9)


@pytest.mark.usefixtures("way")
def test_every_pick_is_drawn_by_its_squared_distance() -> None:
    assert_law(partial(kmeans_pp, CORNERS, 3), begun(apart(CORNERS), {3: 1.0}, 3))


def test_the_first_is_uniform_if_asked() -> None:
    firsts = dict.fromkeys(range(5), 0.2)
    assert_law(partial(kmeans_pp, CORNERS, 2, first="uniform"), begun(apart(CORNERS), firsts, 2))


def test_with_centres_given_the_first_is_drawn_so_too() -> None:
    weight = apart(CORNERS, LABELLED).amin(1)
    assert_law(partial(kmeans_pp, CORNERS, 2, given=LABELLED), dict(law(apart(CORNERS), weight, 2)))


def test_gradients_are_drawn_by_the_distances_of_their_products() -> None:
    points = gradients(6)
    residual, features = points.factors["residual"][0:6], points.factors["features"][0:6]
    products = torch.einsum("nc,nd->ncd", residual, features.double()).flatten(1)
    largest = int(products.norm(dim=1).argmax())
    assert_law(partial(kmeans_pp, points, 3), begun(apart(products), {largest: 1.0}, 3))


def test_ties_for_the_first_are_broken_by_the_generator() -> None:
    points = torch.tensor([[3.0, 4.0], [0.0, 1.0], [-5.0, 0.0], [0.0, 5.0]])
    picked = [kmeans_pp(points, 1, generator=derive(seed)) for seed in range(300)]
    firsts = Counter(int(selection.indices[0]) for selection in picked)
    assert set(firsts) == {0, 2, 3}
    assert chisquare(list(firsts.values())).pvalue > 1e-4
    assert {float(selection.scores[0]) for selection in picked} == {25.0}
    assert [s.probabilities.tolist() for s in picked[:1] if s.probabilities is not None] == [pytest.approx([1 / 3])]


@pytest.mark.parametrize("first", ["largest", "uniform"])
@pytest.mark.parametrize("labelled", [None, torch.randn(4, 5, generator=derive(7))])
@pytest.mark.parametrize("seed", range(3))
def test_scores_and_probabilities_are_those_of_the_moment(first: First, labelled: Tensor | None, seed: int) -> None:
    points = torch.randn(60, 5, generator=derive(seed))
    selection = kmeans_pp(points, 20, given=labelled, first=first, generator=derive(seed, "pick"))
    distance, probabilities = apart(points), selection.probabilities
    weight = torch.full((60,), torch.inf) if labelled is None else apart(points, labelled).amin(1)
    assert probabilities is not None
    for t, i in enumerate(selection.indices.tolist()):
        if labelled is not None or t > 0:
            assert selection.scores[t].item() == pytest.approx(float(weight[i]), rel=1e-9)
            assert probabilities[t].item() == pytest.approx(float(weight[i] / weight.sum()), rel=1e-9)
        else:
            assert selection.scores[t].item() == pytest.approx(float(points[i].double().square().sum()))
            assert probabilities[t].item() == pytest.approx(1.0 if first == "largest" else 1 / 60)
        weight = torch.minimum(weight, distance[i])


def test_large_pools_have_no_probabilities() -> None:
    assert kmeans_pp(torch.randn(1_100, 2), 1_000, generator=derive(0)).probabilities is None


def test_the_largest_comes_first_and_pending_points_are_left_alone() -> None:
    points = clusters(400, 4, width=1e-3)
    assert int(kmeans_pp(points, 1, generator=derive(0)).indices[0]) == int(points.norm(dim=1).argmax())
    for seed in range(5):
        assert int(kmeans_pp(points, 1, given=points[:3], generator=derive(seed)).indices[0]) % 4 == 3
        batch = kmeans_pp(points, 4, generator=derive(seed)).indices
        assert set((batch % 4).tolist()) == {0, 1, 2, 3}


@given(
    rows=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=12),
    seed=st.integers(0, 99),
    gradient=st.booleans(),
)
def test_a_row_is_never_picked_again(rows: list[tuple[int, int]], seed: int, gradient: bool) -> None:
    features = torch.tensor(rows, dtype=torch.float64)
    points: Points = GradientEmbedding(features[:, :1], features[:, 1:]) if gradient else features
    distinct = len({a * h for a, h in rows}) if gradient else len(set(rows))
    for b in {0, 1, len(rows) // 2, len(rows)}:
        selection = kmeans_pp(points, b, generator=derive(seed))
        assert len(set(selection.indices.tolist())) == b
        drawn = b if selection.report.filled_from is None else selection.report.filled_from
        assert drawn <= distinct
        assert bool((selection.scores[1:drawn] > 0).all())
        assert selection.scores[drawn:].tolist() == [0.0] * (b - drawn)


@pytest.mark.parametrize(
    "points",
    [torch.ones(3_000, 4), torch.zeros(3_000, 4), GradientEmbedding(torch.zeros(3_000, 2), torch.ones(3_000, 3))],
    ids=["equal", "zero", "gradients of norm zero"],
)
def test_rows_on_centres_fill_the_batch_uniformly(points: Points) -> None:
    picked = [kmeans_pp(points, 5, generator=derive(seed)) for seed in range(100)]
    assert {selection.report.filled_from for selection in picked} == {1}
    assert {len(set(selection.indices.tolist())) for selection in picked} == {5}
    probabilities = picked[0].probabilities
    assert probabilities is not None
    assert probabilities.tolist() == pytest.approx([1 / 3_000, 1 / 2_999, 1 / 2_998, 1 / 2_997, 1 / 2_996])
    rows = torch.cat([selection.indices for selection in picked])
    assert chisquare(torch.histc(rows.double(), 10, 0, 3_000).tolist()).pvalue > 1e-4


def test_copies_of_what_is_given_only_fill() -> None:
    points = torch.cat([CORNERS, CORNERS])
    selection = kmeans_pp(points, 7, given=CORNERS[:3], generator=derive(0))
    assert set((selection.indices[:2] % 5).tolist()) == {3, 4}
    assert selection.report.filled_from == 2
    assert kmeans_pp(points, 2, given=CORNERS, generator=derive(0)).report.filled_from == 0


def test_nothing_given_is_as_good_as_none() -> None:
    none, empty = (kmeans_pp(CORNERS, 3, given=rows, generator=derive(0)) for rows in (None, CORNERS[:0]))
    assert none.indices.tolist() == empty.indices.tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.uint8])
def test_other_precisions_are_points_too(dtype: torch.dtype) -> None:
    points = (8 * clusters(60, 6).abs()).to(dtype)
    picked, expected = (kmeans_pp(rows, 6, generator=derive(0)) for rows in (points, points.double()))
    assert picked.indices.tolist() == expected.indices.tolist()
    assert picked.scores.tolist() == expected.scores.tolist()


def stored(points: GradientEmbedding, folder: Path) -> GradientEmbedding:
    """The same, in two files."""
    found = []
    for name, rows in points.factors.items():
        np.save(folder / f"{name}.npy", rows[0 : len(rows)].numpy())
        found.append(file_rows(folder / f"{name}.npy"))
    return GradientEmbedding(*found)


def test_neither_memory_nor_files_change_a_pick(tmp_path: Path) -> None:
    points, labelled = gradients(6_000), gradients(9)
    least = 8 * (1024 * 8 + 6_000 * 3 + (9 + 40) * 8)
    expected = kmeans_pp(points, 40, given=labelled, generator=derive(0))
    for source in (points, stored(points, tmp_path)):
        for memory in (least, 2 * least, 10**9):
            found = kmeans_pp(source, 40, given=labelled, memory=memory, generator=derive(0))
            assert found.indices.tolist() == expected.indices.tolist()
            assert found.scores.tolist() == expected.scores.tolist()
            assert found.report == expected.report
    with pytest.raises(EvidenceError, match=f"the smallest budget that does is {least} bytes"):
        kmeans_pp(points, 40, given=labelled, memory=least - 1, generator=derive(0))
    features = clusters(6_000, 50)
    np.save(tmp_path / "x.npy", features.numpy())
    whole, read = (kmeans_pp(x, 99, generator=derive(1)) for x in (features, file_rows(tmp_path / "x.npy")))
    assert whole.indices.tolist() == read.indices.tolist()


def test_few_passes_are_made_and_counted() -> None:
    spread_out = kmeans_pp(torch.randn(30_000, 64, generator=derive(0)), 500, generator=derive(1)).report
    assert spread_out.passes == 1
    in_clusters = kmeans_pp(clusters(30_000, 100), 500, generator=derive(1)).report
    assert in_clusters.passes == 2
    for report in (spread_out, in_clusters):
        assert report.passes is not None
        assert report.rows_read is not None
        assert 30_000 * report.passes < report.rows_read < 30_000 * (report.passes + 1)
    assert kmeans_pp(clusters(1_000, 10), 5, generator=derive(1)).report.passes == 2  # one for the probabilities


def test_a_bad_row_anywhere_is_named(tmp_path: Path) -> None:
    features = torch.randn(5_000, 8, generator=derive(0))
    features[2_500, 3] = torch.nan
    np.save(tmp_path / "x.npy", features.numpy())
    for points in (features, file_rows(tmp_path / "x.npy"), ArrayRows(features.numpy())):
        for first in ("largest", "uniform"):
            with pytest.raises(RowError, match="features, row 2500: holds NaN or infinity"):
                kmeans_pp(points, 3, first=first, generator=derive(0))
    with pytest.raises(RowError, match="given features, row 2500"):
        kmeans_pp(features[:10], 3, given=features, generator=derive(0))
    with pytest.raises(RowError, match="features, row 2500"):
        weighted_kmeans(features, torch.ones(5_000).double(), 3, generator=derive(0))


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", torch.randn(5_000, 8).numpy())
    rows = file_rows(tmp_path / "x.npy")
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(2_000 * 32)
    with pytest.raises(EvidenceError, match="was cut off"):
        kmeans_pp(rows, 3, generator=derive(0))


@pytest.mark.usefixtures("without_shape_checks")
def test_what_cannot_be_picked_is_refused() -> None:
    with pytest.raises(SelectionError, match="6 rows out of 5"):
        kmeans_pp(CORNERS, 6, generator=derive(0))
    with pytest.raises(SelectionError, match="at least 0"):
        kmeans_pp(CORNERS, -1, generator=derive(0))
    with pytest.raises(SelectionError, match="one of largest, uniform, not 'smallest'"):
        kmeans_pp(CORNERS, 1, first="smallest", generator=derive(0))  # type: ignore[arg-type]
    with pytest.raises(EvidenceError, match="both must be features, or both gradient embeddings"):
        kmeans_pp(CORNERS, 1, given=gradients(3), generator=derive(0))
    with pytest.raises(EvidenceError, match="features must be real numbers of shape"):
        kmeans_pp(torch.zeros(3), 1, generator=derive(0))
    assert len(kmeans_pp(CORNERS[:0], 0, generator=derive(0))) == 0


GROWTH = """
import sys
from pathlib import Path
import torch
from asktell.embeddings import GradientEmbedding
from asktell.randomness import derive
from asktell.rows import FileRows
from asktell.selection import kmeans_pp
def resident(name):  # ru_maxrss would begin with what the parent held
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])
torch.set_num_threads(1)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
residual, features = (FileRows(f"{sys.argv[1]}/{d}.bin", torch.float32, (50_000, d)) for d in (10, 512))
picked = kmeans_pp(GradientEmbedding(residual, features), 1_000, memory=20_000_000, generator=derive(0))
print(picked.report.passes, resident("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_a_batch_out_of_a_file_takes_no_more_than_its_budget(tmp_path: Path) -> None:
    for width in (10, 512):
        clusters(50_000, 100, width, width=0.01).numpy().tofile(tmp_path / f"{width}.bin")
    run = [sys.executable, "-c", GROWTH, str(tmp_path)]
    passes, kilobytes = map(int, subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())
    assert passes == 2
    assert 2**20 < kilobytes * 1024 < 64 * 2**20


def plain(features: Tensor, count: int, seed: int = 0) -> set[int]:
    """The rows nearest to the centres of an unweighted k-means, best of many starts."""
    means = KMeans(count, n_init=20, random_state=seed).fit(features.numpy())
    return set(apart(torch.from_numpy(means.cluster_centers_), features).argmin(1).tolist())


def ones(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.float64)


def weights(n: int, *, seed: int = 0) -> Tensor:
    return torch.rand(n, generator=derive(seed, "weights"), dtype=torch.float64)


def test_equal_weights_are_a_plain_k_means() -> None:
    features = clusters(120, 6)
    selection = weighted_kmeans(features, 0.3 * ones(120), 6, generator=derive(0))
    assert set(selection.indices.tolist()) == plain(features, 6)
    assert selection.scores.tolist() == [0.3] * 6
    assert (selection.report.passes, selection.report.rows_read, selection.report.filled_from) == (1, 120, None)


@settings(max_examples=20)
@given(counts=st.lists(st.integers(1, 4), min_size=12, max_size=12), seed=st.integers(0, 99))
def test_whole_weights_are_repeated_rows(counts: list[int], seed: int) -> None:
    features, repeats = torch.randn(12, 2, generator=derive(seed)), torch.tensor(counts)
    weighted = weighted_kmeans(features, repeats.double(), 4, generator=derive(0))
    repeated = weighted_kmeans(features.repeat_interleave(repeats, 0), ones(sum(counts)), 4, generator=derive(0))
    original = torch.arange(12).repeat_interleave(repeats)
    assert original[repeated.indices].tolist() == weighted.indices.tolist()


@settings(max_examples=20)
@given(scale=st.sampled_from([1e-300, 0.1, 3.0, 1e300]), seed=st.integers(0, 99))
def test_the_scale_of_the_weights_does_not_matter(scale: float, seed: int) -> None:
    features, weight = torch.randn(30, 3, generator=derive(seed)), weights(30, seed=seed)
    one, other = (weighted_kmeans(features, w, 5, generator=derive(0)) for w in (weight, scale * weight))
    assert one.indices.tolist() == other.indices.tolist()


def test_the_order_of_the_rows_does_not_matter() -> None:
    features, weight, order = torch.randn(40, 3, generator=derive(0)), weights(40), torch.randperm(40)
    picked = weighted_kmeans(features, weight, 7, generator=derive(1))
    shuffled = weighted_kmeans(features[order], weight[order], 7, generator=derive(1))
    assert order[shuffled.indices].tolist() == picked.indices.tolist()


def test_weight_pulls_a_centre() -> None:
    line = torch.tensor([[0.0], [4.0], [10.0], [100.0]])
    pulled = torch.tensor([1.0, 1.0, 50.0, 1.0]).double()
    assert set(weighted_kmeans(line, ones(4), 2, generator=derive(0)).indices.tolist()) == {1, 3}
    assert set(weighted_kmeans(line, pulled, 2, generator=derive(0)).indices.tolist()) == {2, 3}
    assert weighted_kmeans(line, pulled, 2, generator=derive(0)).indices[0] == 2  # the heaviest cluster comes first


def test_the_row_nearest_to_a_centre_needs_no_weight() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0], [50.0]])
    selection = weighted_kmeans(line, torch.tensor([1.0, 0.0, 1.0, 1.0]).double(), 2, generator=derive(0))
    assert set(selection.indices.tolist()) == {1, 3}


def test_weights_of_zero_count_as_equal() -> None:
    features = clusters(60, 3)
    assert set(weighted_kmeans(features, 0 * ones(60), 3, generator=derive(0)).indices.tolist()) == plain(features, 3)


def test_of_equal_rows_the_heaviest_is_taken_and_the_heaviest_of_the_others_fill() -> None:
    features = CORNERS.repeat(3, 1)
    weight = torch.cat([0.1 * ones(5), 0.9 * ones(5), 0.5 * ones(5)])
    weight[14] = 0.8
    selection = weighted_kmeans(features, weight, 7, generator=derive(0))
    assert sorted(selection.indices[:5].tolist()) == [5, 6, 7, 8, 9]
    assert selection.report.filled_from == 5
    assert int(selection.indices[5]) == 14
    assert int(selection.indices[6]) in {10, 11, 12, 13}


@given(
    rows=st.lists(st.integers(-2, 2), min_size=1, max_size=12),
    masses=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=12, max_size=12),
)
def test_no_row_is_taken_twice_whatever_the_weights(rows: list[int], masses: list[float]) -> None:
    features, weight = torch.tensor(rows, dtype=torch.float64)[:, None], torch.tensor(masses[: len(rows)]).double()
    for b in {0, 1, len(rows) // 2, len(rows)}:
        selection = weighted_kmeans(features, weight, b, generator=derive(0))
        assert len(set(selection.indices.tolist())) == b
        assert selection.scores.tolist() == weight[selection.indices].tolist()


def test_as_many_as_there_are_is_everything() -> None:
    features = clusters(20, 20)
    assert sorted(weighted_kmeans(features, ones(20), 20, generator=derive(0)).indices.tolist()) == list(range(20))


def test_clusters_out_of_a_file_and_under_any_budget(tmp_path: Path) -> None:
    features, weight = clusters(2_500, 5, 4), weights(2_500)
    np.save(tmp_path / "x.npy", features.numpy())
    least = 8 * 4 * (1024 + 4 * 2_500 + 2 * 5)
    expected = weighted_kmeans(features, weight, 5, generator=derive(0)).indices.tolist()
    for memory in (least, 10**9):
        rows = FileRows(tmp_path / "x.npy", torch.float32, (2_500, 4), offset=128)
        assert weighted_kmeans(rows, weight, 5, memory=memory, generator=derive(0)).indices.tolist() == expected
    with pytest.raises(EvidenceError, match=f"the smallest budget that does is {least} bytes"):
        weighted_kmeans(features, weight, 5, memory=least - 1, generator=derive(0))


@pytest.mark.usefixtures("without_shape_checks")
def test_weights_that_are_none_are_refused() -> None:
    for bad, said in ((-1.0, "is -1.0"), (torch.nan, "is nan"), (torch.inf, "is inf")):
        weight = ones(5)
        weight[3] = bad
        with pytest.raises(RowError, match=f"weights, row 3: {said}"):
            weighted_kmeans(CORNERS, weight, 2, generator=derive(0))
    with pytest.raises(EvidenceError, match=r"\[4\] weights for 5 rows"):
        weighted_kmeans(CORNERS, ones(4), 2, generator=derive(0))
    for b in (6, -1):
        with pytest.raises(SelectionError):
            weighted_kmeans(CORNERS, ones(5), b, generator=derive(0))
