"""Recipes by name, strategies as JSON, and what the sampling wrappers do."""

import pytest
import torch

from asktell.errors import ProtocolError, SelectionError
from asktell.evidence import Evidence
from asktell.randomness import derive
from asktell.scores import bald, entropy
from asktell.selection import power_sample, softrank_sample
from asktell.strategies import (
    BALD,
    Entropy,
    Margin,
    Power,
    Random,
    Recipe,
    Softmax,
    Softrank,
    Strategy,
    from_json,
    recipe,
    recipes,
    register,
    to_json,
)


def evidence(n: int = 50) -> Evidence:
    return Evidence(n, log_probs=torch.randn(n, 8, 3, generator=derive(0), dtype=torch.float64).log_softmax(-1))


def test_the_recipes_are_those_that_are_documented() -> None:
    assert {r.name for r in recipes()} == {
        "random", "least-confident", "margin", "entropy", "mc-variation-ratio", "mean-std", "vote-entropy", "max-kl",
        "bald", "batchbald", "power-bald", "epig",
        "core-set", "core-set-robust",
        "badge", "kmeans-margin",
        "typiclust", "probcover", "facility-location", "suggestive-annotation", "cal", "bait", "egl", "egl-full",
        "loss-prediction", "vaal", "discriminative", "label-dispersion", "ceal", "svp",
    }  # fmt: skip


@pytest.mark.parametrize("strategy", [Power(Entropy(point=True), beta=0.5), Softmax(Margin()), Random()], ids=repr)
def test_parameters_and_inner_strategies_come_back(strategy: Strategy) -> None:
    assert from_json(to_json(strategy)) == strategy


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "horoscope"}, "no strategy horoscope"),
        ({"name": "bald", "parameters": {"beta": 2.0}}, "bald does not take these parameters"),
        ({"name": "power", "parameters": {"beta": 2.0}}, "power does not take these parameters"),
        ({"name": "power", "inner": {"name": "horoscope"}}, "no strategy horoscope"),
    ],
)
def test_what_json_does_not_describe_is_said(document: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        from_json(document)


def test_a_name_is_given_once_and_near_names_are_offered() -> None:
    with pytest.raises(ProtocolError, match="a recipe called bald already"):
        register(Recipe("bald", BALD()))
    with pytest.raises(ProtocolError, match="did you mean batchbald"):
        recipe("batch-bald")


def test_power_refuses_a_score_that_is_negative() -> None:
    with pytest.raises(SelectionError, match="use Softmax or Softrank"):
        Power(Margin())


def test_wrappers_sample_by_the_inner_score() -> None:
    found = evidence()
    log_probs = found.tensor("log_probs")
    power = Power(BALD(), beta=2.0)(found, 5, generator=derive(1))
    expected = power_sample(bald(log_probs), 5, beta=2.0, generator=derive(1))
    assert torch.equal(power.indices, expected.indices)
    ranked = Softrank(Entropy(), beta=3.0)(found, 5, generator=derive(2))
    assert torch.equal(ranked.indices, softrank_sample(entropy(log_probs), 5, beta=3.0, generator=derive(2)).indices)


def test_point_strategies_need_the_deterministic_pass_and_score_it() -> None:
    point = evidence().tensor("log_probs")[:, 0]
    assert Entropy(point=True).needs == {"point_log_probs"}
    scores = Entropy(point=True).scores(Evidence(len(point), point_log_probs=point))
    assert torch.equal(scores, entropy(point[:, None]))
    assert Power(Entropy(point=True)).needs == {"point_log_probs"}


def test_random_is_uniform_and_says_with_which_probability() -> None:
    selection = Random()(Evidence(10), 3, generator=derive(0))
    assert selection.scores.tolist() == [0.0, 0.0, 0.0]
    assert selection.probabilities is not None
    assert selection.probabilities.tolist() == pytest.approx([1 / 10, 1 / 9, 1 / 8])


def test_half_precision_is_reported() -> None:
    found = evidence()
    half = Evidence(found.n, log_probs=found.tensor("log_probs").half())
    assert BALD()(half, 2, generator=derive(0)).report.renormalised
    assert Power(BALD())(half, 2, generator=derive(0)).report.renormalised
    assert not BALD()(found, 2, generator=derive(0)).report.renormalised
