"""Real data from `asktell new` to the export, by a person at the page: BBC News, and 5,000 digits as PNG files.

Server and worker are those of `asktell serve`; no model is downloaded: texts by TF-IDF, images by a small network.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from asktell.errors import DataError
from asktell.experiments.samples import write_sample
from asktell.project import Project

from .test_serving import asktell, served
from .web.browsing import Page, browsing, count, need_browser, settled, sign_in

pytestmark = pytest.mark.slow
TEST = 400
PATIENCE = 240_000
"""Milliseconds for a training, on a machine that does other things too."""
SHOWN = "() => document.querySelector('#item .text')?.textContent ?? document.querySelector('#item img')?.src"
POINTS = "() => JSON.parse(document.getElementById('points').dataset.points)"


@pytest.fixture(autouse=True)
def needed() -> None:
    need_browser()


@dataclass(frozen=True)
class Sample:
    """Data to label: how a project is made of it, and of what class is what the page shows."""

    words: tuple[str, ...]
    truth: Mapping[str, str]
    labels: Mapping[str, str]
    items: int


@pytest.fixture
def news(tmp_path: Path) -> Sample:
    """2,225 articles; their text tells them."""
    write("bbc-news", tmp_path / "news.csv")
    table = rows(tmp_path / "news.csv")
    labels = {row["id"]: row["label"] for row in table if row["label"]} | answers(tmp_path / "news-answers.csv")
    words = ("--table", str(tmp_path / "news.csv"), "--id-column", "id", "--label-column", "label")
    texts = {row["text"]: labels[row["id"]] for row in table}
    return Sample((*words, "--embedder", "tfidf"), texts, labels, 2_225)


@pytest.fixture
def digits(tmp_path: Path) -> Sample:
    """5,000 files and a test set; the address of an image tells which it is."""
    write("mnist", tmp_path / "digits", count=5_000)
    known = {str(path.relative_to(tmp_path / "digits")): path.parent.name for path in tmp_path.glob("digits/*/*.png")}
    labels = known | answers(tmp_path / "digits-answers.csv")
    words = ("--images", str(tmp_path / "digits"), "--folder-labels", "--embedder", "pixels")
    return Sample(words, labels, labels, 5_400)


def write(name: str, path: Path, count: int | None = None) -> None:
    try:
        write_sample(name, path, count=count, test=TEST)
    except DataError as error:
        pytest.skip(str(error))


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def answers(file: Path) -> dict[str, str]:
    return {row["id"]: row["label"] for row in rows(file)}


def label(page: Page, sample: Sample, number: int) -> None:
    """Look at what is shown, and press its key."""
    for _ in range(number):
        page.wait_for_selector("#item .text, #item img")
        shown = page.evaluate(SHOWN)
        truth = sample.truth[shown.rpartition("?id=")[2]]
        page.keyboard.press(page.get_attribute(f".choice[data-label='{truth}']", "data-key"))


def seen_to_move(page: Page, since: int) -> int:
    """Waits at the dashboard until the curve has more points than that and nothing is due; gives how many."""
    page.click("text=Dashboard")
    page.wait_for_selector("#points", state="attached")  # the board is a page of its own
    page.wait_for_function(f"since => ({POINTS})().length > since", arg=since, timeout=PATIENCE)
    page.wait_for_selector("#worker >> text=Up to date", timeout=PATIENCE)
    page.wait_for_selector("#curve canvas")
    assert page.inner_text("#reading").split()[1] == "labels:"
    return len(page.evaluate(POINTS))


def downloaded(page: Page, name: str) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click(f"a[href='/export/{name}.csv']")
    return rows(Path(download.value.path()))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["news", "digits"])
def test_a_person_labels_sees_the_curve_move_and_takes_it_home(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sample: Sample = request.getfixturevalue(kind)
    folder = tmp_path / "project"
    made = json.loads(asktell("new", str(folder), *sample.words, "--labels-are", "test", "--json"))
    assert (made["items"], made["left_out"]) == (sample.items, 0)
    asktell("settings", str(folder), "draws", "5")  # a quarter of the time that predicting takes
    with served(folder) as (_, at), browsing(at, accept_downloads=True) as page, Project.open(folder) as project:
        sign_in(page, at, made["password"])
        assert page.inner_text("#notices") == ""  # that the worker still starts is nobody's trouble
        label(page, sample, 15)
        count(page, "15 labels")
        settled(page)
        points = seen_to_move(page, 0)
        page.click("text=Label")
        label(page, sample, 10)
        count(page, "25 labels")
        settled(page)
        page.keyboard.press("u")
        count(page, "24 labels")
        label(page, sample, 6)
        count(page, "30 labels")
        settled(page)
        assert seen_to_move(page, points) == len(project.trainings)
        for training in project.trainings:
            assert training.report["held_out"]["n"] == TEST  # type: ignore[index]
        page.click("text=Items")
        check_downloads(page, project, sample)
        check_export(project, tmp_path / "all.csv")


def check_downloads(page: Page, project: Project, sample: Sample) -> None:
    """What the page hands out is what was answered, and true."""
    assert {id_: sample.labels[id_] for id_ in project.labels} == project.labels
    assert len(project.labels) == TEST + 30
    assert len(project.audit.answered) == 3
    assert {row["id"]: row["label"] for row in downloaded(page, "labels")} == project.labels
    told = [row for row in downloaded(page, "annotations") if row["annotator"] == "ann"]
    assert sorted(row["stands"] for row in told) == ["false"] + 30 * ["true"]


def check_export(project: Project, path: Path) -> None:
    """The command's table has what the model says, beside the labels: as good as the dashboard said."""
    asktell("export", str(project.folder), "--out", str(path))
    table = rows(path)
    assert {row["id"]: row["label"] for row in table if row["label"]} == project.labels
    shares = [[float(row[f"p:{name}"]) for name in project.classes] for row in table]
    assert all(abs(sum(row) - 1) < 1e-5 for row in shares)
    right = sum(row["predicted"] == row["label"] for row in table if row["part"] == "held-out")
    assert right == project.trainings[-1].report["held_out"]["correct"]  # type: ignore[index]
    assert right > 0.4 * TEST  # chance gives a fifth at most
