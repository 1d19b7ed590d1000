"""Criteria by hand and by definition, their laws, and the advice that follows from them."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from asktell import stopping
from asktell.errors import EvidenceError
from asktell.stopping import MINIMUM, WINDOW, Measures, Thresholds, advise

CALM = Measures(
    kappa=1.0, change=0.0, overall=0.01, largest=0.1, information=0.01, selected=1.0, selected_count=10
)  # every criterion holds
WILD = Measures(kappa=0.4, change=0.5, overall=0.8, largest=1.0, information=0.6, selected=0.3, selected_count=10)

pairs = st.integers(1, 30).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 3), min_size=n, max_size=n)] * 2))


def tensors(pair: tuple[list[int], list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(pair[0]), torch.tensor(pair[1])


# Agreement -----------------------------------------------------------------------------------------------------------


def test_kappa_by_hand() -> None:
    """Two of three agree; chance: (2/3)(1/3) + (1/3)(2/3) = 4/9."""
    found = stopping.kappa(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    assert found == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))


@pytest.mark.filterwarnings("ignore:.*single label.*", "ignore:invalid value")
@given(pairs)
def test_kappa_is_scikit_learns_but_for_zero_by_zero(pair: tuple[list[int], list[int]]) -> None:
    found = stopping.kappa(*tensors(pair))
    if pair[0] == pair[1]:
        assert found == 1.0
    else:
        assert found == pytest.approx(cohen_kappa_score(*pair), abs=1e-12)


@given(pairs)
def test_agreement_is_symmetric_and_bounded(pair: tuple[list[int], list[int]]) -> None:
    before, after = tensors(pair)
    assert stopping.kappa(before, after) == pytest.approx(stopping.kappa(after, before), abs=1e-12)
    assert -1 <= stopping.kappa(before, after) <= 1
    assert stopping.change(before, after) == stopping.change(after, before)
    assert stopping.change(before, after) == sum(a != b for a, b in zip(*pair, strict=True)) / len(pair[0])


@given(pairs, st.permutations(range(4)))
def test_names_of_classes_do_not_matter(pair: tuple[list[int], list[int]], order: list[int]) -> None:
    before, after = tensors(pair)
    renamed = torch.tensor(order)
    assert stopping.kappa(renamed[before], renamed[after]) == pytest.approx(stopping.kappa(before, after), abs=1e-12)


def test_agreement_by_chance_is_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    before, after = (torch.randint(4, (200_000,), generator=generator) for _ in range(2))
    assert stopping.kappa(before, after) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("sizes", [(0, 0), (2, 3)])
@pytest.mark.usefixtures("without_shape_checks")
def test_only_the_same_items_can_be_compared(sizes: tuple[int, int]) -> None:
    before, after = (torch.zeros(n, dtype=torch.int64) for n in sizes)
    for criterion in (stopping.kappa, stopping.change, stopping.selected_accuracy):
        with pytest.raises(EvidenceError, match=f"of {sizes[0]} and {sizes[1]}"):
            criterion(before, after)


# Certainty -----------------------------------------------------------------------------------------------------------


def test_certainty_by_hand() -> None:
    entropy = torch.tensor([0.0, math.log(4), math.log(2)])
    assert stopping.overall_uncertainty(entropy, 4) == pytest.approx((0 + 1 + 0.5) / 3)
    assert stopping.max_uncertainty(entropy, 4) == pytest.approx(1.0)
    assert stopping.max_information(torch.tensor([0.1, 0.4])) == pytest.approx(0.4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(2, 50))
def test_certainty_is_a_share_of_the_most_possible(shares: list[float], classes: int) -> None:
    entropy = torch.tensor(shares, dtype=torch.float64) * math.log(classes)
    found = stopping.overall_uncertainty(entropy, classes), stopping.max_uncertainty(entropy, classes)
    assert found == pytest.approx((sum(shares) / len(shares), max(shares)), abs=1e-9)
    assert 0 <= found[0] <= found[1] <= 1


@pytest.mark.parametrize(("n", "classes"), [(0, 2), (3, 1)])
def test_certainty_needs_items_and_two_classes(n: int, classes: int) -> None:
    with pytest.raises(EvidenceError, match=f"not {n} items and {classes} classes"):
        stopping.overall_uncertainty(torch.zeros(n), classes)


def test_nothing_has_no_largest_information() -> None:
    with pytest.raises(EvidenceError, match="no items"):
        stopping.max_information(torch.zeros(0))


# Advice --------------------------------------------------------------------------------------------------------------


def met(rounds: list[Measures]) -> set[str]:
    return {criterion.name for criterion in advise(rounds).criteria if criterion.met}


def test_all_that_is_calm_is_met_and_nothing_that_is_wild() -> None:
    assert met([CALM] * WINDOW) == {"kappa", "change", "overall", "largest", "information", "selected"}
    assert met([WILD] * WINDOW) == set()


def test_nothing_is_met_before_the_window_is_full() -> None:
    assert all(met([CALM] * rounds) == set() for rounds in range(WINDOW))
    assert all("cannot be told yet" in criterion.sentence for criterion in advise([CALM]).criteria)


def test_one_wild_round_in_the_window_undoes_everything() -> None:
    for place in range(WINDOW):
        rounds = [CALM] * WINDOW
        rounds[place] = WILD
        assert met(rounds) == set()
    assert met([WILD, *[CALM] * WINDOW]) == met([CALM] * WINDOW)


def test_kappa_counts_by_its_mean() -> None:
    rounds = [replace(CALM, kappa=value) for value in (0.98, 1.0, 1.0)]
    assert "kappa" in met(rounds)
    assert advise(rounds).criteria[0].value == pytest.approx((0.98 + 1 + 1) / 3)
    assert "kappa" not in met([replace(CALM, kappa=value) for value in (0.96, 1.0, 1.0)])


def test_a_round_without_a_value_counts_as_missing() -> None:
    assert "kappa" not in met([CALM, CALM, replace(CALM, kappa=None)])


def test_stopping_takes_enough_rounds() -> None:
    assert not advise([CALM] * (MINIMUM - 1)).stop
    assert advise([CALM] * MINIMUM).stop
    assert advise([CALM] * 3, minimum=3).stop
    assert "too early" in advise([CALM] * (MINIMUM - 1)).sentence


def test_stopping_takes_criteria_of_two_kinds() -> None:
    """A model that always predicts one class agrees with itself: kappa 1 and no change are one sign, not two."""
    same = replace(WILD, kappa=1.0, change=0.0)
    assert not advise([same] * MINIMUM).stop
    assert advise([replace(same, overall=0.01)] * MINIMUM).stop
    assert advise([replace(same, selected=1.0)] * MINIMUM).stop
    assert not advise([replace(WILD, overall=0.0, largest=0.0, information=0.0)] * MINIMUM).stop


@given(st.lists(st.sampled_from([CALM, WILD]), max_size=8), st.lists(st.sampled_from([CALM, WILD]), max_size=5))
def test_only_the_last_rounds_and_their_number_count(rounds: list[Measures], before: list[Measures]) -> None:
    newest = rounds[-WINDOW:]
    if len(newest) == WINDOW:
        assert advise([*before, *newest]).criteria == advise(newest).criteria


def test_thresholds_can_be_chosen() -> None:
    strict = advise([replace(CALM, overall=0.04)] * MINIMUM, thresholds=Thresholds(overall=0.02))
    assert [criterion.met for criterion in strict.criteria if criterion.name == "overall"] == [False]


def test_measures_and_advice_go_through_json() -> None:
    assert Measures.from_json(CALM.to_json()) == CALM
    assert Measures.from_json({**Measures().to_json(), "strange": 1}) == Measures()
    told = advise([CALM] * MINIMUM).to_json()
    assert told["stop"] is True
    assert told["criteria"][0]["name"] == "kappa"  # type: ignore[index]
