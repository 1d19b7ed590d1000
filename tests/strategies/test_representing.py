"""Facility location and suggestive annotation: what they hand to the selections, and what represents already."""

import pytest
import torch

from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.evidence import Evidence
from asktell.randomness import derive
from asktell.scores import entropy, mean_std
from asktell.selection import facility_location, max_cover, top_k
from asktell.strategies import Entropy, FacilityLocation, MeanStd, SuggestiveAnnotation, from_json, recipe, to_json
from asktell.testing.strategies import synthetic_evidence

N = 60
NAMES = ("log_probs", "features", "labelled_features", "pending_features")


def evidence(**changed: object) -> Evidence:
    found = synthetic_evidence(N)
    return Evidence(N, **{**{name: found[name] for name in NAMES}, **changed})  # type: ignore[arg-type]


def test_facility_location_is_the_selection_given_what_is_labelled_and_pending() -> None:
    found = evidence()
    centres = torch.cat([found.tensor("labelled_features"), found.tensor("pending_features")])
    for strategy in (FacilityLocation(), FacilityLocation(similarity="gaussian", breadth=0.3, parts=2)):
        picked = strategy(found, 9, generator=derive(1))
        expected = facility_location(
            found.tensor("features"),
            9,
            similarity=strategy.similarity,
            breadth=strategy.breadth,
            parts=strategy.parts,
            given=centres,
            generator=derive(1),
        )
        assert picked.indices.tolist() == expected.indices.tolist()
        assert picked.scores.tolist() == expected.scores.tolist()


def test_suggestive_annotation_covers_all_with_the_uncertain() -> None:
    found = evidence()
    for strategy, scores in (
        (SuggestiveAnnotation(), mean_std(found.tensor("log_probs"))),
        (SuggestiveAnnotation(Entropy(), beta=4.0), entropy(found.tensor("log_probs"))),
    ):
        picked = strategy(found, 5, generator=derive(1))
        best = scores.argsort(descending=True)[: int(strategy.beta * 5)]
        expected = max_cover(
            found.tensor("features"), best, 5, given=found.tensor("pending_features"), generator=derive(0)
        )
        assert picked.indices.tolist() == expected.indices.tolist()
        assert picked.scores.tolist() == expected.scores.tolist()
        assert picked.report.candidates == len(best)
    assert SuggestiveAnnotation(Entropy()).needs == {"log_probs", "features", "pending_features"}


def test_beta_one_is_the_top_of_the_score_and_a_large_beta_covers_with_any() -> None:
    found = evidence()
    top = top_k(mean_std(found.tensor("log_probs")), 7, generator=derive(0)).indices
    few = SuggestiveAnnotation(beta=1.0)(found, 7, generator=derive(0))
    assert set(few.indices.tolist()) == set(top.tolist())
    every = SuggestiveAnnotation(beta=1e9)(found, 7, generator=derive(0))
    pending = found.tensor("pending_features")
    expected = max_cover(found.tensor("features"), torch.arange(N), 7, given=pending, generator=derive(0))
    assert every.indices.tolist() == expected.indices.tolist()


def test_what_is_pending_represents_already() -> None:
    features = torch.eye(4).repeat(15, 1)
    found = evidence(features=features, pending_features=torch.eye(4)[:3])
    for strategy in (SuggestiveAnnotation(beta=50.0), FacilityLocation()):
        bare = evidence(features=features, pending_features=torch.eye(4)[:3], labelled_features=torch.zeros(1, 4))
        picked = strategy(found if strategy.name == "suggestive-annotation" else bare, 1, generator=derive(0))
        assert int(picked.indices[0]) % 4 == 3


def test_bad_rows_are_named_as_evidence() -> None:
    for name in ("features", "pending_features"):
        found = evidence()
        found.tensor(name)[2, 0] = torch.nan
        for strategy in (SuggestiveAnnotation(), FacilityLocation()):
            with pytest.raises(RowError, match=f"^{name}, row 2: holds NaN"):
                strategy(found, 3, generator=derive(0))
    with pytest.raises(EvidenceError, match="needs features"):
        SuggestiveAnnotation()(evidence(features=None), 3, generator=derive(0))
    for beta in (0.5, torch.nan, torch.inf):
        with pytest.raises(SelectionError, match="suggestive-annotation keeps beta"):
            SuggestiveAnnotation(beta=beta)


def test_they_are_known_by_name_and_parameters_come_back() -> None:
    assert recipe("facility-location").strategy == FacilityLocation()
    assert recipe("suggestive-annotation").strategy == SuggestiveAnnotation(MeanStd(), beta=2.0)
    for strategy in (FacilityLocation(similarity="gaussian", parts=3), SuggestiveAnnotation(Entropy(point=True))):
        assert from_json(to_json(strategy)) == strategy
