"""Labels that the model gives itself: which, for how long, and what they never do."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons
from torch import Tensor

from asktell import Loop, Project
from asktell.errors import ModelError, ProtocolError
from asktell.evidence import Evidence, gather
from asktell.experiments.cell import Cell, run_cell
from asktell.experiments.protocols import protocol
from asktell.learners import Learner, PseudoLabels, Round, SingleNetwork
from asktell.learners.pseudo import Joined, Sure, uncertainty
from asktell.posteriors import MCDropout, Posterior, WithUtility, model_id
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.strategies import BALD, Margin, Strategy, Utility, recipe
from asktell.training import Training, two_moons_mlp
from asktell.types import Candidates

ONE = SingleNetwork(two_moons_mlp, Training(epochs=60, batch=None, lr=1e-2))
By = Literal["entropy", "least-confident", "margin"]


def moons(n: int) -> tuple[Tensor, Tensor]:
    x, y = make_moons(n, noise=0.15, random_state=4)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def first(labelled: int = 20, unlabelled: int = 100, *, number: int = 0, batch: int | None = 5) -> Round:
    x, y = moons(labelled + unlabelled)
    inputs, rest = TensorRows(x[:labelled]), TensorRows(x[labelled:])
    return Round(number, ("up", "down"), inputs, y[:labelled], unlabelled=rest, batch=batch)


@dataclass(frozen=True)
class Spy:
    """A learner that notes what it is fitted on."""

    learner: Learner = ONE
    seen: list[Round] = field(default_factory=list)

    @property
    def offers(self) -> frozenset[str]:
        """As the learner."""
        return self.learner.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Posterior:  # noqa: A002
        """As the learner."""
        self.seen.append(round)
        return self.learner.fit(round, generator=generator)


def pool(data: Round) -> Rows:
    assert data.unlabelled is not None
    return data.unlabelled


def accepted(data: Round, taught: Round) -> list[int]:
    """Numbers of the unlabelled rows that a second fit had labels for."""
    rows = pool(data)[0 : len(pool(data))]
    extra = taught.inputs[len(data.inputs) : len(taught.inputs)]
    return [int((rows == row).all(1).nonzero()[0]) for row in extra]


def top(posterior: WithUtility, data: Round, b: int) -> list[int]:
    """What the strategy of ceal asks."""
    snapshot = Candidates(tuple(map(str, range(len(pool(data))))), (), (), ())

    def inputs(ids: tuple[str, ...]) -> Rows:
        return TensorRows(pool(data).take(torch.tensor([int(one) for one in ids], dtype=torch.int64)))

    evidence = gather(recipe("ceal").strategy.needs, posterior, snapshot, inputs, 10, derive(5))
    picked: list[int] = recipe("ceal").strategy(evidence, b, generator=derive(6)).indices.tolist()
    return picked


def test_accepted_are_those_of_an_entropy_below_the_threshold_with_their_likeliest_class() -> None:
    data, spy = first(), Spy()
    posterior = PseudoLabels(spy, threshold=0.05).fit(data, generator=derive(0))
    predicted = ONE.fit(data, generator=derive(0)).predict(pool(data)).double()
    by_hand = [row for row, p in enumerate(predicted.exp()) if float(-(p * p.log()).sum()) < 0.05]
    assert 10 < len(by_hand) < 95
    assert accepted(data, spy.seen[1]) == by_hand
    assert spy.seen[1].labels.tolist() == data.labels.tolist() + predicted.argmax(1)[by_hand].tolist()
    assert posterior.told["pseudo_labels"] == len(by_hand)
    assert posterior.told["pseudo_entropy_threshold"] == 0.05


def test_the_second_fit_starts_as_the_first_and_its_network_is_the_model() -> None:
    data, spy = first(), Spy()
    posterior = PseudoLabels(spy).fit(data, generator=derive(0))
    again = ONE.fit(spy.seen[1], generator=derive(0))
    assert model_id(posterior) == model_id(again)
    assert model_id(posterior) != model_id(ONE.fit(data, generator=derive(0)))
    assert spy.seen[0] == data
    assert spy.seen[1].unlabelled is data.unlabelled
    used, expected = derive(0), derive(0)
    PseudoLabels(ONE).fit(data, generator=used)
    ONE.fit(data, generator=expected)
    assert torch.equal(used.get_state(), expected.get_state())


def test_without_accepted_items_it_is_the_learner() -> None:
    spy, data = Spy(), first()
    posterior = PseudoLabels(spy, threshold=0.0).fit(data, generator=derive(0))
    alone = ONE.fit(data, generator=derive(0))
    assert len(spy.seen) == 1
    assert model_id(posterior) == model_id(alone)
    assert posterior.told == {**alone.told, "pseudo_labels": 0.0, "pseudo_entropy_threshold": 0.0}
    assert torch.equal(posterior.utility(pool(data)), uncertainty("entropy", alone.predict(pool(data))))


def test_train_accuracy_is_that_of_the_true_labels() -> None:
    data = first()
    data = replace(data, labels=data.labels.clone())
    data.labels[:3] = 1 - data.labels[:3]  # three that cannot be learned
    posterior = PseudoLabels(ONE, threshold=0.3).fit(data, generator=derive(0))
    right = posterior.predict(data.inputs).argmax(1) == data.labels
    assert posterior.told["train_accuracy"] == float(right.double().mean()) < 1


def test_a_learner_that_tells_nothing_may_be_wrapped() -> None:
    class Silent:
        offers = MCDropout.offers

        def fit(self, round: Round, *, generator: torch.Generator) -> Posterior:  # noqa: A002
            return ONE.posterior(ONE.start(round, 0))

    told = PseudoLabels(Silent(), threshold=0.7).fit(first(), generator=derive(0)).told
    assert told.keys() == {"pseudo_labels", "pseudo_entropy_threshold"}


@pytest.mark.parametrize(
    ("by", "unlabelled", "b", "threshold"),
    [
        ("entropy", 100, 5, 0.05),
        ("least-confident", 100, 5, 0.05),
        ("margin", 100, 5, 0.6),
        ("entropy", 30, 25, 0.6),  # fewer than b would be left if all that are sure were accepted
        ("margin", 30, 25, 0.6),
        ("entropy", 12, 11, 0.6),
        ("entropy", 12, 12, 0.6),
        ("least-confident", 1, 1, 0.6),
    ],
)
def test_asked_and_accepted_items_never_overlap(by: By, unlabelled: int, b: int, threshold: float) -> None:
    data, spy = first(unlabelled=unlabelled, batch=b), Spy()
    posterior = PseudoLabels(spy, threshold=threshold, by=by).fit(data, generator=derive(0))
    taught = accepted(data, spy.seen[-1])
    asked = top(posterior, data, b)
    assert len(asked) == b
    assert not set(asked) & set(taught)
    assert len(taught) <= unlabelled - b
    if unlabelled > 2 * b:
        assert taught


@given(st.lists(st.floats(0.5, 1.0), min_size=1, max_size=30), st.integers(1, 30), st.floats(0.001, 0.7))
def test_whatever_is_predicted_b_items_are_never_accepted(values: list[float], b: int, threshold: float) -> None:
    p = torch.tensor(values, dtype=torch.float64)
    predicted = torch.stack([p, 1 - p], 1).log()
    data = Round(0, ("a", "b"), TensorRows(p), torch.zeros(1, dtype=torch.int64), batch=b)
    sure = PseudoLabels(ONE, threshold=threshold)._sure(predicted, data)
    near = (predicted + 1e-7 * torch.randn(predicted.shape, generator=derive(0), dtype=torch.float64)).log_softmax(1)
    taken, widened = sure(predicted), sure.widened()
    assert not bool((taken & (uncertainty("entropy", predicted) >= threshold)).any())
    assert bool(widened(near)[taken].all())  # what had a pseudo-label is known again, in spite of rounding
    most = uncertainty("entropy", predicted).topk(min(b, len(p))).indices
    assert not bool(widened(near)[most].any())  # and those that may be asked are never taken for one


def test_an_unknown_batch_keeps_no_item_back_but_puts_accepted_ones_last() -> None:
    data, spy = first(unlabelled=40, batch=None), Spy()
    posterior = PseudoLabels(spy, threshold=0.3).fit(data, generator=derive(0))
    taught, order = accepted(data, spy.seen[1]), top(posterior, data, 40)
    assert 0 < len(taught) < 40
    assert set(order[-len(taught) :]) == set(taught)


def test_a_pool_of_copies_is_no_trouble() -> None:
    data, spy = first(unlabelled=10, batch=3), Spy()
    data = replace(data, unlabelled=TensorRows(pool(data)[0:1].expand(10, 2).contiguous()))
    PseudoLabels(spy, threshold=0.7).fit(data, generator=derive(0))
    assert len(spy.seen) == 1  # no item is less certain than another, so none may be kept from being asked


@given(st.integers(0, 40), st.floats(0, 0.1), st.floats(0, 0.01), st.sampled_from(["linear", "cumulative"]))
def test_accepted_items_shrink_from_round_to_round_for_the_same_predictions(
    number: int, threshold: float, decay: float, schedule: Literal["linear", "cumulative"]
) -> None:
    learner = PseudoLabels(ONE, threshold=threshold, decay=decay, schedule=schedule)
    limits = [learner.threshold_in(t) for t in (number, number + 1)]
    assert limits[0] >= limits[1] >= 0
    p = torch.linspace(0.9, 1, 50, dtype=torch.float64)
    before, after = (Sure("entropy", limit, float("inf"))(torch.stack([p, 1 - p], 1).log()) for limit in limits)
    assert not bool((after & ~before).any())


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cumulative", [0.05, 0.0467, 0.0401, 0.0302, 0.017, 0.0005, 0]), ("linear", [0.05, 0.0467, 0.0434, 0.0401])],
)
def test_thresholds_of_the_paper(schedule: Literal["linear", "cumulative"], expected: list[float]) -> None:
    learner = PseudoLabels(ONE, schedule=schedule)
    assert [learner.threshold_in(number) for number in range(len(expected))] == pytest.approx(expected, abs=1e-12)
    limit, found = 0.05, [0.05]
    for t in range(1, len(expected)):  # the recursion that the two readings come from
        limit = limit - 0.0033 * t if schedule == "cumulative" else 0.05 - 0.0033 * t
        found.append(max(0, limit))
    assert found == pytest.approx(expected, abs=1e-12)


def test_labels_of_the_project_stay_what_people_said(tmp_path: Path) -> None:
    x, y = moons(60)
    ids, classes = tuple(f"moon-{number}" for number in range(60)), ("up", "down")
    truth = {name: classes[label] for name, label in zip(ids, y.tolist(), strict=True)}

    def inputs(some: tuple[str, ...]) -> Rows:
        return TensorRows(x[[ids.index(name) for name in some]])

    with Project.create(tmp_path / "moons", ids, classes=classes) as project:
        loop = Loop(project, recipe("ceal").strategy, seed=0)
        loop.tell(ids[:10], [truth[name] for name in ids[:10]], annotator="ann")
        for number in range(3):
            snapshot, before, spy = loop.candidates(), dict(loop.labels), Spy()
            labels = torch.tensor([classes.index(name) for name in snapshot.labels])
            data = Round(
                number, classes, inputs(snapshot.labelled_ids), labels, unlabelled=inputs(snapshot.ids), batch=4
            )
            posterior = PseudoLabels(spy).fit(data, generator=derive(number))
            query = loop.ask(snapshot, 4, utility=posterior.utility(inputs(snapshot.ids)))
            taught = {snapshot.ids[row] for row in accepted(data, spy.seen[-1])}
            assert taught
            assert not taught & set(query.ids)
            assert dict(loop.labels) == before
            loop.tell(query.ids, [truth[name] for name in query.ids], annotator="ann")
        assert dict(loop.labels) == {name: truth[name] for name in loop.labels}
        assert len(loop.labels) == 10 + 3 * 4


QUICK = replace(
    protocol("two-moons"), training=Training(epochs=60, batch=None, lr=1e-2), rounds=2, draws=10, pool_size=100
)


def test_a_cell_tells_how_many_there_were_and_its_labels_are_the_truth(tmp_path: Path) -> None:
    cell = Cell(QUICK, "ceal", 0, tmp_path)
    run_cell(cell)
    told = [json.loads(line)["told"] for line in cell.file.read_text().splitlines()]
    assert [round(one["pseudo_entropy_threshold"], 4) for one in told] == [0.05, 0.0467, 0.0401]
    assert all(0 < one["pseudo_labels"] < 100 for one in told)
    with Project.open(cell.work) as project:
        assert len(project.labels) == 10 + 2 * 5


@pytest.mark.parametrize("restart", ["cold", "warm"])
def test_a_stopped_cell_goes_on_as_if_nothing_had_happened(restart: Literal["cold", "warm"], tmp_path: Path) -> None:
    def lines(out: str) -> list[dict[str, object]]:
        cell = Cell(replace(QUICK, restart=restart), "ceal", 0, tmp_path / out)
        run_cell(cell)
        found = [json.loads(line) for line in cell.file.read_text().splitlines()]
        return [{name: value for name, value in line.items() if name != "seconds"} for line in found]

    def stop(done: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(Cell(replace(QUICK, restart=restart), "ceal", 0, tmp_path / "stopped"), progress=stop)
    assert lines("stopped") == lines("whole")


@pytest.mark.parametrize("strategy", [BALD(), Margin()], ids=lambda strategy: strategy.name)
def test_where_nothing_is_accepted_other_strategies_pick_the_same(strategy: Strategy) -> None:
    data = first()
    wrapped = PseudoLabels(ONE, threshold=0.0).fit(data, generator=derive(0))
    picks = []
    for posterior in (wrapped, ONE.fit(data, generator=derive(0))):
        drawn = posterior.draw(10, generator=derive(1)).log_probs(pool(data))
        picks.append(strategy(Evidence(100, log_probs=drawn), 5, generator=derive(2)).indices.tolist())
    assert picks[0] == picks[1]


@given(st.integers(0, 5), st.lists(st.integers(0, 8), unique=True, max_size=6))
def test_joined_rows_are_one_after_the_other(head: int, places: list[int]) -> None:
    rows = Joined(
        TensorRows(torch.arange(head)), TensorRows(100 + torch.arange(9)), torch.tensor(sorted(places)).long()
    )
    whole = torch.cat([torch.arange(head), 100 + torch.tensor(sorted(places)).long()])
    assert isinstance(rows, Rows)
    assert len(rows) == len(whole)
    assert torch.equal(rows[0 : len(rows)], whole)
    assert torch.equal(rows[1:3], whole[1:3])
    some = torch.arange(0, len(whole), 2)
    assert torch.equal(rows.take(some), whole[some])


def test_it_is_a_learner_that_offers_what_its_posteriors_give() -> None:
    learner = PseudoLabels(ONE)
    assert isinstance(learner, Learner)
    assert learner.fit(first(), generator=derive(0)).offers == learner.offers == ONE.offers | {"utility"}
    assert recipe("ceal").wrap is PseudoLabels
    assert recipe("ceal").strategy == Utility()


def test_an_empty_pool_has_no_pseudo_labels() -> None:
    posterior = PseudoLabels(ONE).fit(first(unlabelled=0), generator=derive(0))
    assert posterior.told["pseudo_labels"] == 0


def test_bad_settings_raise() -> None:
    with pytest.raises(ModelError, match="Round\\(unlabelled"):
        PseudoLabels(ONE).fit(replace(first(), unlabelled=None), generator=derive(0))
    with pytest.raises(ProtocolError, match="threshold must be zero or more"):
        PseudoLabels(ONE, threshold=-0.1)
    with pytest.raises(ProtocolError, match="decay must be zero or more"):
        PseudoLabels(ONE, decay=float("nan"))
    with pytest.raises((ProtocolError, TypeError), match="schedule"):
        PseudoLabels(ONE, schedule="steep")  # type: ignore[arg-type]
    with pytest.raises((ProtocolError, TypeError), match="by"):
        PseudoLabels(ONE, by="bald")  # type: ignore[arg-type]
