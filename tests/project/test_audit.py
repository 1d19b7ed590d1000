"""Reserved and held-out items: who they are, who may ask for them, and what they are worth."""

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import BudgetError, ConflictError, ProjectError, UnknownItemError
from asktell.project import Project
from asktell.types import SKIP, Audit, Budget, Candidates, Query

IDS = tuple(f"item-{number}" for number in range(40))
AUDIT: dict[str, object] = {"name": "audit", "parameters": {}, "inner": None}
names = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1), unique=True, max_size=30)


def reserved(seed: int, share: float, ids: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """By the definition."""
    hashes = {id_: int(sha256(f"{seed}:{id_}".encode()).hexdigest(), 16) for id_ in ids}
    return tuple(sorted((id_ for id_ in ids if hashes[id_] < share * 2**256), key=hashes.__getitem__))


@pytest.fixture
def audited(tmp_path: Path) -> Project:
    project = Project.create(tmp_path, IDS, classes=["owl", "wren"], seed=3, audit=0.3)
    assert len(project.next_audit(40)) == 14
    return project


def ask(project: Project, *ids: str, audit: bool = False) -> Query:
    strategy = AUDIT if audit else {"name": "bald"}
    return project.record(Query(project.next_query, ids, (0.0,) * len(ids), strategy, 0))


# Who is reserved -------------------------------------------------------------------------------------------------


@given(first=names, more=names, seed=st.integers(-(2**63), 2**63 - 1), share=st.floats(0, 1, exclude_max=True))
def test_membership_is_a_function_of_seed_and_id_alone(
    first: list[str], more: list[str], seed: int, share: float
) -> None:
    more = [id_ for id_ in more if id_ not in first]
    with (
        TemporaryDirectory() as folder,
        Project.create(folder, first, classes=["owl"], seed=seed, audit=share) as project,
    ):
        assert project.next_audit(100) == reserved(seed, share, first)
        project.add_items(more)
        assert project.next_audit(100) == reserved(seed, share, [*first, *more])
        assert set(project.candidates().ids) == {*first, *more} - set(project.next_audit(100))
        assert project.ids == (*first, *more)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.99])
def test_the_share_of_reserved_ids_is_about_what_was_asked_for(tmp_path: Path, share: float) -> None:
    ids = [str(number) for number in range(20_000)]
    with Project.create(tmp_path, ids, classes=["owl"], audit=share) as project:
        found = len(project.next_audit(20_000))
        deviation = (20_000 * share * (1 - share)) ** 0.5
        assert abs(found - 20_000 * share) <= 4 * deviation
        assert project.audit == Audit(share, waiting=found)
        assert project.status().audit["free"] == found


def test_more_is_reserved_of_a_larger_share(tmp_path: Path) -> None:
    shares = {}
    for share in (0.1, 0.4):
        with Project.create(tmp_path / str(share), IDS, classes=["owl"], audit=share) as project:
            shares[share] = project.next_audit(40)
    assert shares[0.4][: len(shares[0.1])] == shares[0.1]
    assert len(shares[0.1]) < len(shares[0.4])


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan"), True, "0.1", None])
def test_a_share_that_is_none(tmp_path: Path, share: float) -> None:
    with pytest.raises(ProjectError, match="at least 0 and below 1"):
        Project.create(tmp_path / "birds", IDS, classes=["owl"], audit=share)
    assert not (tmp_path / "birds").exists()


# Who asks for them -----------------------------------------------------------------------------------------------


def test_reserved_items_are_no_candidates_whatever_happens_to_them(audited: Project) -> None:
    first, second, third, fourth = audited.next_audit(4)
    ask(audited, first, second, third, audit=True)
    audited.tell([second, third, fourth], ["owl", SKIP, "wren"], "ann")
    snapshot = audited.candidates()
    assert snapshot == Candidates(tuple(id_ for id_ in IDS if id_ not in reserved(3, 0.3, IDS)))
    assert audited.labels == {second: "owl", fourth: "wren"}
    assert audited.skipped == (third,)


def test_only_an_audit_asks_for_reserved_items_and_for_nothing_else(audited: Project) -> None:
    mine, theirs = audited.next_audit()[0], audited.candidates().ids[0]
    with pytest.raises(ConflictError) as conflict:
        ask(audited, theirs, mine)
    assert conflict.value.taken == (mine,)
    with pytest.raises(ConflictError) as conflict:
        ask(audited, theirs, mine, audit=True)
    assert conflict.value.taken == (theirs,)
    assert audited.queries == ()
    ask(audited, theirs)
    ask(audited, mine, audit=True)
    assert [(question.item, question.audit) for question in audited.questions()] == [(theirs, False), (mine, True)]


def test_the_next_ones_are_free_and_in_the_order_of_their_hash(audited: Project) -> None:
    order = reserved(3, 0.3, IDS)
    assert audited.next_audit() == order[:1]
    assert audited.next_audit(0) == ()
    ask(audited, order[0], order[2], audit=True)
    audited.tell([order[4]], ["owl"], "import")
    assert audited.next_audit(2) == (order[1], order[3])
    audited.take_back("import")
    assert audited.next_audit(40) == (order[1], *order[3:])


