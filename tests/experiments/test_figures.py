import importlib.util
from pathlib import Path

import numpy as np
import pytest

from asktell.errors import DataError
from asktell.experiments import figures
from asktell.experiments.figures import KNOWN, learning_curves, png, styles

from .results import curve

RUN = [0.5, 0.7, 0.8, 0.9]


def test_known_strategies_look_different_and_always_the_same() -> None:
    assert len(set(KNOWN.values())) == len(KNOWN)
    others = [f"mine-{number}" for number in range(20)]
    chosen = styles([*KNOWN, *others])
    assert {name: chosen[name] for name in KNOWN} == KNOWN
    assert len(set(chosen.values())) == len(chosen)
    assert styles(["größe"]) == styles(["größe"])


def test_the_lines_are_the_means(tmp_path: Path) -> None:
    figure = learning_curves([curve(tmp_path, "bald", [RUN, [0.7, 0.7, 0.8, 0.9]])])
    (axes,) = figure.axes
    means = [line for line in axes.get_lines() if line.get_gid() == "mean"]
    assert len(means) == 1
    assert np.allclose(means[0].get_xydata(), [[20, 60], [30, 70], [40, 80], [50, 90]])
    assert len(axes.get_lines()) == 3
    assert not axes.collections


def test_a_band_from_five_seeds_on(tmp_path: Path) -> None:
    (axes,) = learning_curves([curve(tmp_path, "bald", [RUN] * 5)]).axes
    assert len(axes.get_lines()) == 1
    assert len(axes.collections) == 1


def test_one_panel_per_protocol_with_names_as_they_are(tmp_path: Path) -> None:
    names = ["_hidden", "$x_1", "größe", "random"]
    drawn = [curve(tmp_path, name, [RUN], protocol) for protocol in ("one", "$two$") for name in names]
    figure = learning_curves(drawn)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["$two$", "one"]
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["random", "$x_1", "_hidden", "größe"]
    assert png(figure, dpi=50).startswith(b"\x89PNG")


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    drawn = [curve(tmp_path, name, [RUN, RUN]) for name in ("random", "bald", "漢字")]
    assert png(learning_curves(drawn), dpi=60) == png(learning_curves(drawn), dpi=60)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DataError, match="no finished run"):
        learning_curves([])


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'asktell\[report\]'"):
        figures.learning_curves([curve(tmp_path, "bald", [RUN])])
