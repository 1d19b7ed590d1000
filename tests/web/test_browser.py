"""A person at the page: Chromium, a real server, real keys.

Skipped without Playwright or Chromium; with BROWSER=1 in the environment, that fails instead.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from asktell.project import Project
from asktell.types import Training

from .browsing import Page, answer, browsing, count, need_browser, settled, sign_in

CODE = "import sys; from asktell.web import serve; serve(sys.argv[1], port=0, ready=lambda at: print(at, flush=True))"
Make = Callable[..., Path]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def needed() -> None:
    need_browser()


@pytest.fixture
def texts(make: Make) -> Path:
    return make("texts", n=60, contents=[f"Text {k}.\n\n" + "More of it. " * 400 for k in range(60)], audit=0.2)


@pytest.fixture
def images(make: Make, tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    root.mkdir()
    names = [f"a picture #{k}.png" for k in range(45)]
    for k, name in enumerate(names):
        Image.new("L", (28, 28), 5 * k).save(root / name)
    folder = make("images", n=45, contents=names, classes=[str(digit) for digit in range(10)])
    with Project.open(folder) as project:
        project.set("source", {"kind": "images", "path": str(root)})
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def press_and_look(page: Page, key: str) -> tuple[str, str]:
    """What is shown before a key and, without letting go of the page in between, right after it."""
    found = page.evaluate(
        """key => {
            const shown = () => document.getElementById('item').innerHTML;
            const before = shown();
            document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
            return [before, shown()];
        }""",
        key,
    )
    return found[0], found[1]


def test_thirty_texts_by_keyboard_then_undo_and_export(texts: Path) -> None:
    with serving(texts) as at, browsing(at, accept_downloads=True) as page:
        sign_in(page, at)
        for number in range(30):
            answer(page, "123"[number % 3])
        count(page, "30 labels")
        page.keyboard.press("u")
        count(page, "29 labels")
        answer(page, "s")
        answer(page, "f")
        settled(page)
        with Project.open(texts) as project:
            assert (len(project.labels), len(project.skipped), len(project.flagged)) == (29, 1, 1)
            assert set(project.labels.values()) == {"owl", "wren", "hawk"}
            # Of 30 questions three were of the audit; the last was one, was taken back, and then skipped.
            assert (len(project.audit.answered), project.audit.skipped) == (2, 1)
            given = project.labels
        page.keyboard.press("w")
        page.wait_for_selector("#why-facts div")
        page.keyboard.press("Escape")
        page.click("text=Items")
        with page.expect_download() as download:
            page.click("a[href='/export/labels.csv']")
        rows = Path(download.value.path()).read_text().splitlines()
        assert sorted(rows[1:]) == sorted(f'"{id_}","{label}"' for id_, label in given.items())


def test_thirty_images_by_keyboard_with_zoom(images: Path) -> None:
    with serving(images) as at, browsing(at) as page:
        sign_in(page, at)
        page.wait_for_function("() => document.querySelector('#item img').naturalWidth === 28")
        page.keyboard.press("z")
        assert page.evaluate("() => document.querySelector('#item img').style.transform").startswith("translate")
        page.keyboard.press("z")
        assert page.evaluate("() => document.querySelector('#item img').style.transform") == ""
        page.click("#item img")
        assert page.evaluate("() => document.querySelector('#item img').style.transform") != ""
        for number in range(30):
            answer(page, str(number % 10))
        count(page, "30 labels")
        page.keyboard.press("u")
        count(page, "29 labels")
        settled(page)
        with Project.open(images) as project:
            labels = project.labels
        assert len(labels) == 29
        assert {str(digit) for digit in range(10)} == set(labels.values())


def test_the_next_item_is_there_before_the_key_is_let_go(images: Path) -> None:
    with serving(images) as at, browsing(at) as page:
        sign_in(page, at)
        for _ in range(10):
            page.wait_for_function("() => document.querySelectorAll('#item img').length === 1")
            before, after = press_and_look(page, "1")
            assert before != after
            settled(page)


def test_the_curve_moves_while_one_looks(texts: Path) -> None:
    with serving(texts) as at, browsing(at) as page, Project.open(texts) as project:
        sign_in(page, at)
        page.click("text=Dashboard")
        page.wait_for_selector("text=The curve begins with the first training")
        for number, correct in enumerate((20, 35)):
            report = {"held_out": {"n": 50, "correct": correct}, "audit": {"n": 10, "correct": 4 + number}}
            project.record_training(Training(number, "m", 10 * (number + 1), "2026-01-01T00:00:00+00:00", 1.0, report))
            page.wait_for_function(
                "n => JSON.parse(document.getElementById('points').dataset.points).length === n", arg=number + 1
            )
        page.wait_for_selector("#curve canvas")
        assert page.inner_text("#reading").replace("\N{NARROW NO-BREAK SPACE}", " ").startswith(
            "20 labels: audit 50.0 %"
        )  # fmt: skip


def test_answers_wait_in_the_browser_while_the_server_cannot_be_reached(texts: Path) -> None:
    gone = ("Failed to load resource", "ERR_INTERNET_DISCONNECTED", "ERR_FAILED")
    with serving(texts) as at, browsing(at, expect=gone) as page, Project.open(texts) as project:
        sign_in(page, at)
        page.context.set_offline(True)
        page.keyboard.press("1")
        page.keyboard.press("2")
        page.wait_for_selector("#unsent:not([hidden])")
        assert "2 answers are not saved yet" in page.inner_text("#unsent")
        assert project.labels == {}
        page.context.set_offline(False)
        settled(page)
        page.wait_for_selector("#unsent", state="hidden")
        assert sorted(project.labels.values()) == ["owl", "wren"]


def test_answers_that_were_not_sent_outlive_the_page(texts: Path) -> None:
    with serving(texts) as at, browsing(at, expect=("ERR_FAILED",)) as page, Project.open(texts) as project:
        sign_in(page, at)
        page.route("**/api/answers", lambda route: route.abort())
        page.keyboard.press("1")
        page.wait_for_selector("#unsent:not([hidden])")
        other = page.context.new_page()
        page.close()
        other.goto(at)
        settled(other)
        assert list(project.labels.values()) == ["owl"]


def test_an_answer_whose_reply_is_lost_is_recorded_once(texts: Path) -> None:
    with serving(texts) as at, browsing(at, expect=("ERR_FAILED",)) as page, Project.open(texts) as project:
        sign_in(page, at)
        lost = [True]

        def lose(route: Any) -> None:
            route.fetch()
            if lost.pop() if lost else False:
                route.abort()
            else:
                route.continue_()

        page.route("**/api/answers", lose)
        page.keyboard.press("1")
        settled(page)
        (item,) = project.labels
        assert len(project.annotations(item)) == 1


def test_signed_out_elsewhere_nothing_is_lost(texts: Path) -> None:
    with serving(texts) as at, browsing(at, expect=("401",)) as page, Project.open(texts) as project:
        sign_in(page, at)
        page.context.clear_cookies()
        page.keyboard.press("1")
        page.wait_for_selector("#unsent a")
        page.click("#unsent a")
        sign_in(page, at)
        settled(page)
        assert list(project.labels.values()) == ["owl"]


def test_hostile_texts_run_nothing(make: Make) -> None:
    text = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"
    folder = make("hostile", n=3, contents=[text] * 3, classes=["<b>owl</b>", "wren"])
    with serving(folder) as at, browsing(at) as page:
        sign_in(page, at)
        assert page.inner_text("#item") == text
        for path in ("/", "/dashboard", "/items", "/items/item?id=t-01"):
            page.goto(at + path)
            assert page.title().endswith("hostile")
        assert "<b>owl</b>" in page.inner_text("#history select")


def test_an_item_is_corrected_and_found_without_loading_the_page_anew(texts: Path) -> None:
    with serving(texts) as at, browsing(at) as page, Project.open(texts) as project:
        project.tell(["t-01"], ["owl"], "bob")
        sign_in(page, at)
        page.goto(f"{at}/items/item?id=t-01")
        page.evaluate("() => { window.same = true }")
        page.select_option("#new-label", "wren")
        page.click("#history >> text=Save")
        page.wait_for_selector("#history >> text=by ann")
        assert page.evaluate("() => window.same")
        assert project.labels["t-01"] == "wren"
        page.goto(f"{at}/items")
        page.fill("#text", "t-07")
        page.wait_for_function("() => document.querySelectorAll('#entries tr').length === 1")
        page.wait_for_url("**/items?text=t-07*")


def test_all_of_it_works_without_a_mouse_and_says_where_one_is(texts: Path) -> None:
    with serving(texts) as at, browsing(at) as page:
        sign_in(page, at)
        for path in ("/", "/dashboard", "/items", "/items/item?id=t-01"):
            page.goto(at + path)
            seen = set()
            for _ in range(60):
                page.keyboard.press("Tab")
                name, outline = page.evaluate(
                    """() => {
                        const one = document.activeElement;
                        const label = one.getAttribute('aria-label') || one.labels?.[0]?.textContent;
                        const name = label || one.textContent || one.title;
                        return [one === document.body ? '' : name.trim(), getComputedStyle(one).outlineStyle];
                    }"""
                )
                if name:
                    seen.add(name)
                    assert outline != "none", (path, name)
            assert len(seen) >= 8, (path, seen)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_is_wider_than_the_window(texts: Path, width: int) -> None:
    with serving(texts) as at, browsing(at, viewport={"width": width, "height": 700}) as page:
        page.goto(at)
        paths = ["/", "/dashboard", "/items", "/items/item?id=t-01"]
        for path in ["/sign-in", *paths]:
            if path == "/":
                sign_in(page, at)
            page.goto(at + path)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path


def test_colours_follow_the_system_and_the_button(texts: Path) -> None:
    def ground(page: Page) -> str:
        return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))

    with serving(texts) as at, browsing(at, color_scheme="dark") as page:
        sign_in(page, at)
        dark = ground(page)
        page.click("#theme")
        assert ground(page) != dark
        page.reload()
        assert ground(page) != dark
        page.click("#theme")
        assert ground(page) == dark
