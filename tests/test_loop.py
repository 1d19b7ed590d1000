import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from asktell import Loop, Project
from asktell.errors import BudgetError, EvidenceError, SelectionError
from asktell.evidence import Evidence
from asktell.randomness import derive
from asktell.rows import TensorRows
from asktell.selection import Selection
from asktell.strategies import BALD, BatchBALD, CoreSet, Power, Random, Strategy, to_json
from asktell.types import SKIP, Budget, Candidates

IDS = tuple("abcdefgh")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path, IDS, classes=["owl", "wren"], seed=11) as project:
        yield project


def draws(*disagreement: float) -> Tensor:
    """Log-probabilities of two draws over two classes per item, further apart the greater the number in [0, 0.5]."""
    p = torch.tensor([[[0.5 + x, 0.5 - x], [0.5 - x, 0.5 + x]] for x in disagreement], dtype=torch.float64)
    return p.log()


@dataclass(frozen=True)
class Interrupted:
    """A strategy during whose selection other things happen, each once."""

    name: ClassVar[str] = "interrupted"
    events: ClassVar[list[Callable[[], object]]] = []
    inner: Strategy

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        if self.events:
            self.events.pop(0)()
        return self.inner(evidence, b, generator=generator, memory=memory)


def picks(
    strategy: Strategy, seed: int, number: int, ids: tuple[str, ...], b: int, **evidence: Tensor
) -> tuple[str, ...]:
    """What the strategy itself picks with the generator of this query."""
    generator = derive(seed, "query", number, "select")
    selection = strategy(Evidence(len(ids), **evidence), b, generator=generator)
    return tuple(ids[row] for row in selection.indices.tolist())


# Asking and telling ----------------------------------------------------------------------------------------------


def test_a_round(project: Project) -> None:
    loop = Loop(project, Random())
    query = loop.ask(loop.candidates(), 3)
    assert (query.number, query.ids) == (0, picks(Random(), 11, 0, IDS, 3))
    assert project.queries == (query,) == loop.unanswered
    loop.tell(query.ids[:2], ["wren", SKIP], annotator="ann")
    assert loop.labels == {query.ids[0]: "wren"}
    assert [open_.ids for open_ in loop.unanswered] == [query.ids[2:]]
    free = tuple(id_ for id_ in IDS if id_ not in query.ids)
    assert loop.candidates() == Candidates(free, (query.ids[0],), ("wren",), (query.ids[2],))
    assert loop.ask(loop.candidates(), 4).ids == picks(Random(), 11, 1, free, 4)


def test_rows_become_ids_and_everything_is_recorded(project: Project) -> None:
    project.tell(["a", "c"], ["owl", "owl"], "import")
    loop = Loop(project, BALD(), seed=5)
    query = loop.ask(loop.candidates(), 2, model="sha256:0a", log_probs=draws(0.1, 0.5, 0.0, 0.3, 0.2, 0.0))
    assert query.ids == ("d", "f")  # of b d e f g h
    assert query.scores[0] == pytest.approx(math.log(2))
    assert (query.seed, query.model, query.strategy) == (5, "sha256:0a", to_json(BALD()))
    assert project.queries == (query,)


def test_sequential_probabilities_are_recorded(project: Project) -> None:
    loop = Loop(project, Random())
    assert loop.ask(loop.candidates(), 3).probabilities == pytest.approx((1 / 8, 1 / 7, 1 / 6))


def test_the_seed_is_the_projects_unless_given(project: Project, tmp_path: Path) -> None:
    assert Loop(project, Random()).ask(project.candidates(), 4).ids == picks(Random(), 11, 0, IDS, 4)
    with Project.create(tmp_path / "other", IDS, classes=["owl"], seed=11) as other:
        query = Loop(other, Random(), seed=12).ask(other.candidates(), 4)
    assert (query.seed, query.ids) == (12, picks(Random(), 12, 0, IDS, 4))


@pytest.mark.parametrize("strategy", [Random(), Power(BALD()), BatchBALD()], ids=repr)
def test_a_loop_that_was_restarted_asks_the_same(tmp_path: Path, strategy: Strategy) -> None:
    def asked(folder: Path, restart: bool) -> list[tuple[str, ...]]:
        Project.create(folder, IDS, classes=["owl", "wren"]).close()
        project = Project.open(folder)
        found = []
        for _ in range(3):
            loop = Loop(project, strategy)
            snapshot = loop.candidates()
            log_probs = draws(*(ord(id_) % 7 / 14 for id_ in snapshot.ids))
            found.append(loop.ask(snapshot, 2, log_probs=log_probs).ids)
            loop.tell(found[-1], ["owl", "wren"], annotator="ann")
            if restart:
                project.close()
                project = Project.open(folder)
        project.close()
        return found

    assert asked(tmp_path / "one", restart=False) == asked(tmp_path / "two", restart=True)


def test_nothing_is_asked_for_zero(project: Project) -> None:
    query = Loop(project, Random()).ask(project.candidates(), 0)
    assert (query.number, query.ids, project.queries) == (0, (), ())


@pytest.mark.parametrize("b", [-1, 9])
def test_impossible_batches(project: Project, b: int) -> None:
    with pytest.raises(SelectionError):
        Loop(project, Random()).ask(project.candidates(), b)
    assert project.queries == ()


def test_the_budget_is_kept(project: Project) -> None:
    project.set_budget(3)
    loop = Loop(project, Random())
    loop.ask(loop.candidates(), 2)
    with pytest.raises(BudgetError, match="at most 1"):
        loop.ask(loop.candidates(), 2)
    assert project.budget == Budget(3, 0, 2)


