"""Why an item was asked, in words that a person who labels understands."""

import pytest

from asktell.strategies import BALD, Entropy, Prefilter, Recipe, Strategy, recipes, strategy_alone, to_json
from asktell.types import Question
from asktell.web.why import sentence

ON_PROJECTS = [recipe for recipe in recipes() if recipe.wrap is None]


def asked_by(strategy: Strategy) -> Question:
    return Question("item", 0, 0, 0.5, None, to_json(strategy), seed=0, model=None, created="2026-01-01T00:00:00Z")


@pytest.mark.parametrize("recipe", ON_PROJECTS, ids=lambda recipe: recipe.name)
def test_every_strategy_of_a_labelling_project_has_a_sentence_of_its_own(recipe: Recipe) -> None:
    told = sentence(asked_by(strategy_alone(recipe.name)))
    assert "strategy" not in told
    others = [other for other in ON_PROJECTS if other != recipe]
    assert told not in [sentence(asked_by(other.strategy)) for other in others]


def test_one_that_was_put_together_is_described() -> None:
    chosen = Prefilter(Entropy(), BALD())
    assert "prefilter" in sentence(asked_by(chosen))
