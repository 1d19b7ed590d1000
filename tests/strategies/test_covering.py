"""Core-set strategies: what they hand to the selections, and what counts as a centre."""

import pytest
import torch

from asktell.errors import EvidenceError, RowError
from asktell.evidence import Evidence
from asktell.randomness import derive
from asktell.rows import ArrayRows
from asktell.selection import k_center, robust_k_center
from asktell.strategies import CoreSet, CoreSetRobust, from_json, recipe
from asktell.strategies.covering import Covering
from asktell.strategies.views import Joined
from asktell.testing.strategies import synthetic_evidence

N = 60
BOTH: list[Covering] = [CoreSet(), CoreSetRobust(outliers=0.1)]


def evidence(**changed: object) -> Evidence:
    found = synthetic_evidence(N)
    names = ("features", "labelled_features", "pending_features")
    return Evidence(N, **{**{name: found[name] for name in names}, **changed})  # type: ignore[arg-type]


def centres(found: Evidence) -> torch.Tensor:
    return torch.cat([found.tensor("labelled_features"), found.tensor("pending_features")])


def test_core_set_is_k_center_given_what_is_labelled_and_pending() -> None:
    found = evidence()
    picked = CoreSet()(found, 9, generator=derive(1))
    expected = k_center(found.tensor("features"), 9, given=centres(found), generator=derive(1))
    assert picked.indices.tolist() == expected.indices.tolist()
    assert picked.scores.tolist() == expected.scores.tolist()
    assert picked.report == expected.report


def test_core_set_robust_is_robust_k_center() -> None:
    found = evidence()
    picked = CoreSetRobust(outliers=0.1)(found, 9, generator=derive(1))
    expected = robust_k_center(found.tensor("features"), 9, given=centres(found), outliers=0.1, generator=derive(1))
    assert picked.indices.tolist() == expected.indices.tolist()
    assert picked.report.optimal is True
    assert CoreSetRobust(time_limit=1e-9)(found, 9, generator=derive(1)).report.optimal is False


@pytest.mark.parametrize("strategy", BOTH, ids=repr)
def test_copies_of_what_is_labelled_or_pending_come_last(strategy: Covering) -> None:
    found = evidence()
    copies = Evidence(
        N,
        features=found.features,
        labelled_features=found.tensor("features")[:30],
        pending_features=found.tensor("features")[30:58],
    )
    assert set(strategy(copies, 2, generator=derive(0)).indices.tolist()) == {58, 59}
    assert CoreSet()(copies, 5, generator=derive(0)).report.filled_from == 2


def test_normalised_features_are_directions() -> None:
    found = evidence()
    lengths = torch.linspace(1e-3, 1e3, N, dtype=torch.float64)[:, None]
    stretched = evidence(
        features=found.tensor("features") * lengths,
        labelled_features=ArrayRows(found.tensor("labelled_features").numpy()),
    )
    for strategy in (CoreSet(normalise=True), CoreSetRobust(normalise=True)):
        plain, scaled = (strategy(some, 7, generator=derive(0)) for some in (found, stretched))
        assert plain.indices.tolist() == scaled.indices.tolist()
        assert bool((plain.scores <= 2 + 1e-12).all())
    zero = evidence(features=torch.cat([torch.zeros(1, 4), torch.ones(N - 1, 4)]), labelled_features=torch.ones(1, 4))
    assert CoreSet(normalise=True)(zero, 1, generator=derive(0)).indices.tolist() == [0]


def test_nothing_labelled_is_said_with_an_empty_array() -> None:
    found = evidence(labelled_features=torch.empty(0, 4), pending_features=None)
    assert len(CoreSet()(found, 3, generator=derive(0))) == 3
    with pytest.raises(EvidenceError, match="needs labelled_features"):
        CoreSet()(evidence(labelled_features=None), 3, generator=derive(0))


@pytest.mark.parametrize("strategy", [CoreSet(), CoreSet(normalise=True), CoreSetRobust()], ids=repr)
@pytest.mark.parametrize("name", ["features", "labelled_features", "pending_features"])
def test_a_bad_row_is_named_as_evidence(strategy: Covering, name: str) -> None:
    for value in (torch.nan, torch.inf):
        found = evidence()
        found.tensor(name)[2, 0] = value
        with pytest.raises(RowError, match=f"^{name}, row 2: holds NaN"):
            strategy(found, 3, generator=derive(0))


def test_arrays_of_different_networks_are_refused() -> None:
    with pytest.raises(EvidenceError, match=r"rows of shapes \[\[4\], \[3\]\]; take both from one network"):
        CoreSet()(evidence(pending_features=torch.zeros(2, 3)), 3, generator=derive(0))


def test_joined_rows_are_those_of_the_parts_in_order() -> None:
    x = torch.randn(9, 2, generator=derive(0))
    joined = Joined((ArrayRows(x[:4].numpy()), ArrayRows(x[4:4].numpy()), ArrayRows(x[4:].double().numpy())))
    assert len(joined) == 9
    assert torch.equal(joined[2:7], x[2:7].double())
    assert torch.equal(joined[7:99], x[7:].double())
    assert torch.equal(joined.take(torch.tensor([0, 3, 4, 8])), x[[0, 3, 4, 8]].double())


def test_they_are_known_by_name() -> None:
    assert recipe("core-set").strategy == CoreSet()
    assert recipe("core-set-robust").strategy == CoreSetRobust()
    parameters = {"outliers": 0.01, "time_limit": 5.0, "normalise": True}
    made = from_json({"name": "core-set-robust", "parameters": parameters})
    assert made == CoreSetRobust(outliers=0.01, time_limit=5.0, normalise=True)
