"""Discriminative active learning: what counts as labelled, how networks are trained, what is reported."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import EvidenceError, ProtocolError, RowError
from asktell.evidence import Evidence, gather
from asktell.posteriors import MCDropout
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.strategies import Discriminative, from_json, recipe, to_json
from asktell.training.discriminator import discriminator, discriminator_loss
from asktell.types import Candidates

QUICK = Discriminative(sub_batches=3, steps=50)
A, B, C = (shift * torch.ones(4) for shift in (0.0, 4.0, -4.0))


def around(centre: Tensor, n: int, seed: int = 0) -> Tensor:
    return centre + 0.3 * torch.randn(n, 4, generator=derive(seed, "around"))


def evidence(candidates: Tensor, labelled: Tensor, pending: Tensor | None = None) -> Evidence:
    return Evidence(len(candidates), features=candidates, labelled_features=labelled, pending_features=pending)


def three() -> Evidence:
    """Candidates 0-59 where labelled items are, 60-79 and 80-99 in two places where none is."""
    return evidence(torch.cat([around(A, 60), around(B, 20), around(C, 20)]), around(A, 12, seed=1))


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many labelled and unlabelled rows every step of training sees."""
    seen: list[tuple[int, int]] = []

    def spied(labelled: Tensor, unlabelled: Tensor) -> Tensor:
        seen.append((len(labelled), len(unlabelled)))
        return discriminator_loss(labelled, unlabelled)

    monkeypatch.setattr("asktell.strategies.discriminating.discriminator_loss", spied)
    return seen


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The widths of every network that is made."""
    made: list[tuple[int, ...]] = []

    def spied(*widths: int) -> nn.Module:
        made.append(widths)
        return discriminator(*widths)

    monkeypatch.setattr("asktell.strategies.discriminating.discriminator", spied)
    return made


# What is picked


def test_what_is_unlike_the_labelled_items_is_asked_first() -> None:
    picked = replace(QUICK, steps=300)(three(), 6, generator=derive(0))
    assert min(picked.indices.tolist()) >= 60
    assert bool(((picked.scores >= 0) & (picked.scores <= 1)).all())


def test_picks_count_as_labelled_for_the_next_part() -> None:
    for seed in range(3):
        picked = Discriminative(sub_batches=2)(three(), 2, generator=derive(seed))
        assert {int(row) // 20 for row in picked.indices} == {3, 4}


def test_what_is_pending_counts_as_labelled() -> None:
    found = three()
    one = Discriminative(sub_batches=1)
    assert 60 <= int(one(replace(found, pending_features=around(C, 5)), 1, generator=derive(0)).indices[0]) < 80
    assert 80 <= int(one(replace(found, pending_features=around(B, 5)), 1, generator=derive(0)).indices[0]) < 100


def test_likeness_to_labelled_items_lowers_the_score() -> None:
    line = torch.linspace(0, 1, 40)[:, None] * torch.ones(4)
    picked = Discriminative(sub_batches=1)(evidence(line, 0.02 * line[:20]), 40, generator=derive(0))
    place = picked.indices.argsort().double()
    assert float(torch.corrcoef(torch.stack([place, torch.arange(40.0).double()]))[0, 1]) < -0.9


@pytest.mark.parametrize(("b", "parts"), [(1, 1), (2, 2), (3, 3), (8, 3)])
def test_a_batch_has_as_many_networks_as_parts(b: int, parts: int, networks: list[tuple[int, ...]]) -> None:
    picked = QUICK(three(), b, generator=derive(0))
    assert networks == [(4, 20, 20, 20)] * parts
    sizes = [len(part) for part in torch.arange(b).tensor_split(parts)]
    assert max(sizes) - min(sizes) <= 1
    start = 0
    for size in sizes:
        part = picked.scores[start : start + size].tolist()
        assert all(first >= second for first, second in pairwise(part))
        start += size


def test_while_nothing_is_labelled_a_part_is_uniform(networks: list[tuple[int, ...]]) -> None:
    nothing = evidence(around(A, 4), torch.empty(0, 4))
    counts = torch.zeros(4)
    for seed in range(200):
        picked = QUICK(nothing, 1, generator=derive(seed))
        assert picked.scores.tolist() == [1.0]
        counts[picked.indices] += 1
    assert networks == []
    assert bool(((counts - 50).abs() < 4 * (200 * 0.25 * 0.75) ** 0.5).all())
    more = QUICK(nothing, 3, generator=derive(0))
    assert sorted(set(more.indices.tolist())) == sorted(more.indices.tolist())
    assert len(networks) == 2
    assert more.report.discriminator_accuracy is None


def test_equal_items_are_drawn_at_random() -> None:
    equal = evidence(torch.ones(30, 4), torch.ones(12, 4))
    picks = [QUICK(equal, 6, generator=derive(seed)) for seed in range(3)]
    assert len({tuple(picked.indices.tolist()) for picked in picks}) == 3
    assert all(len(set(picked.indices.tolist())) == 6 for picked in picks)
    for picked in picks:
        assert len(set(picked.scores[:2].tolist())) == 1


def test_a_copy_of_a_candidate_is_as_surely_unlabelled() -> None:
    x = around(A, 33)
    picked = Discriminative(sub_batches=1, steps=50)(
        evidence(torch.cat([x, x[5:7]]), around(B, 12)), 35, generator=derive(0)
    )
    score = dict(zip(picked.indices.tolist(), picked.scores.tolist(), strict=True))
    assert score[5] == pytest.approx(score[33], rel=1e-12)
    assert score[6] == pytest.approx(score[34], rel=1e-12)


def test_order_of_candidates_changes_neither_picks_nor_scores() -> None:
    found = three()
    order = torch.randperm(100, generator=derive(4))
    shuffled = replace(found, features=found.tensor("features")[order])
    one, other = (QUICK(some, 9, generator=derive(0)) for some in (found, shuffled))
    assert order[other.indices].tolist() == one.indices.tolist()
    assert other.scores.tolist() == pytest.approx(one.scores.tolist(), rel=1e-12)


# How a network is trained


def test_every_step_sees_as_many_labelled_as_unlabelled_rows(losses: list[tuple[int, int]]) -> None:
    QUICK(evidence(around(A, 90), around(A, 2, seed=1)), 1, generator=derive(0))
    assert losses == [(64, 64)] * 50


def test_training_ends_when_the_sides_are_told_apart(losses: list[tuple[int, int]]) -> None:
    Discriminative(sub_batches=1, lr=1e-2)(evidence(around(B, 90), around(C, 20)), 1, generator=derive(0))
    assert len(losses) in (25, 50, 75)
    apart = len(losses)
    Discriminative(sub_batches=1, lr=1e-2)(evidence(torch.ones(90, 4), torch.ones(20, 4)), 1, generator=derive(0))
    assert len(losses) - apart == 300  # they cannot be


def test_wide_rows_have_a_wide_network(networks: list[tuple[int, ...]]) -> None:
    for d, width in ((29, 20), (30, 256)):
        x = torch.randn(40, d, generator=derive(0))
        replace(QUICK, steps=1)(evidence(x, x[:10]), 1, generator=derive(0))
        assert networks.pop() == (d, width, width, width)


def test_units_and_origin_of_the_features_do_not_matter() -> None:
    found = three()
    scale, shift = torch.tensor([1e-3, 1.0, 50.0, 1e4]), torch.tensor([0.0, 5.0, -70.0, 1e3])
    moved = evidence(found.tensor("features") * scale + shift, found.tensor("labelled_features") * scale + shift)
    one, other = (replace(QUICK, steps=300)(some, 6, generator=derive(0)) for some in (found, moved))
    assert min(other.indices.tolist()) >= 60
    assert min(one.indices.tolist()) >= 60


# What is reported


def test_accuracy_is_that_of_rows_held_out() -> None:
    apart = Discriminative(sub_batches=1, lr=1e-2)(
        evidence(around(B, 90), around(C, 40)), 1, generator=derive(0)
    ).report
    assert apart.discriminator_accuracy == 1.0
    assert apart.to_json()["discriminator_accuracy"] == 1.0
    same = QUICK(evidence(torch.ones(90, 4), torch.ones(40, 4)), 1, generator=derive(0)).report
    assert same.discriminator_accuracy == 0.5
    few = QUICK(evidence(around(B, 90), around(C, 9)), 1, generator=derive(0)).report
    assert few.discriminator_accuracy is None


def test_passes_are_one_for_standardising_and_one_a_part() -> None:
    report = QUICK(three(), 7, generator=derive(0)).report
    assert report.passes == 1 + 3
    assert report.rows_read is not None
    assert report.rows_read > 112 + 3 * 100


# Bad input


@pytest.mark.parametrize("name", ["features", "labelled_features", "pending_features"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_bad_row_is_named_as_evidence(name: str, value: float) -> None:
    found = evidence(around(A, 40), around(A, 5), around(B, 4))
    found.tensor(name)[2, 0] = value
    with pytest.raises(RowError, match=rf"^{name}, row 2: holds NaN"):
        QUICK(found, 3, generator=derive(0))


def test_rows_of_other_widths_are_refused() -> None:
    with pytest.raises(EvidenceError, match="3 numbers a row where features has 4; take both from one network"):
        QUICK(evidence(around(A, 40), torch.zeros(5, 3)), 3, generator=derive(0))
    with pytest.raises(EvidenceError, match="one vector per item"):
        QUICK(evidence(torch.zeros(40, 2, 2), torch.zeros(5, 2, 2)), 3, generator=derive(0))


@pytest.mark.parametrize(
    "wrong", [{"sub_batches": 0}, {"steps": 0}, {"accuracy": 0.0}, {"accuracy": 1.1}, {"lr": -1.0}], ids=str
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ProtocolError, match=next(iter(wrong))):
        replace(QUICK, **wrong)  # type: ignore[arg-type]


# By name, from a posterior, in another process


def test_it_is_known_by_name_and_parameters_come_back() -> None:
    assert recipe("discriminative").strategy == Discriminative()
    assert recipe("discriminative").wrap is None
    assert from_json(json.loads(json.dumps(to_json(QUICK)))) == QUICK


def test_evidence_is_gathered_from_a_posterior() -> None:
    pool = torch.randn(40, 3, generator=derive(0))
    snapshot = Candidates(tuple(map(str, range(30))), ("30", "31"), ("a", "b"), ("32", "33"))

    def inputs(ids: tuple[str, ...]) -> Rows:
        return TensorRows(pool[[int(item) for item in ids]])

    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))
    found = gather(QUICK.needs, MCDropout(network), snapshot, inputs, 5, derive(0))
    assert len(set(QUICK(found, 9, generator=derive(0)).indices.tolist())) == 9


ELSEWHERE = """
import torch
from asktell.evidence import Evidence
from asktell.randomness import derive
from asktell.strategies import Discriminative
x = torch.randn(60, 4, generator=derive(0, "x"))
found = Evidence(50, features=x[:50], labelled_features=x[50:])
print(Discriminative(sub_batches=3, steps=50)(found, 9, generator=derive(0)).indices.tolist())
"""


def test_another_process_picks_the_same() -> None:
    output = subprocess.run([sys.executable, "-c", ELSEWHERE], check=True, capture_output=True, text=True).stdout
    x = torch.randn(60, 4, generator=derive(0, "x"))
    assert json.loads(output) == QUICK(evidence(x[:50], x[50:]), 9, generator=derive(0)).indices.tolist()