# Evidence ----------------------------------------------------------------------------------------------------------


def test_arrays_of_any_origin_are_read_alike(project: Project, tmp_path: Path) -> None:
    tensor = draws(*(row / 16 for row in (3, 1, 4, 2, 5, 0, 6, 7)))
    np.save(tmp_path / "log_probs.npy", tensor.numpy())
    frozen = tensor.numpy().copy()
    frozen.flags.writeable = False
    loop = Loop(project, BALD())
    for given in (
        tensor,
        tensor.numpy(),
        frozen,
        np.load(tmp_path / "log_probs.npy", mmap_mode="r"),
        TensorRows(tensor),
    ):
        query = loop.ask(Candidates(IDS), 2, log_probs=given)
        assert query.ids == ("h", "g")
        loop.tell(query.ids, [SKIP, SKIP], annotator="ann")
        project.release_skipped()


def test_evidence_that_is_missing_or_unknown(project: Project) -> None:
    with pytest.raises(EvidenceError, match=r"BALD\(\) needs log_probs; pass log_probs=\.\.\..*snapshot\.ids"):
        Loop(project, BALD()).ask(project.candidates(), 1)
    with pytest.raises(EvidenceError, match="no evidence called logits"):
        Loop(project, Random()).ask(project.candidates(), 1, logits=torch.zeros(8, 2))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("log_probs", 7, r"log_probs has 7 rows for the 5 of snapshot\.ids"),
        ("labelled_features", 1, r"labelled_features has 1 rows for the 2 of snapshot\.labelled_ids"),
        ("labels", 3, r"labels has 3 rows for the 2 of snapshot\.labelled_ids"),
        ("pending_features", 2, r"pending_features has 2 rows for the 1 of snapshot\.pending_ids"),
    ],
)
def test_evidence_that_does_not_fit_the_snapshot(project: Project, name: str, rows: int, message: str) -> None:
    snapshot = Candidates(IDS[3:], IDS[:2], ("owl", "owl"), IDS[2:3])
    evidence: dict[str, Any] = {name: torch.zeros(rows, 2)}
    with pytest.raises(EvidenceError, match=message):
        Loop(project, Random()).ask(snapshot, 1, **evidence)


def test_the_first_batch_may_cover_the_pool_before_anything_is_labelled(project: Project) -> None:
    loop = Loop(project, CoreSet())
    line = torch.arange(len(loop.candidates().ids), dtype=torch.float64)[:, None]
    query = loop.ask(loop.candidates(), 3, features=line)
    assert query.scores[1] == max(query.scores)
    assert len(set(query.ids)) == 3


def test_pending_evidence_is_needed_while_something_is_pending(project: Project) -> None:
    loop = Loop(project, BatchBALD())
    first = loop.ask(loop.candidates(), 1, log_probs=draws(0.4, *[0.0] * 7))
    assert first.ids == ("a",)
    snapshot, log_probs = loop.candidates(), draws(*[0.2] * 7)
    with pytest.raises(EvidenceError, match=r"pass pending_log_probs=.*snapshot\.pending_ids"):
        loop.ask(snapshot, 1, log_probs=log_probs)
    second = loop.ask(snapshot, 1, log_probs=log_probs, pending_log_probs=draws(0.4))
    generator = derive(11, "query", 1, "select")
    given = Evidence(7, log_probs=log_probs, pending_log_probs=draws(0.4))
    assert second.scores == tuple(BatchBALD()(given, 1, generator=generator).scores.tolist())


# Others are faster ---------------------------------------------------------------------------------------------------


def test_what_was_labelled_meanwhile_is_left_out_with_the_same_generator(project: Project) -> None:
    first = picks(Random(), 11, 0, IDS, 3)
    Interrupted.events[:] = [lambda: project.tell(first[:1], ["owl"], "import")]
    query = Loop(project, Interrupted(Random())).ask(Candidates(IDS), 3)
    rest = tuple(id_ for id_ in IDS if id_ != first[0])
    assert (query.number, query.ids) == (0, picks(Random(), 11, 0, rest, 3))


def test_evidence_loses_the_rows_of_what_was_taken(project: Project) -> None:
    Interrupted.events[:] = [lambda: project.withdraw(["d", "h"])]
    log_probs = draws(0.1, 0.2, 0.0, 0.45, 0.0, 0.3, 0.0, 0.4)
    query = Loop(project, Interrupted(BALD())).ask(Candidates(IDS), 3, log_probs=log_probs)
    assert query.ids == ("f", "b", "a")


def test_a_query_is_always_selected_with_the_generator_of_its_number(project: Project) -> None:
    other = Loop(project, Random())
    Interrupted.events[:] = [lambda: other.ask(Candidates(IDS[:1]), 1), lambda: other.ask(Candidates(IDS[1:2]), 1)]
    query = Loop(project, Interrupted(Random())).ask(Candidates(IDS[2:]), 3)
    assert (query.number, query.ids) == (2, picks(Random(), 11, 2, IDS[2:], 3))
    assert [one.ids for one in project.queries] == [("a",), ("b",), query.ids]


def test_it_gives_up_only_when_fewer_than_b_remain(project: Project) -> None:
    Interrupted.events[:] = [lambda: project.tell(IDS[:5], ["owl"] * 5, "import")]
    loop = Loop(project, Interrupted(Random()))
    assert sorted(loop.ask(Candidates(IDS), 3).ids) == ["f", "g", "h"]
    with pytest.raises(SelectionError, match="0 of the snapshot's candidates are still free, fewer than the 2"):
        loop.ask(Candidates(("a", "f")), 2)
    assert len(project.queries) == 1
