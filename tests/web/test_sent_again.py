"""Whatever is sent again has its effect once, also at a server that knows of the first time only what is on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from asktell.project import Project
from asktell.types import Query, Skip

from .browsing import answer, browsing, count, need_browser, settled
from .browsing import sign_in as enter
from .test_browser import serving

Visit = Callable[[Path], TestClient]
SignIn = Callable[..., TestClient]
RECEIPT = "a receipt of ann's"


@dataclass(frozen=True)
class Change:
    """A request that changes something; pages send forms, programs and scripts JSON."""

    path: str
    sent: dict[str, object]

    @property
    def is_form(self) -> bool:
        return not self.path.startswith("/api/")

    def send(self, client: TestClient) -> TestClient:
        body = {"receipt": RECEIPT, **self.sent}
        reply = client.post(self.path, data=body) if self.is_form else client.post(self.path, json=body)
        assert reply.status_code == (303 if self.is_form else 200), reply.text
        return client


CHANGES = {
    "an answer": Change("/api/answers", {"item": "t-01", "label": "wren"}),
    "a skip": Change("/api/answers", {"item": "t-02", "label": None}),
    "an undo": Change("/api/undo", {}),
    "an undo of one item": Change("/api/undo", {"item": "t-04"}),
    "a flag": Change("/api/flags", {"item": "t-01", "flagged": True}),
    "a correction": Change("/items/label", {"id": "t-03", "label": "wren"}),
    "a correction to a skip": Change("/items/label", {"id": "t-03", "label": ""}),
    "a flag on the item's page": Change("/items/flag", {"id": "t-01", "flagged": "true"}),
}


def view(project: Project) -> tuple[object, ...]:
    told = [(one.item, one.annotator, one.label, one.stands) for id_ in project.ids for one in project.annotations(id_)]
    return told, project.labels, project.skipped, project.flagged


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_has_its_effect_once_across_a_restart(
    visit: Visit, sign_in: SignIn, folder: Path, project: Project, change: Change
) -> None:
    project.record(Query(0, ("t-01", "t-02", "t-03", "t-04"), (0.0,) * 4, {"name": "random"}, 0))
    project.tell(["t-03", "t-04"], ["owl", "owl"], "ann")
    before = view(project)
    change.send(sign_in(visit(folder)))
    assert view(project) != before
    project.tell(["t-01", "t-02", "t-03", "t-04"], ["hawk"] * 4, "ann")  # all that a second time would overrule
    project.flag("t-01", "ann", False)
    stands = view(project)
    change.send(change.send(sign_in(visit(folder))))
    assert view(project) == stands


def test_one_receipt_for_two_items_is_refused(ann: TestClient, project: Project) -> None:
    sent = {"receipt": "number-1", "label": "wren"}
    assert ann.post("/api/answers", json={**sent, "item": "t-01"}).status_code == 200
    reply = ann.post("/api/answers", json={**sent, "item": "t-02"})
    assert (reply.status_code, "make up a new one for each answer" in reply.json()["detail"]) == (409, True)
    assert project.labels == {"t-01": "wren"}


# Two windows at one question ---------------------------------------------------------------------------------------


@pytest.fixture
def bob(ann: TestClient, sign_in: SignIn) -> TestClient:
    """Bob, at the same server."""
    return sign_in(TestClient(ann.app, base_url="http://localhost", follow_redirects=False), "bob")


def say(client: TestClient, item: str, label: str | None, receipt: str) -> tuple[object, object]:
    """(recorded, (who, what) stood before)."""
    reply = client.post("/api/answers", json={"receipt": receipt, "item": item, "label": label}).json()
    before = reply["before"]
    return reply["recorded"], before and (before["annotator"], before["label"])


def test_the_second_answer_counts_and_its_reply_tells_of_the_first(
    ann: TestClient, bob: TestClient, project: Project
) -> None:
    item = ann.get("/api/questions").json()["questions"][0]["item"]
    assert item == bob.get("/api/questions").json()["questions"][0]["item"]
    assert say(ann, item, "wren", "receipt-1") == (True, None)
    assert say(bob, item, "owl", "receipt-2") == (True, ("ann", "wren"))
    assert say(bob, item, "owl", "receipt-2") == (False, ("ann", "wren"))
    assert (project.labels, project.budget.spent) == ({item: "owl"}, 1)
    assert ann.get("/api/item", params={"id": item}).json()["label"] == "owl"
    page = ann.get("/items/item", params={"id": item}).text
    assert page.index("<strong>owl</strong> by bob") < page.index("<strong>wren</strong> by ann")
    bob.post("/api/undo", json={"receipt": "receipt-3", "item": item}).raise_for_status()
    assert project.labels == {item: "wren"}


@pytest.mark.parametrize(
    ("label", "expected"), [("wren", (True, None)), (None, (False, ("ann", "wren")))], ids=["agrees", "skips"]
)
def test_who_agrees_is_heard_and_who_skips_takes_nothing_away(
    ann: TestClient, bob: TestClient, project: Project, label: str | None, expected: tuple[object, object]
) -> None:
    say(ann, "t-01", "wren", "receipt-1")
    assert say(bob, "t-01", label, "receipt-2") == expected
    assert (project.labels, project.skipped) == ({"t-01": "wren"}, ())


def test_on_the_items_page_a_skip_takes_the_label_away(ann: TestClient, project: Project) -> None:
    say(ann, "t-01", "wren", "receipt-1")
    ann.post("/items/label", data={"id": "t-01", "label": "", "receipt": "receipt-2"})
    assert (project.labels, project.skipped) == ({}, ("t-01",))


def last_label(project: Project, item: str) -> str | Skip:
    return [told.label for told in project.annotations(item) if told.stands][-1]


@pytest.mark.slow
def test_the_page_says_that_another_window_was_faster(make: Callable[..., Path]) -> None:
    need_browser()
    folder = make("both")
    with serving(folder) as at, browsing(at) as one:
        enter(one, at)
        two = one.context.new_page()
        two.goto(at)
        two.wait_for_selector("#item > *")
        shown = "() => document.getElementById('item').textContent"
        assert one.evaluate(shown) == two.evaluate(shown)
        answer(one, "1")
        count(one, "1 label")
        settled(one)
        answer(two, "2")
        two.wait_for_selector(
            "text=That one was answered meanwhile: owl, by ann. Now it is wren; undo brings the other"
        )
        with Project.open(folder) as project:
            (item,) = project.labels
            assert (project.labels[item], len(project.annotations(item))) == ("wren", 2)
            answer(one, "3")  # what two shows now
            settled(one)
            answer(two, "s")
            two.wait_for_selector("text=That one was answered meanwhile: hawk, by ann. That stays.")
            assert (sorted(project.labels.values()), project.skipped) == (["hawk", "wren"], ())
            assert last_label(project, item) == "wren"
