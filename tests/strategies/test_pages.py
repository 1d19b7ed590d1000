"""Every strategy has its page, and says where it comes from and what it costs."""

import json
from collections.abc import Callable

import pytest

from asktell.errors import ProtocolError
from asktell.strategies import COSTS, Recipe, recipe, recipes, registry
from asktell.strategies.pages import find, page, plain

Run = Callable[..., tuple[int, str, str]]
NAMES = [one.name for one in recipes()]


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_has_a_page_a_source_and_a_cost(name: str) -> None:
    found = page(name)
    assert found.section.startswith(f"### {name} {{#{name}}}")
    assert found.section.count("\n### ") == found.section.count("\n## ") == 0
    assert found.source or name == "random"
    assert recipe(name).cost in COSTS
    for browser_only in ("<su", "{#", "{ .", "]("):
        assert browser_only not in found.text


def test_costs_say_what_the_evidence_says() -> None:
    for one in recipes():
        if one.wrap is None:
            assert (one.cost == "none") == (not one.strategy.needs)
            assert (one.cost in ("draws", "joint")) <= ("log_probs" in one.strategy.needs)
        else:
            assert one.cost in ("draws", "gradients", "training")


def test_a_page_of_its_own_is_the_text() -> None:
    assert page("typiclust").text.startswith("# TypiClust")
    assert page("bald").text.startswith("### bald")


def test_a_strategy_of_ones_own_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._RECIPES, "mine", Recipe("mine", recipe("bald").strategy))
    assert find("mine") is None
    with pytest.raises(ProtocolError, match="mine is registered"):
        page("mine")


def test_plain_text_has_no_attributes_and_no_links() -> None:
    assert plain("# A {#a}\n\n*x*<sup>2</sup>\n{ .formula }\n\n[b](c.md#d).\n") == "# A\n\n*x*^2\n\nb."


def test_the_command_lists_them_all(command: Run) -> None:
    code, out, _ = command("strategies", "--json")
    told = {one["strategy"]: one for one in json.loads(out)}
    assert code == 0
    assert list(told) == NAMES
    assert told["bald"] == {
        "strategy": "bald", "evidence": ["log_probs"], "cost": "draws", "source": "Houlsby et al. 2011, eq. 2",
    }  # fmt: skip
    code, out, _ = command("strategies")
    assert code == 0
    assert all(name in out for name in (*NAMES, *COSTS))


def test_the_command_prints_a_page(command: Run) -> None:
    code, out, _ = command("strategies", "bald")
    assert (code, out.strip()) == (0, page("bald").text)
    code, _, error = command("strategies", "tipiclust")
    assert code == 1
    assert "did you mean typiclust" in error
    assert command("strategies", "bald", "--json")[0] == 2
