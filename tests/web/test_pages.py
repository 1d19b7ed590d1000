"""The pages, as a browser without scripts gets them."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from asktell.project import Project
from asktell.types import SKIP, Query, Training

Visit = Callable[..., TestClient]
SignIn = Callable[..., TestClient]
Make = Callable[..., Path]

BALD: dict[str, object] = {"name": "bald", "parameters": {}, "inner": None}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); '",
    "{{ 7 * 7 }} {% raw %}",
    "</textarea></template><svg onload=alert(1)>",
    '<p hx-get="/evil" hx-trigger="load">',
    "javascript:alert(1)",
    "&lt;b&gt; &amp;",
]


def test_the_first_questions_come_with_the_page(ann: TestClient, project: Project) -> None:
    page = ann.get("/").text
    for question in project.questions():
        assert question.item in page
    assert all(f'data-label="{name}"' in page for name in ("owl", "wren", "hawk"))
    assert all(f'data-key="{key}"' in page for key in "123usfzw?")


def test_many_classes_can_be_found_by_name(make: Make, visit: Visit, sign_in: SignIn) -> None:
    few, many = (sign_in(visit(make(f"of {n}", classes=[f"class {k}" for k in range(n)]))) for n in (12, 40))
    assert 'id="find"' not in few.get("/").text
    page = many.get("/").text
    assert 'id="find"' in page
    assert page.count('class="choice"') == 40
    assert page.count('class="choice" data-label') == 40
    assert len(re.findall(r'class="choice" data-label="class \d+" data-key', page)) == 30


def test_the_dashboard_before_anything_happened(ann: TestClient) -> None:
    page = ann.get("/dashboard").text
    for sentence in ("The curve begins with the first training", "Advice comes with the first trainings",
                     "keeps no items aside", "No model is being trained"):  # fmt: skip
        assert sentence in page


def test_the_dashboard_of_a_running_project(make: Make, visit: Visit, sign_in: SignIn) -> None:
    folder = make(n=60, audit=0.2, budget=50)
    with Project.open(folder) as project:
        ids = project.candidates().ids[:6]
        project.record(Query(0, ids, (0.0,) * 6, BALD, 1))
        project.tell(ids[:4], ["owl", "owl", "wren", SKIP], "ann")
        (reserved,) = project.next_audit()
        project.record(Query(1, (reserved,), (0.0,), {"name": "audit", "parameters": {}, "inner": None}, 1))
        project.tell([reserved], ["hawk"], "ann")
        project.flag(ids[0], "ann")
        sign = {"name": "kappa", "value": 0.5, "threshold": 0.99, "met": False, "sentence": "It changes its mind."}
        report = {
            "held_out": {"n": 50, "correct": 40},
            "audit": {"n": 1, "correct": 1},
            "advice": {"stop": False, "sentence": "Go on for now.", "criteria": [sign]},
        }
        project.record_training(Training(0, "m", 3, "2026-01-01T00:00:00+00:00", 1.5, report))
        project.record_training(Training(1, None, 3, "2026-01-01T00:01:00+00:00", 0.1, {}, "It did not fit."))
    unsure = [{"id": ids[0], "entropy": 1.0, "bald": 0.1, "probabilities": [0.2, 0.7, 0.1]}]
    gone = [{"id": "gone", "entropy": 1.0, "bald": 0.1, "probabilities": [0.2, 0.7, 0.1]}, 3, {"id": None}]
    summary = {"model": "m", "classes": ["owl", "wren", "hawk"], "most": unsure, "least": gone}
    (folder / "predictions-summary.json").write_text(json.dumps(summary))
    page = sign_in(visit(folder)).get("/dashboard").text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "46 left of 50" in page
    assert "100.0 %" in page and "80.0 %" in page  # noqa: PT018
    assert "between 20.7 % and 100.0 %" in page
    assert "Go on for now." in page and "It changes its mind." in page  # noqa: PT018
    assert "It did not fit." in page
    assert "<b>wren</b> 70 %" in page
    assert "20 % of the items are kept aside" in page
    curve = re.search(r'data-points="([^"]*)"', page)
    assert curve is not None
    assert json.loads(curve[1].replace("&#34;", '"')) == [
        {"n": 3, "held_out": [0.8, pytest.approx(0.6696, abs=1e-4), pytest.approx(0.8876, abs=1e-4)],
         "audit": [1.0, pytest.approx(0.2065, abs=1e-4), 1.0]}
    ]  # fmt: skip


def test_the_curve_has_one_point_for_each_number_of_labels_the_newest(ann: TestClient, project: Project) -> None:
    for number, (labels, correct) in enumerate([(10, 5), (20, 6), (20, 8), (15, 7)]):
        report = {"held_out": {"n": 10, "correct": correct}}
        project.record_training(Training(number, "m", labels, "2026-01-01T00:00:00+00:00", 1.0, report))
    found = re.search(r'data-points="([^"]*)"', ann.get("/dashboard").text)
    assert found is not None
    points = json.loads(found[1].replace("&#34;", '"'))
    assert [(point["n"], point["held_out"][0]) for point in points] == [(10, 0.5), (15, 0.7), (20, 0.8)]


@pytest.mark.parametrize(
    "report", [{"held_out": 3}, {"audit": {"n": 0, "correct": 0}}, {"audit": {"n": 3, "correct": 4}}, {"advice": 7},
               {"advice": [{}]}, {"advice": {"criteria": [{"name": "x"}]}}]
)  # fmt: skip
def test_reports_that_make_no_sense_break_no_page(ann: TestClient, project: Project, report: dict[str, object]) -> None:
    project.record_training(Training(0, "m", 3, "2026-01-01T00:00:00+00:00", 1.5, report))
    assert ann.get("/dashboard").status_code == 200
    assert ann.get("/api/status").status_code == 200


@pytest.mark.parametrize(
    "written", ["{", "[]", '{"most": 3}', '{"most": [{"id": "t-01", "probabilities": ["x", 1, 2]}]}']
)
def test_a_summary_that_makes_no_sense_breaks_no_page(ann: TestClient, folder: Path, written: str) -> None:
    (folder / "predictions-summary.json").write_text(written)
    assert ann.get("/dashboard").status_code == 200


# Items -----------------------------------------------------------------------------------------------------------


def test_items_are_listed_page_by_page(make: Make, visit: Visit, sign_in: SignIn) -> None:
    ann = sign_in(visit(make(n=90)))
    first = ann.get("/items?limit=40").text
    assert [f">t-{k:02d}<" in first for k in (1, 40, 41)] == [True, True, False]
    more = re.search(r'href="(/items\?[^"]*after=40[^"]*)"', first)
    assert more is not None
    rows = ann.get(more[1].replace("&amp;", "&"), headers={"hx-request": "true"}).text
    assert "<html" not in rows
    assert [f">t-{k:02d}<" in rows for k in (40, 41, 80, 81)] == [False, True, True, False]


def test_the_filter_is_kept_while_paging(ann: TestClient) -> None:
    page = ann.get("/items?text=t-&limit=5").text
    assert 'href="/items?text=t-&amp;after=5"' in page


def test_an_item_is_corrected_and_its_history_is_shown(ann: TestClient, project: Project) -> None:
    project.tell(["t-03"], ["owl"], "bob")
    sent = {"id": "t-03", "label": "wren", "receipt": "receipt-1"}
    reply = ann.post("/items/label", data=sent)
    assert (reply.status_code, reply.headers["location"]) == (303, "/items/item?id=t-03")
    part = ann.post("/items/label", data=sent, headers={"hx-request": "true"})  # sent again: nothing new
    assert [(told.annotator, told.label) for told in project.annotations("t-03")] == [("bob", "owl"), ("ann", "wren")]
    assert part.text.lstrip().startswith('<section id="history"')
    assert part.text.index("<strong>wren</strong> by ann") < part.text.index("<strong>owl</strong> by bob")


def test_an_item_is_skipped_and_flagged_from_its_page(ann: TestClient, project: Project) -> None:
    ann.post("/items/label", data={"id": "t-03", "label": "", "receipt": "receipt-1"})
    ann.post("/items/flag", data={"id": "t-03", "flagged": "true"})
    assert (project.skipped, project.flagged) == (("t-03",), ("t-03",))
    page = ann.get("/items/item?id=t-03").text
    assert "skipped by ann" in page.replace("</span>", "").replace("<span>", "")
    assert "Flagged" in page


def test_an_item_tells_why_it_was_asked(ann: TestClient, project: Project) -> None:
    item = project.questions()[0].item
    assert "drawn at random" in ann.get("/items/item", params={"id": item}).text
    nobodys = project.candidates().ids[0]
    assert "Nobody has asked for it." in ann.get("/items/item", params={"id": nobodys}).text


def test_exports_are_downloads(ann: TestClient) -> None:
    for what in ("labels", "annotations"):
        for kind, mime in (("csv", "text/csv"), ("jsonl", "application/jsonl")):
            reply = ann.get(f"/export/{what}.{kind}")
            assert reply.headers["content-disposition"] == f'attachment; filename="{what}.{kind}"'
            assert reply.headers["content-type"].startswith(mime)


def test_a_disk_that_refuses_is_said_and_the_answer_is_not_taken(
    visit: Visit, sign_in: SignIn, folder: Path, project: Project
) -> None:
    def refuse(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    item = sign_in(visit(folder)).get("/api/questions").json()["questions"][0]["item"]
    event.listen(Engine, "connect", refuse)
    try:
        ann = sign_in(visit(folder))
        reply = ann.post("/api/answers", json={"receipt": "receipt-1", "item": item, "label": "owl"})
    finally:
        event.remove(Engine, "connect", refuse)
    assert reply.status_code == 503
    assert "make the folder and the file writable" in reply.json()["detail"]
    assert project.labels == {}


# Hostile texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_ids_classes_and_names_are_escaped_everywhere(
    tmp_path: Path, visit: Visit, sign_in: SignIn, text: str, make: Make
) -> None:
    settings = make("settings")
    with Project.open(settings) as known:
        password = known.settings["password"]
    folder = tmp_path / "hostile"
    with Project.create(folder, [text, "b"], classes=[text, "owl"], contents=[text, "b"]) as project:
        project.set("password", password)
        project.tell([text], [text], text)
        project.flag(text, text)
        project.record_training(Training(0, None, 1, "2026-01-01T00:00:00+00:00", 0.1, {}, text))
        project.record(
            Query(0, ("b",), (0.0,), {"name": text, "parameters": {text: text}, "inner": None}, 1, model=text)
        )
    told = {"pid": 1, "state": "failed", "message": text, "done": 0, "of": 0, "since": "", "beat": ""}
    (folder / "worker.json").write_text(json.dumps(told))
    line = {"id": text, "entropy": 1.0, "bald": 0.1, "probabilities": [0.9, 0.1]}
    summary = {"model": text, "classes": [text, "owl"], "most": [line], "least": [line]}
    (folder / "predictions-summary.json").write_text(json.dumps(summary))
    ann = sign_in(visit(folder), text[:60])
    quoted = quote(text, safe="")
    pages = ["/", "/dashboard", "/dashboard/live", "/items", f"/items?text={quoted}", f"/items?label={quoted}"]
    pages += [f"/items/item?id={quoted}", "/items/item?id=b", f"/items/item?id={quoted}x", f"/nowhere/{quoted}"]
    for path in pages:
        page = ann.get(path).text
        ours = re.sub(r'<script src="/static/[a-z./]+[?]v=[0-9a-f]+"( type="module"| defer)?></script>', "", page)
        for piece in ("<script", "onerror=alert(1)>", "onload=alert(1)>", "<p hx-get", 'href="javascript'):
            assert piece not in ours, path
        assert "49 " not in page


def test_signing_in_shows_nothing_unescaped(guest: TestClient) -> None:
    for text in HOSTILE:
        page = guest.get("/sign-in", params={"next": "/" + text}).text
        assert "<script>" not in page
        assert "<img src=x" not in page


# Images ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path, make: Make) -> Path:
    """A project of images, some of which are not what they seem."""
    root = tmp_path / "pictures"
    (root / "wrens & owls").mkdir(parents=True)
    Image.new("RGB", (8, 6), "teal").save(root / "wrens & owls" / "a #1%.png")
    Image.new("RGB", (8, 6), "teal").save(root / "b.tif")
    (root / "page.png").write_text("<html><script>alert(1)</script></html>")
    (root / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    (tmp_path / "secret.txt").write_text("secret")
    Image.new("RGB", (8, 6), "red").save(tmp_path / "outside.png")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    contents = ["wrens & owls/a #1%.png", "b.tif", "page.png", "drawing.png", "link.png", "../outside.png",
                str(tmp_path / "outside.png"), "../secret.txt", "gone.png", "wrens & owls"]  # fmt: skip
    folder = make("pictured", n=len(contents), contents=contents)
    with Project.open(folder) as project:
        project.set("source", {"kind": "images", "path": str(root)})
    return folder


def test_images_are_served_by_id_with_their_own_type_and_can_run_nothing(
    pictures: Path, visit: Visit, sign_in: SignIn
) -> None:
    ann = sign_in(visit(pictures))
    batch = ann.get("/api/questions").json()["questions"]
    assert all(question["image"] == f"/items/image?id={question['item']}" for question in batch)
    reply = ann.get("/items/image?id=t-01")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert "sandbox" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "private, max-age=3600"


def test_what_browsers_do_not_show_is_sent_as_png(pictures: Path, visit: Visit, sign_in: SignIn) -> None:
    reply = sign_in(visit(pictures)).get("/items/image?id=t-02")
    assert (reply.headers["content-type"], reply.content[:4]) == ("image/png", b"\x89PNG")


@pytest.mark.parametrize("number", range(3, 11))
def test_what_is_no_image_or_lies_outside_is_not_served(
    pictures: Path, visit: Visit, sign_in: SignIn, number: int
) -> None:
    reply = sign_in(visit(pictures)).get(f"/items/image?id=t-{number:02d}")
    assert reply.status_code == 404
    assert b"secret" not in reply.content.replace(b"secret.txt", b"")


def test_a_path_is_no_id(pictures: Path, visit: Visit, sign_in: SignIn) -> None:
    ann = sign_in(visit(pictures))
    for path in ("wrens & owls/a #1%.png", "../secret.txt", "/etc/passwd", "..%2fsecret.txt"):
        assert ann.get("/items/image", params={"id": path}).status_code == 404


def test_texts_have_no_image(ann: TestClient) -> None:
    assert ann.get("/items/image?id=t-01").status_code == 404


# Texts and rows --------------------------------------------------------------------------------------------------


def test_an_endless_text_is_cut_and_the_rest_is_on_its_own_page(make: Make, visit: Visit, sign_in: SignIn) -> None:
    ann = sign_in(visit(make(n=1, contents=["word " * 40_000])))
    (question,) = ann.get("/api/questions").json()["questions"]
    assert (len(question["text"]), question["cut"]) == (60_000, True)
    assert len(ann.get("/api/item?id=t-01").json()["text"]) == 200_000


def test_whitespace_and_scripts_of_all_directions_stay_as_they_are(make: Make, visit: Visit, sign_in: SignIn) -> None:
    text = "  two  spaces\n\ttab\r\n\u202eשלום 你好 🦉\x07"
    ann = sign_in(visit(make(n=1, contents=[text])))
    assert ann.get("/api/questions").json()["questions"][0]["text"] == text


def test_projects_without_contents_show_the_names(make: Make, visit: Visit, sign_in: SignIn) -> None:
    ann = sign_in(visit(make(n=1, contents=None)))
    assert ann.get("/api/questions").json()["questions"][0]["kind"] == "name"
    assert ann.get("/items/item?id=t-01").status_code == 200
    assert ann.get("/items").status_code == 200


def test_labels_by_class_leave_the_test_set_out_and_follow_a_merge(ann: TestClient, project: Project) -> None:
    project.tell(["t-01", "t-02", "t-03", "t-04"], ["owl", "wren", "wren", "owl"], "import")
    project.hold_out(["t-04"])
    project.merge_classes("wren", "owl")
    page = ann.get("/dashboard").text
    bars = re.findall(r'<span class="name">(\w+)</span>.*?<span class="number">(\d+)</span>', page, re.DOTALL)
    assert bars == [("owl", "3"), ("hawk", "0")]
    assert "3&nbsp;labelled" in page
    assert "1&nbsp;held&nbsp;out" in page


def test_signs_that_say_the_same_are_said_once(ann: TestClient, project: Project) -> None:
    sign = {"value": None, "threshold": 1.0, "met": False, "sentence": "Too early to tell."}
    signs = [{**sign, "name": "kappa"}, {**sign, "name": "change"}]
    report = {"advice": {"stop": False, "sentence": "Go on.", "criteria": signs}}
    project.record_training(Training(0, "m", 3, "2026-01-01T00:00:00+00:00", 1.5, report))
    page = ann.get("/dashboard").text
    assert page.count("Too early to tell.") == 1
    assert "kappa, change" in page