def test_audit_questions_cost_like_others(audited: Project) -> None:
    audited.set_budget(1)
    first, second = audited.next_audit(2)
    ask(audited, first, audit=True)
    assert audited.budget == Budget(1, 0, 1)
    with pytest.raises(BudgetError):
        ask(audited, second, audit=True)
    audited.tell([first], ["owl"], "ann")
    assert audited.budget == Budget(1, 1, 0)


# What they are worth ---------------------------------------------------------------------------------------------


def test_only_labels_given_to_a_question_are_answers(audited: Project) -> None:
    first, second, third, fourth, fifth = audited.next_audit(5)
    audited.tell([second], ["wren"], "import")
    ask(audited, first, third, fourth, audit=True)
    audited.tell([third, first], ["owl", "owl"], "ann")
    audited.tell([fourth], [SKIP], "ann")
    ask(audited, fifth, audit=True)
    assert audited.audit == Audit(0.3, 9, pending=1, skipped=1, imported=1, answered={first: "owl", third: "owl"})
    audited.tell([second, third], ["owl", "wren"], "ann")  # corrections
    assert audited.audit == Audit(0.3, 9, pending=1, skipped=1, imported=1, answered={first: "owl", third: "wren"})
    audited.merge_classes("wren", "owl")
    audited.withdraw([first, fifth])
    assert audited.audit == Audit(0.3, 9, skipped=1, imported=1, answered={third: "owl"})


def test_an_imported_label_that_is_taken_back_may_be_asked_for_and_answered(audited: Project) -> None:
    (first,) = audited.next_audit()
    audited.tell([first], ["owl"], "import")
    audited.take_back("import", first)
    ask(audited, first, audit=True)
    audited.tell([first], ["wren"], "ann")
    assert (audited.audit.imported, audited.audit.answered) == (0, {first: "wren"})


def test_folding_in_makes_answered_items_ordinary(audited: Project) -> None:
    first, second, third = audited.next_audit(3)
    ask(audited, first, second, audit=True)
    audited.tell([first], ["owl"], "ann")
    audited.tell([third], ["wren"], "import")
    assert audited.fold_in() == (first,)
    assert audited.fold_in() == ()
    snapshot = audited.candidates()
    assert (snapshot.labelled_ids, snapshot.labels, snapshot.pending_ids) == ((first,), ("owl",), ())
    assert audited.audit == Audit(0.3, 11, pending=1, imported=1)


def test_items_that_are_named_are_folded_in_whatever_their_state(audited: Project) -> None:
    first, second, third = audited.next_audit(3)
    ask(audited, first, audit=True)
    assert audited.fold_in([third, first]) == (third, first)
    assert audited.next_audit(2)[0] == second
    assert audited.candidates().pending_ids == (first,)
    assert third in audited.candidates().ids
    audited.tell([first], ["owl"], "ann")
    assert audited.candidates().labelled_ids == (first,)
    ask(audited, third)
    assert audited.audit.answered == {}


def test_what_is_not_reserved_cannot_be_folded_in(audited: Project) -> None:
    (mine,), theirs = audited.next_audit(), audited.candidates().ids[0]
    with pytest.raises(ProjectError, match=f"'{theirs}' is not reserved"):
        audited.fold_in([mine, theirs])
    with pytest.raises(UnknownItemError):
        audited.fold_in([mine, "x"])
    assert audited.next_audit() == (mine,)


# Held out --------------------------------------------------------------------------------------------------------


def test_held_out_items_are_never_asked_trained_on_or_audited(audited: Project) -> None:
    (mine,), (free, labelled) = audited.next_audit(), audited.candidates().ids[:2]
    audited.tell([labelled], ["wren"], "import")
    audited.hold_out([mine, free, labelled])
    assert audited.held_out == {labelled: "wren"}
    assert not {mine, free, labelled} & {*audited.candidates().ids, *audited.candidates().labelled_ids}
    assert audited.audit == Audit(0.3, 13)
    for audit in (True, False):
        with pytest.raises(ConflictError) as conflict:
            ask(audited, mine, free, audit=audit)
        assert conflict.value.taken == (mine, free)
    with pytest.raises(ProjectError, match="not reserved"):
        audited.fold_in([mine])
    audited.tell([mine], ["owl"], "import")
    audited.hold_out([mine])  # twice is fine
    assert audited.labels.items() >= audited.held_out.items()
    assert audited.held_out == {id_: audited.labels[id_] for id_ in IDS if id_ in (mine, labelled)}
    assert audited.status().held_out == {"free": 1, "pending": 0, "labelled": 2, "skipped": 0, "withdrawn": 0}
    audited.withdraw([mine])
    assert set(audited.held_out) == {labelled}


def test_what_was_asked_skipped_or_withdrawn_cannot_be_held_out(project: Project) -> None:
    ask(project, "a", "b")
    project.tell(["b", "c"], ["owl", SKIP], "ann")
    project.withdraw(["d"])
    for id_, reason in (("a", "was asked"), ("b", "was asked"), ("c", "is skipped"), ("d", "is withdrawn")):
        with pytest.raises(ProjectError, match=f"'{id_}' {reason}"):
            project.hold_out(["e", id_])
    with pytest.raises(UnknownItemError):
        project.hold_out(["e", "x"])
    assert project.candidates().ids == ("e", "f")
    assert project.held_out == {}
