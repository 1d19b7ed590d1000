"""The contrast with labelled neighbours: the double sum of its definition, and what it is compared with."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell.embeddings import LastLayer
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import file_rows
from asktell.scores import contrastive


def predictions(n: int, c: int = 4, *, seed: int = 0) -> Tensor:
    return (2 * torch.randn(n, c, generator=derive(seed, "p"), dtype=torch.float64)).log_softmax(-1)


def features(n: int, d: int = 3, *, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=derive(seed, "h"), dtype=torch.float64)


def layer(n: int, *, seed: int = 0, c: int = 4, d: int = 3) -> LastLayer:
    return LastLayer(predictions(n, c, seed=seed), features(n, d, seed=seed))


def defined(points: LastLayer, labelled: LastLayer, neighbours: int, normalise: bool) -> list[float]:
    p, q = (x.point_log_probs.exp() for x in (points, labelled))  # type: ignore[union-attr]
    x, y = (one.features for one in (points, labelled))
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    if normalise:
        x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
    found = []
    for i in range(len(x)):
        near = sorted(range(len(y)), key=lambda j: float((x[i] - y[j]).norm()))[:neighbours]
        each = [float(a) * math.log(a / max(b, 1e-12)) for j in near for a, b in zip(q[j], p[i], strict=True) if a > 0]
        found.append(math.fsum(each) / len(near))
    return found


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("neighbours", [1, 3, 10, 99])
def test_it_is_the_double_sum_of_its_definition(neighbours: int, normalise: bool) -> None:
    points, labelled = layer(20), layer(12, seed=1)
    found = contrastive(points, labelled, neighbours=neighbours, normalise=normalise)
    assert found.tolist() == pytest.approx(defined(points, labelled, neighbours, normalise), rel=1e-10)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 20), count=st.integers(1, 15), c=st.integers(2, 5))
def test_laws(seed: int, n: int, count: int, c: int) -> None:
    points, labelled = layer(n, seed=seed, c=c), layer(count, seed=seed + 1, c=c)
    found = contrastive(points, labelled, neighbours=4)
    assert bool((found >= 0).all())
    assert bool((found <= math.log(1e12)).all())
    order = torch.randperm(count, generator=derive(seed))
    same = LastLayer(predictions(count, c, seed=seed + 1)[order], features(count, seed=seed + 1)[order])
    torch.testing.assert_close(contrastive(points, same, neighbours=4), found)
    scaled = LastLayer(points.point_log_probs, 7 * features(n, seed=seed))
    torch.testing.assert_close(contrastive(scaled, labelled, neighbours=4), found)


def test_equal_predictions_have_no_contrast_in_any_precision() -> None:
    for dtype in (torch.float64, torch.float32, torch.float16):
        same = predictions(1).expand(30, 4).to(dtype)
        found = contrastive(LastLayer(same, features(30)), LastLayer(same[:5], features(5, seed=1)))
        assert found.tolist() == pytest.approx([0.0] * 30, abs=1e-12)


def test_predictions_that_exclude_each_other_are_at_the_bound() -> None:
    points = LastLayer(torch.tensor([[0.0, -torch.inf]]), torch.ones(1, 1))
    labelled = LastLayer(torch.tensor([[-torch.inf, 0.0]]), torch.ones(1, 1))
    assert contrastive(points, labelled).tolist() == pytest.approx([math.log(1e12)])


def test_a_class_that_nothing_speaks_for_changes_nothing() -> None:
    never = [torch.cat([predictions(n), torch.full((n, 1), -torch.inf)], 1) for n in (20, 5)]
    found = contrastive(LastLayer(never[0], features(20)), LastLayer(never[1], features(5)))
    assert found.tolist() == contrastive(layer(20), layer(5)).tolist()


def test_of_equally_near_rows_the_first_are_taken() -> None:
    points = LastLayer(torch.tensor([[0.5, 0.5]]).log(), torch.ones(1, 2))
    labelled = LastLayer(torch.tensor([[1.0, 0.0], [0.5, 0.5]]).log(), torch.ones(2, 2))
    assert contrastive(points, labelled, neighbours=1).item() == pytest.approx(math.log(2))


def test_neither_files_nor_memory_change_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points, labelled = layer(3_000), layer(50, seed=1)
    np.save(tmp_path / "p.npy", predictions(3_000).numpy())
    np.save(tmp_path / "h.npy", features(3_000).numpy())
    stored = LastLayer(file_rows(tmp_path / "p.npy"), file_rows(tmp_path / "h.npy"))
    whole = contrastive(points, labelled)
    for memory in (70_000, 10**8):
        assert contrastive(stored, labelled, memory=memory).tolist() == whole.tolist()
    with pytest.raises(EvidenceError, match="smallest budget"):
        contrastive(points, labelled, memory=1_000)
    monkeypatch.setattr("asktell.scores.contrast._TABLE", 100)
    torch.testing.assert_close(contrastive(points, labelled), whole)


def test_without_labels_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(EvidenceError, match="nothing is labelled; make the first batch random"):
        contrastive(layer(3), layer(0))
    with pytest.raises(SelectionError, match="at least one neighbour, not 0"):
        contrastive(layer(3), layer(3), neighbours=0)


def test_bad_rows_and_other_networks_are_named() -> None:
    for name, seen in (("point_log_probs", 0), ("features", 1)):
        arrays = [predictions(2_000), features(2_000)]
        arrays[seen][1_500, 1] = torch.nan
        with pytest.raises(RowError, match=f"^{name}, row 1500: holds NaN"):
            contrastive(LastLayer(*arrays), layer(3))
        with pytest.raises(RowError, match=f"^labelled_{name}, row 1500: holds NaN"):
            contrastive(layer(3), LastLayer(*arrays))
    with pytest.raises(EvidenceError, match=r"rows of \[4, 2\] numbers cannot be compared with rows of \[4, 3\]"):
        contrastive(layer(3), layer(3, d=2))
    with pytest.raises(EvidenceError, match="3 rows of point_log_probs and 2 of features"):
        LastLayer(predictions(3), features(2))
