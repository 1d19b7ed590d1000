"""Evidence by name, and gather: what is needed and no more, from one set of draws."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import EvidenceError
from asktell.evidence import OFFERED_BY, PER_CANDIDATE, Evidence, check_offered, gather
from asktell.posteriors import Deterministic, MCDropout
from asktell.randomness import derive, take_key
from asktell.rows import ArrayRows, Rows, TensorRows, as_rows
from asktell.types import Candidates

POOL = torch.randn(12, 3, generator=derive(0, "pool"))
SNAPSHOT = Candidates(
    ids=("2", "5", "7", "11"), labelled_ids=("0", "9"), labels=("owl", "wren"), pending_ids=("3", "4", "10")
)


def inputs(ids: tuple[str, ...]) -> Rows:
    return TensorRows(POOL[[int(item) for item in ids]])


@dataclass
class Recorder:
    """A posterior of linear functions that notes what it is asked for."""

    offers: frozenset[str] = frozenset({"log_probs", "point_log_probs"})
    distinct: int | None = None
    calls: list[str] = field(default_factory=list)

    def draw(self, k: int, *, generator: torch.Generator) -> "Recorder":
        self.calls.append(f"draw {k}")
        self.weights = torch.randn(3, k, 2, generator=derive(take_key(generator)))
        return self

    def log_probs(self, inputs: Rows) -> Tensor:
        self.calls.append(f"log_probs {len(inputs)}")
        return torch.einsum("nd,dkc->nkc", inputs[0 : len(inputs)], self.weights).log_softmax(-1)

    def over(self, inputs: Rows) -> Rows:
        return TensorRows(self.log_probs(inputs))

    def predict(self, inputs: Rows) -> Tensor:
        return self.point_log_probs(inputs)

    def point_log_probs(self, inputs: Rows) -> Tensor:
        self.calls.append(f"point_log_probs {len(inputs)}")
        return torch.zeros(len(inputs), 2).log_softmax(-1)


def test_nothing_is_computed_that_is_not_needed() -> None:
    posterior = Recorder()
    assert gather(frozenset(), posterior, SNAPSHOT, inputs, 5, derive(0)).names() == frozenset()
    assert posterior.calls == []
    found = gather(frozenset({"point_log_probs"}), posterior, SNAPSHOT, inputs, 5, derive(0))
    assert found.names() == {"point_log_probs"}
    assert posterior.calls == ["point_log_probs 4"]


def test_one_draw_serves_candidates_pending_items_and_targets() -> None:
    posterior = Recorder()
    needs = frozenset({"log_probs", "pending_log_probs", "target_log_probs"})
    targets = TensorRows(POOL[[2, 3]])  # the first candidate and the first pending item
    found = gather(needs, posterior, SNAPSHOT, inputs, 5, derive(0), targets=targets)
    assert posterior.calls == ["draw 5", "log_probs 4", "log_probs 3", "log_probs 2"]
    assert torch.equal(found.tensor("log_probs")[0], found.tensor("target_log_probs")[0])
    assert torch.equal(found.tensor("pending_log_probs")[0], found.tensor("target_log_probs")[1])


def test_rows_are_those_of_the_snapshot() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    posterior = MCDropout(module)
    needs = frozenset({"features", "labelled_features", "pending_features", "labelled_point_log_probs", "labels"})
    found = gather(needs, posterior, SNAPSHOT, inputs, 5, derive(0), labels=torch.tensor([0, 1]))
    hidden = module[:2](POOL)
    torch.testing.assert_close(found.tensor("features"), hidden[[2, 5, 7, 11]])
    torch.testing.assert_close(found.tensor("labelled_features"), hidden[[0, 9]])
    torch.testing.assert_close(found.tensor("pending_features"), hidden[[3, 4, 10]])
    torch.testing.assert_close(found.tensor("labelled_point_log_probs"), posterior.predict(POOL[[0, 9]]))
    assert found.tensor("labels").tolist() == [0, 1]


def test_nothing_pending_gives_no_pending_evidence() -> None:
    calm = Candidates(ids=("1", "2"))
    found = gather(frozenset({"log_probs", "pending_log_probs"}), Recorder(), calm, inputs, 5, derive(0))
    assert found.names() == {"log_probs"}


def test_nothing_labelled_gives_evidence_without_rows() -> None:
    first = Candidates(ids=("1", "2"))
    posterior = MCDropout(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)))
    found = gather(frozenset({"features", "labelled_features"}), posterior, first, inputs, 5, derive(0))
    assert found.tensor("features").shape == (2, 4)
    assert found.tensor("labelled_features").shape == (0, 4)


def test_a_posterior_with_few_functions_gives_all_of_them() -> None:
    found = gather(frozenset({"log_probs"}), Deterministic(nn.Linear(3, 2)), SNAPSHOT, inputs, 50, derive(0))
    assert found.tensor("log_probs").shape == (4, 1, 2)


def test_targets_are_drawn_from_the_candidates() -> None:
    needs = frozenset({"log_probs", "target_log_probs"})
    found = gather(needs, Recorder(), SNAPSHOT, inputs, 5, derive(0), targets=3)
    rows = {tuple(row.flatten().tolist()) for row in found.tensor("log_probs")}
    targets = [tuple(row.flatten().tolist()) for row in found.tensor("target_log_probs")]
    assert len(set(targets)) == 3
    assert set(targets) <= rows
    assert len(gather(needs, Recorder(), SNAPSHOT, inputs, 5, derive(0)).tensor("target_log_probs")) == 4


def test_what_is_not_offered_or_not_known_is_named() -> None:
    with pytest.raises(EvidenceError, match=r"Recorder gives log_probs, point_log_probs, but .* needs features"):
        gather(frozenset({"labelled_features"}), Recorder(), SNAPSHOT, inputs, 5, derive(0))
    with pytest.raises(EvidenceError, match="no evidence called horoscope"):
        gather(frozenset({"horoscope"}), Recorder(), SNAPSHOT, inputs, 5, derive(0))
    with pytest.raises(EvidenceError, match="has no method of that name"):
        gather(frozenset({"utility"}), Recorder(offers=frozenset({"utility"})), SNAPSHOT, inputs, 5, derive(0))
    check_offered({"pending_log_probs", "target_log_probs", "labels"}, frozenset({"log_probs"}), "a learner")


def test_who_offers_what_is_missing_is_said() -> None:
    with pytest.raises(EvidenceError, match=r"features comes from learners of one network, such as SingleNetwork"):
        check_offered({"labelled_features"}, frozenset({"log_probs"}), "the forest")
    with pytest.raises(
        EvidenceError, match=r"the forest gives log_probs, but .* needs utility: utility comes from the"
    ):
        check_offered({"utility", "log_probs"}, frozenset({"log_probs"}), "the forest")


def test_every_kind_of_evidence_says_who_offers_it() -> None:
    assert set(OFFERED_BY) == set(PER_CANDIDATE)


class Useful(Recorder):
    def utility(self, inputs: Rows) -> Tensor:
        self.calls.append(f"utility {len(inputs)}")
        return inputs[0 : len(inputs)].double().sum(1)


def test_utility_is_computed_when_it_is_read_and_for_no_other_row() -> None:
    posterior = Useful(offers=frozenset({"utility"}))
    found = gather(frozenset({"utility"}), posterior, SNAPSHOT, inputs, 5, derive(0))
    assert posterior.calls == []
    few = found.only(torch.tensor([1, 3])).without(torch.tensor([0]))
    assert few.n == 1
    assert posterior.calls == []
    assert few.tensor("utility").tolist() == [POOL[11].double().sum().item()]
    assert posterior.calls == ["utility 1"]
    assert (
        as_rows(found.require("utility")).take(torch.tensor([0, 2])).tolist() == POOL[[2, 7]].double().sum(1).tolist()
    )


def test_only_keeps_rows_in_order_and_nothing_else() -> None:
    rows = ArrayRows(torch.arange(8.0).reshape(4, 2).numpy())
    evidence = Evidence(4, utility=torch.arange(4.0), features=rows, labels=torch.tensor([1]))
    some = evidence.only(torch.tensor([0, 3]))
    assert (some.n, some.tensor("utility").tolist()) == (2, [0.0, 3.0])
    assert some.tensor("features").tolist() == [[0.0, 1.0], [6.0, 7.0]]
    assert as_rows(some.require("features")).take(torch.tensor([1])).tolist() == [[6.0, 7.0]]
    assert some.labels is evidence.labels


def test_evidence_has_one_row_per_candidate() -> None:
    with pytest.raises(EvidenceError, match="utility has 3 rows for 2 candidates"):
        Evidence(2, utility=torch.zeros(3))
    with pytest.raises(EvidenceError, match="needs features; pass features="):
        Evidence(2).require("features")


def test_without_leaves_rows_out_and_nothing_else() -> None:
    evidence = Evidence(4, utility=torch.arange(4.0), target_log_probs=torch.zeros(2, 1, 1))
    left = evidence.without(torch.tensor([3, 1]))
    assert left.n == 2
    assert left.tensor("utility").tolist() == [0.0, 2.0]
    assert left.target_log_probs is evidence.target_log_probs
