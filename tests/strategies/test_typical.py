"""TypiClust and ProbCover: what they hand to the selections, and where the radius comes from."""

import pytest
import torch

from asktell.embeddings import unit_length
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.evidence import Evidence, gather
from asktell.posteriors import MCDropout
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.selection import probcover, purity_radius, typiclust
from asktell.strategies import ProbCover, TypiClust, from_json, recipe, to_json
from asktell.strategies.covering import Covering
from asktell.testing.strategies import C, synthetic_evidence
from asktell.types import Candidates

N = 60
NAMES = ("features", "labelled_features", "pending_features", "labelled_point_log_probs")


def evidence(**changed: object) -> Evidence:
    found = synthetic_evidence(N)
    return Evidence(N, **{**{name: found[name] for name in NAMES}, **changed})  # type: ignore[arg-type]


def given(found: Evidence) -> torch.Tensor:
    return unit_length(torch.cat([found.tensor("labelled_features"), found.tensor("pending_features")]))


def test_typiclust_is_the_selection_of_directions_given_what_is_labelled_and_pending() -> None:
    found = evidence()
    picked = TypiClust(neighbours=3, least=2, squared=True)(found, 9, generator=derive(1))
    x, others = unit_length(found.tensor("features")), given(found)
    expected = typiclust(x, 9, given=others, neighbours=3, least=2, squared=True, generator=derive(1))
    assert picked.indices.tolist() == expected.indices.tolist()
    assert picked.scores.tolist() == pytest.approx(expected.scores.tolist())
    raw = TypiClust(normalise=False)(found, 9, generator=derive(1))
    whole = torch.cat([found.tensor("labelled_features"), found.tensor("pending_features")])
    again = typiclust(found.tensor("features"), 9, given=whole, generator=derive(1))
    assert raw.indices.tolist() == again.indices.tolist()


def test_probcover_is_the_selection_at_the_radius_of_purity() -> None:
    found, generator = evidence(), derive(1)
    picked = ProbCover(alpha=0.7)(found, 9, generator=derive(1))
    x, others = unit_length(found.tensor("features")), given(found)
    delta = purity_radius(torch.cat([x, others]), C, alpha=0.7, generator=generator)
    expected = probcover(x, 9, delta=delta, given=others, generator=generator)
    assert picked.report.radius == pytest.approx(delta)
    assert picked.scores.tolist() == expected.scores.tolist()
    assert picked.indices.tolist() == expected.indices.tolist()


def test_the_radius_or_the_number_of_clusters_may_be_told() -> None:
    found = evidence(labelled_point_log_probs=None)
    assert ProbCover(delta=0.4)(found, 5, generator=derive(0)).report.radius == 0.4
    assert ProbCover(clusters=C)(found, 5, generator=derive(0)).report.radius == (
        ProbCover()(evidence(), 5, generator=derive(0)).report.radius
    )
    assert "labelled_point_log_probs" in ProbCover().needs
    for told in (ProbCover(delta=0.4), ProbCover(clusters=3)):
        assert "labelled_point_log_probs" not in told.needs
    with pytest.raises(EvidenceError, match="needs labelled_point_log_probs"):
        ProbCover()(found, 5, generator=derive(0))


def test_before_any_label_the_classes_are_counted_all_the_same() -> None:
    nothing = evidence(
        labelled_features=torch.zeros(0, 4), labelled_point_log_probs=torch.zeros(0, C), pending_features=None
    )
    assert ProbCover()(nothing, 5, generator=derive(0)).report.radius is not None
    assert len(TypiClust()(nothing, 5, generator=derive(0))) == 5


BOTH: list[Covering] = [TypiClust(), ProbCover(), ProbCover(delta=0.5, covered="random")]


@pytest.mark.parametrize("strategy", BOTH, ids=repr)
@pytest.mark.parametrize("name", ["features", "labelled_features", "pending_features"])
def test_a_bad_row_is_named_as_evidence(strategy: Covering, name: str) -> None:
    found = evidence()
    found.tensor(name)[2, 0] = torch.nan
    with pytest.raises(RowError, match=f"^{name}, row 2: holds NaN"):
        strategy(found, 3, generator=derive(0))


def test_bad_predictions_are_named_though_only_counted() -> None:
    found = evidence()
    found.tensor("labelled_point_log_probs")[2, 0] = torch.nan
    with pytest.raises(RowError, match=r"^labelled_point_log_probs, row 2: holds NaN"):
        ProbCover()(found, 3, generator=derive(0))


@pytest.mark.parametrize("strategy", BOTH, ids=repr)
def test_all_embeddings_equal_fill_the_batch(strategy: Covering) -> None:
    equal = {name: torch.ones(len(rows), 4) for name, rows in synthetic_evidence(N).items() if "features" in name}
    picked = strategy(evidence(**equal), 7, generator=derive(0))
    assert len(set(picked.indices.tolist())) == 7
    with pytest.raises(SelectionError, match="cannot pick"):
        strategy(evidence(), N + 1, generator=derive(0))
    assert len(strategy(evidence(), 0, generator=derive(0))) == 0


def test_they_are_known_by_name_and_parameters_come_back() -> None:
    assert recipe("typiclust").strategy == TypiClust()
    assert recipe("probcover").strategy == ProbCover()
    for strategy in (TypiClust(neighbours=5), ProbCover(delta=0.6, covered="random"), ProbCover(clusters=7)):
        assert from_json(to_json(strategy)) == strategy


def test_evidence_is_gathered_from_a_posterior() -> None:
    pool = torch.randn(40, 3, generator=derive(0))
    snapshot = Candidates(tuple(map(str, range(30))), ("30", "31"), ("a", "b"), ("32", "33"))

    def inputs(ids: tuple[str, ...]) -> Rows:
        return TensorRows(pool[[int(item) for item in ids]])

    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))
    for strategy in (TypiClust(), ProbCover()):
        found = gather(strategy.needs, MCDropout(network), snapshot, inputs, 5, derive(0))
        assert len(set(strategy(found, 9, generator=derive(0)).indices.tolist())) == 9
