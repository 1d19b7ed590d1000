"""Pictures of every page of two real projects, light, dark and on a phone, into docs/figures/web.

    python scripts/screenshots.py [FOLDER]

Makes a project of BBC News and one of 5,000 MNIST files, serves each with its worker, answers 80 questions over HTTP
with the true labels, skips and flags a few, and looks at the pages with Chromium. Needs playwright; takes some minutes.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from annotator import ASKTELL, served, settled
from annotator import Page as Api
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ANSWERS = 80
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "phone": {
        "color_scheme": "light",
        "viewport": {"width": 390, "height": 844},
        "is_mobile": True,
        "has_touch": True,
    },
}
STRIPS = {
    "phone-labelling": ("sign-in", "label-text", "label-image", "why", "help"),
    "phone-pages": ("dashboard", "dashboard-image", "items", "item", "error"),
}
"""Pictures of a phone that share a file."""
LARGEST = 150_000
"""Bytes of a picture."""
GAP = 24
Shot = Callable[[str], None]


@dataclass(frozen=True)
class Project:
    """A project that somebody worked on, served."""

    address: str
    password: str
    item: str


def main(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(QUIET))
        taken: dict[tuple[str, str], Image.Image] = {}
        with worked_on(Path(place), "news", "bbc-news", "news.csv", ("--table", *columns("id", "label"))) as news:
            for look in LOOKS:
                show_texts(browser, news, look, taken)
        words = ("--images", "--folder-labels", "--embedder", "pixels")
        with worked_on(Path(place), "digits", "mnist", "pictures", words, ("--count", "5000")) as digits:
            for look in LOOKS:
                show_images(browser, digits, look, taken)
    save_all(taken, folder)


def columns(id_: str, label: str) -> tuple[str, ...]:
    return "--id-column", id_, "--label-column", label


# The projects --------------------------------------------------------------------------------------------------------


@contextmanager
def worked_on(
    place: Path, name: str, sample: str, data: str, words: tuple[str, ...], size: tuple[str, ...] = ()
) -> Iterator[Project]:
    """A project of a sample in which 80 questions were answered."""
    run("sample", sample, str(place / data), *size)
    kind, *rest = words
    made = json.loads(run("new", str(place / name), kind, str(place / data), *rest, "--labels-are", "test", "--json"))
    with (place / f"{Path(data).stem}-answers.csv").open(newline="", encoding="utf-8") as file:
        truth = dict(csv.reader(file))
    with served(place / name) as api:
        yield Project(api.address, made["password"], answer(api, truth))


def run(*words: str) -> str:
    return subprocess.run([*ASKTELL, *words], check=True, capture_output=True, text=True).stdout


def answer(api: Api, truth: Mapping[str, str]) -> str:
    """Answer as fast as a person who thinks: every few answers the worker is waited for. Gives a flagged item."""
    flagged = ""
    for number in range(ANSWERS):
        batch = settled(api) if number % 4 == 0 else api.get("/api/questions?ahead=1")
        item = batch["questions"][0]["item"]
        label = None if number in (22, 47) else truth[item]
        if number in (22, 30, 61):
            flagged = item
            api.post("/api/flags", {"item": item, "flagged": True, "annotator": "ann"})
        api.post("/api/answers", {"receipt": uuid4().hex, "item": item, "label": label, "annotator": "ann"})
    settled(api)
    return flagged


# The pictures --------------------------------------------------------------------------------------------------------


def show_texts(browser: Browser, project: Project, look: str, taken: dict[tuple[str, str], Image.Image]) -> None:
    """Every page of the project of texts."""
    with looking(browser, project, look, taken) as (page, shot):
        shot("sign-in")
        sign_in(page, project.password)
        page.wait_for_selector("#item .text")
        shot("label-text")
        page.keyboard.press("w")
        page.wait_for_selector("#why-facts div")
        shot("why")
        page.click("#why .close")
        page.wait_for_selector("#why", state="hidden")
        page.click("[data-do=help]")
        page.wait_for_selector("#help")
        shot("help")
        page.goto(f"{project.address}/dashboard")
        page.wait_for_selector("#curve canvas")
        shot("dashboard")
        page.goto(f"{project.address}/items?state=labelled&after=400")  # those before are the test set
        shot("items")
        page.goto(f"{project.address}/items/item?id={quote(project.item, safe='')}")
        shot("item")
        page.goto(f"{project.address}/items/item?id=nobody")
        shot("error")


def show_images(browser: Browser, project: Project, look: str, taken: dict[tuple[str, str], Image.Image]) -> None:
    """Where images look different."""
    with looking(browser, project, look, taken) as (page, shot):
        sign_in(page, project.password)
        page.wait_for_function("() => document.querySelector('#item img')?.naturalWidth === 28")
        shot("label-image")
        page.goto(f"{project.address}/dashboard")
        page.wait_for_selector("#curve canvas")
        shot("dashboard-image")


@contextmanager
def looking(
    browser: Browser, project: Project, look: str, taken: dict[tuple[str, str], Image.Image]
) -> Iterator[tuple[Page, Shot]]:
    """A page at the door, and what takes a picture of it. A dashboard is shown whole where there is room."""
    context = browser.new_context(locale="en-GB", timezone_id="UTC", **LOOKS[look])
    page = context.new_page()
    page.goto(project.address)

    def shot(name: str) -> None:
        whole = name.startswith("dashboard") and look != "phone"
        if whole:  # images below are fetched when somebody gets there
            page.mouse.wheel(0, 10_000)
            page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth)")
            page.mouse.wheel(0, -10_000)
        page.wait_for_timeout(400)  # what fades has faded
        taken[name, look] = Image.open(io.BytesIO(page.screenshot(full_page=whole)))

    yield page, shot
    context.close()


def sign_in(page: Page, password: str) -> None:
    page.fill("#name", "ann")
    page.fill("#password", password)
    page.click("main button")
    page.wait_for_selector("#item > *")


def strip(pictures: list[Image.Image]) -> Image.Image:
    """Side by side, with a frame."""
    width, height = pictures[0].size
    whole = Image.new("RGB", (len(pictures) * (width + GAP) + GAP, height + 2 * GAP), "#8a9490")
    for place, picture in enumerate(pictures):
        whole.paste(picture, (GAP + place * (width + GAP), GAP))
    return whole


def save_all(taken: Mapping[tuple[str, str], Image.Image], folder: Path) -> None:
    """A file for each, but those of a phone side by side."""
    for (name, look), picture in taken.items():
        if look != "phone" and (name, look) != ("dashboard-image", "light"):  # the dark one shows the same
            save(picture, folder / f"{name}-{look}.webp")
    for name, members in STRIPS.items():
        save(strip([taken[member, "phone"] for member in members]), folder / f"{name}.webp")


def save(picture: Image.Image, path: Path) -> None:
    """As WebP, as good as fits."""
    for quality in (82, 70, 55, 40):
        picture.convert("RGB").save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size <= LARGEST:
            break
    print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main(Path(*sys.argv[1:]) if sys.argv[1:] else Path(__file__).parents[1] / "docs" / "figures" / "web")
