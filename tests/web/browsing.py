"""Chromium for the tests: what every browser test does, and what must hold for every page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from .conftest import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
MISSING = "" if CHROMIUM and find_spec("playwright") else "a browser test needs Chromium and pip install playwright"
Page = Any


def need_browser() -> None:
    """Skip without Playwright or Chromium; with BROWSER=1 in the environment, fail instead."""
    if MISSING and os.environ.get("BROWSER") == "1":
        pytest.fail(MISSING)
    if MISSING:
        pytest.skip(MISSING)


@contextmanager
def browsing(at: str, *, expect: tuple[str, ...] = (), **options: object) -> Iterator[Page]:
    """A page of a new browser; in the end, no error was on its console and no request went elsewhere."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        said: list[str] = []
        asked: list[str] = []
        context.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        context.on("weberror", lambda error: said.append(f"error: {error.error}"))
        context.on("request", lambda request: asked.append(request.url))
        yield context.new_page()
        browser.close()
    unexpected = [line for line in said if not any(part in line for part in expect)]
    assert not unexpected, unexpected
    elsewhere = [url for url in asked if not url.startswith((at + "/", "data:", "blob:"))]
    assert not elsewhere, elsewhere


def sign_in(page: Page, at: str, password: str = PASSWORD) -> None:
    page.goto(at)
    page.fill("#name", "ann")
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    page.wait_for_selector("#item > *")


def count(page: Page, expected: str) -> None:
    page.wait_for_function("expected => document.getElementById('count').textContent === expected", arg=expected)


def answer(page: Page, key: str) -> None:
    """As soon as there is a question."""
    page.wait_for_selector(f"[data-key='{key}']:enabled")
    page.keyboard.press(key)


def settled(page: Page) -> None:
    """Nothing is on its way any more."""
    page.wait_for_function("() => Object.keys(localStorage).every(key => !key.includes(':unsent:'))")
