"""Two processes ask and tell through the store at the same time."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

from asktell.errors import ConflictError
from asktell.project import Project
from asktell.types import Query

Fork = Callable[[Callable[[], object]], int]


def ask_and_tell(folder: Path, name: str) -> None:
    """Until nothing is free: record the first two free items, answer them."""
    with Project.open(folder) as project:
        while free := project.candidates().ids[:2]:
            try:
                query = project.record(Query(project.next_query, free, (1.0,) * len(free), {}, seed=0, model=name))
            except ConflictError:
                continue
            project.tell(query.ids, [name] * len(query.ids), name)


def test_two_processes_never_ask_the_same(tmp_path: Path, fork: Fork, exit_status: Callable[[int], int]) -> None:
    ids = [str(number) for number in range(121)]
    names = ("ann", "bob")
    Project.create(tmp_path, ids, classes=names).close()
    children = [fork(partial(ask_and_tell, tmp_path, name)) for name in names]
    assert [exit_status(child) for child in children] == [0, 0]
    with Project.open(tmp_path) as project:
        queries = project.queries
        assert [query.number for query in queries] == list(range(len(queries)))
        assert set(Counter(chain.from_iterable(query.ids for query in queries)).values()) == {1}
        assert project.labels == {id_: query.model for query in queries for id_ in query.ids}
        assert len(project.labels) == len(ids)
