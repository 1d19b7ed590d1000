"""What the web half is made of: light, and with nothing foreign in it."""

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from asktell.web.rendering import HERE, STATIC

HEAVY = ("torch", "numpy", "scipy", "sklearn", "pyarrow", "pandas", "matplotlib", "onnxruntime")
SERVED = """
import sys
from starlette.testclient import TestClient
from asktell.web import create_app
client = TestClient(create_app(sys.argv[1], secret="x" * 32), base_url="http://localhost")
with client:
    client.headers["Authorization"] = "Bearer a token of the tests"
    item = client.get("/api/questions").json()["questions"][0]["item"]
    client.post("/api/answers", json={"receipt": "receipt-1", "item": item, "label": "owl"}).raise_for_status()
    for path in ("/api/status", "/api/items", "/api/export", "/sign-in"):
        client.get(path).raise_for_status()
print([name for name in %r if name in sys.modules])
"""


def test_serving_imports_neither_torch_nor_numpy(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVED % (HEAVY,), str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_vendored_files_are_those_that_the_list_says() -> None:
    listed = dict(re.findall(r"^\| (vendor/\S+) \|.*\| ([0-9a-f]{64}) \|$", (STATIC / "VENDORED.md").read_text(), re.M))
    there = {f"vendor/{file.name}": sha256(file.read_bytes()).hexdigest() for file in (STATIC / "vendor").iterdir()}
    assert listed == there


@pytest.mark.parametrize("file", sorted((HERE / "templates").iterdir()), ids=lambda file: file.name)
def test_templates_hold_no_script_no_style_no_handler_and_no_foreign_address(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
    assert not re.search(r"https?://|//[a-z]+\.", text)
    assert "|safe" not in text.replace(" ", "")


@pytest.mark.parametrize("file", sorted(STATIC.glob("*.*s")), ids=lambda file: file.name)
def test_our_own_scripts_and_styles_fetch_nothing_foreign_and_write_no_markup(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"https?://|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)


def test_every_line_of_the_threat_model_names_a_test_that_exists() -> None:
    text = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    rows = [row for row in text.splitlines() if row.startswith("|") and not re.match(r"\|(---| threat)", row)]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row.split("|")[3])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (Path(__file__).parents[2] / file).read_text(), row


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""

    def luminance(colour: str) -> float:
        levels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "ground"), ("ink", "surface"), ("ink", "raised"), ("ink", "tint"), ("muted", "ground"),
        ("muted", "surface"), ("muted", "raised"), ("muted", "tint"), ("accent", "ground"), ("accent", "surface"),
        ("accent", "tint"), ("on-accent", "accent"), ("warm-ink", "warm"), ("bad-ink", "bad"), ("bad-ink", "surface"),
    ],
)  # fmt: skip
def test_text_can_be_read_light_and_dark(text: str, ground: str) -> None:
    pairs = dict(re.findall(r"--([a-z-]+): light-dark\((#\w{6}, #\w{6})\)", (STATIC / "style.css").read_text()))
    for one, other in zip(pairs[text].split(", "), pairs[ground].split(", "), strict=True):
        assert _contrast(one, other) >= 4.5


@pytest.mark.parametrize("line", ["edge", "audit", "held-out"])
def test_edges_of_fields_and_lines_of_the_curve_can_be_seen(line: str) -> None:
    pairs = dict(re.findall(r"--([a-z-]+): light-dark\((#\w{6}, #\w{6})\)", (STATIC / "style.css").read_text()))
    for one, other in zip(pairs[line].split(", "), pairs["surface"].split(", "), strict=True):
        assert _contrast(one, other) >= 3.0


def test_a_contrast_that_is_known() -> None:
    assert _contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
