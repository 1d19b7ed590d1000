import pytest

from asktell.errors import DataError, UnknownItemError
from asktell.oracles import SimulatedOracle
from asktell.types import SKIP

LABELS = {str(row): "abcd"[row % 4] for row in range(4000)}
IDS = list(LABELS)


def test_without_noise_it_tells_the_truth_in_the_order_asked() -> None:
    oracle = SimulatedOracle(LABELS)
    assert oracle.answer(IDS[::-1]) == [LABELS[item] for item in IDS[::-1]]
    assert oracle.answer([]) == []


def test_an_answer_depends_on_seed_and_id_only() -> None:
    first = SimulatedOracle(LABELS, noise=0.3, abstention=0.2, seed=5).answer(IDS)
    restarted = SimulatedOracle(LABELS, noise=0.3, abstention=0.2, seed=5)
    assert [restarted.answer([item])[0] for item in IDS[:100]] == first[:100]
    assert restarted.answer(IDS[::-1]) == first[::-1]
    assert SimulatedOracle(LABELS, noise=0.3, abstention=0.2, seed=6).answer(IDS) != first


def test_the_rates_are_what_they_say() -> None:
    answers = SimulatedOracle(LABELS, noise=0.3, abstention=0.2, seed=1).answer(IDS)
    given = [(item, answer) for item, answer in zip(IDS, answers, strict=True) if answer is not SKIP]
    wrong = [answer for item, answer in given if answer != LABELS[item]]
    assert 1 - len(given) / len(IDS) == pytest.approx(0.2, abs=0.02)
    assert len(wrong) / len(given) == pytest.approx(0.3, abs=0.025)


def test_a_wrong_label_is_uniform_over_the_other_classes() -> None:
    ids = IDS[::4]  # all "a"
    answers = SimulatedOracle(LABELS, noise=1.0, seed=2).answer(ids)
    shares = [answers.count(name) / len(ids) for name in "abcd"]
    assert shares[0] == 0
    assert shares[1:] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_raising_the_noise_only_adds_errors() -> None:
    little, much = (SimulatedOracle(LABELS, noise=rate, seed=3).answer(IDS) for rate in (0.1, 0.4))
    wrong_before = [row for row, item in enumerate(IDS) if little[row] != LABELS[item]]
    assert all(little[row] == much[row] for row in wrong_before)


def test_full_abstention_skips_everything() -> None:
    assert set(SimulatedOracle(LABELS, abstention=1.0).answer(IDS)) == {SKIP}


@pytest.mark.parametrize("rates", [{"noise": -0.1}, {"noise": 1.1}, {"abstention": float("nan")}])
def test_rates_outside_0_to_1_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        SimulatedOracle(LABELS, **rates)  # type: ignore[arg-type]


def test_noise_needs_two_classes() -> None:
    with pytest.raises(DataError, match="two classes"):
        SimulatedOracle({"x": "owl"}, noise=0.5)


def test_an_unknown_item_is_refused() -> None:
    with pytest.raises(UnknownItemError, match="'nobody'"):
        SimulatedOracle(LABELS).answer(["0", "nobody"])
