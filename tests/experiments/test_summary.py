import json
import math
from pathlib import Path

import pytest

from asktell.experiments import curves
from asktell.experiments.summary import as_json, headline, summarise

from .results import cell, curve, rows, write

SLOW = [0.5, 0.7, 0.8, 0.91]  # 90 % at 50
FAST = [0.5, 0.91, 0.92, 0.93]  # 90 % at 30


def said(folder: Path, **runs: list[list[float]]) -> str:
    return headline([curve(folder, name, values) for name, values in runs.items()])


def test_labels_saved(tmp_path: Path) -> None:
    assert said(tmp_path, random=[SLOW, SLOW], batchbald=[FAST, SLOW]) == (
        "batchbald reached 90 % with 40 labels where random needed 50: 10 labels saved (mean of 2 seeds)."
    )


def test_the_best_of_several_is_called_that(tmp_path: Path) -> None:
    assert said(tmp_path, random=[SLOW], bald=[SLOW], margin=[FAST]) == (
        "margin reached 90 % with 30 labels where random needed 50: "
        "20 labels saved (mean of 1 seed; best of 2 strategies)."
    )


def test_nothing_saved_is_said(tmp_path: Path) -> None:
    assert said(tmp_path, random=[FAST], bald=[SLOW]) == (
        "No labels saved: random reached 90 % with 30 labels, bald with 50 (mean of 1 seed)."
    )


def test_from_five_seeds_on_there_is_an_interval(tmp_path: Path) -> None:
    text = said(tmp_path, random=[SLOW] * 5, bald=[FAST, SLOW, FAST, FAST, FAST])
    half = 2.776445 * math.sqrt(80) / math.sqrt(5)  # savings 20, 0, 20, 20, 20
    assert f"16 labels saved (mean of 5 seeds, 95 % interval of the saving {16 - half:.1f} to {16 + half:.1f})" in text


@pytest.mark.parametrize(
    ("random", "target"), [([0.5, 0.98], 97), ([0.5, 0.96], 95), ([0.5, 0.86], 85), ([0.5, 0.8], 80)]
)
def test_the_target_is_the_highest_that_random_reached(tmp_path: Path, random: list[float], target: int) -> None:
    assert f"reached {target} %" in said(tmp_path, random=[random, [0.5, 0.99]], bald=[[0.99, 0.99], [0.99, 0.99]])


def test_what_cannot_be_said_is_not(tmp_path: Path) -> None:
    assert "random did not reach 80 % in every seed (its best was 91 %)" in said(tmp_path, random=[SLOW, [0.5, 0.6]])
    assert "no finished run of random" in said(tmp_path, bald=[FAST])
    assert "no other strategy reached it in every seed" in said(tmp_path, random=[SLOW] * 2, bald=[FAST, [0.5] * 4])
    assert "no other strategy has a finished run" in said(tmp_path, random=[SLOW])


def test_a_strategy_with_fewer_seeds_is_compared_on_those(tmp_path: Path) -> None:
    slower = [0.5, 0.5, 0.5, 0.5, 0.91]
    assert said(tmp_path, random=[SLOW, slower], bald=[FAST]) == (
        "bald reached 90 % with 30 labels where random needed 50: 20 labels saved (mean of 1 seed)."
    )


def test_a_summary_of_two_protocols(tmp_path: Path) -> None:
    for protocol in ("one", "two"):
        for strategy in ("bald", "random"):
            write(tmp_path, rows(SLOW, protocol=protocol, strategy=strategy))
    write(tmp_path, rows(SLOW, protocol="one", strategy="margin", finished=False))
    (tmp_path / "plan.json").write_text('[["two", "epig", 7]]')
    results = curves.read(tmp_path)
    summaries = summarise(results)
    assert [s.protocol for s in summaries] == ["one", "two"]
    assert [s.strategy for s in summaries[0].strategies] == ["random", "bald"]
    assert summaries[0].sizes == (20, 30, 40, 50)
    assert summaries[0].n_validation == 100
    values = json.loads(json.dumps(as_json(summaries, results), allow_nan=False))
    bald = values["protocols"]["two"]["strategies"]["bald"]
    assert bald["accuracy"]["40"] == {"mean": 0.8, "low": 0.8, "high": 0.8, "seeds": 1}
    assert bald["labels_to"]["90"] == {"mean": 50.0, "by_seed": {"0": 50}}
    assert bald["labels_saved"] == {"90": {"0": 0}, "95": {"0": None}, "97": {"0": None}}
    assert values["missing"] == [["two", "epig", 7]]
    assert values["unfinished"] == [["one", "margin", 0]]


def test_areas_of_curves_of_different_lengths_share_a_range(tmp_path: Path) -> None:
    cell(tmp_path, [0.5, 0.7, 0.9], strategy="bald")
    cell(tmp_path, [0.5, 0.7])
    (summary,) = summarise(curves.read(tmp_path))
    assert summary.until == 30
    assert [s.area.mean for s in summary.strategies] == pytest.approx([0.6, 0.6])


def test_an_infinite_loss_is_null_in_json(tmp_path: Path) -> None:
    cell(tmp_path, SLOW, nll=math.inf)
    results = curves.read(tmp_path)
    values = json.dumps(as_json(summarise(results), results), allow_nan=False)
    assert '"final_nll": {"mean": null' in values
