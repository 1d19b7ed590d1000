import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from asktell.errors import DataError, ProtocolError
from asktell.experiments import figures
from asktell.experiments.figures import FIGURES, Computed, Recorded
from asktell.experiments.figures.curves import (
    INSIDE,
    SEED_REPOSITORY,
    bald_vs_batchbald,
    learning_curves,
    mnist_curves,
    panels,
)
from asktell.experiments.figures.saving import check_target, rendered, save
from asktell.experiments.figures.style import KNOWN, LINES, POSTERIORS, styles
from asktell.experiments.posteriors import LEARNERS
from asktell.experiments.protocols import PROTOCOLS

from .results import curve, rows, write

RUN = [0.5, 0.7, 0.8, 0.9]
ALL = ("random", "margin", "entropy", "bald", "batchbald")


def recorded(folder: Path, protocol: str, strategies: tuple[str, ...] = ALL, seeds: int = 2) -> Path:
    """A results folder with finished runs, and how they were run."""
    for name in strategies:
        for seed in range(seeds):
            write(folder, rows([y + 0.01 * seed for y in RUN], protocol=protocol, strategy=name, seed=seed))
    (folder / "protocol.json").write_text(json.dumps({protocol: {"batch": 10, "draws": 100}}))
    return folder


# Colours and curves -----------------------------------------------------------------------------------------------


def test_known_strategies_look_different_and_always_the_same() -> None:
    assert len(set(KNOWN.values())) == len(KNOWN)
    others = [f"mine-{number}" for number in range(20)]
    chosen = styles([*KNOWN, *others])
    assert {name: chosen[name] for name in KNOWN} == KNOWN
    assert len(set(chosen.values())) == len(chosen)
    assert styles(["größe"]) == styles(["größe"])


def test_a_posterior_has_one_colour_and_marker_whatever_it_is_asked_by() -> None:
    names = [f"{posterior}+{by}" for posterior in LEARNERS for by in LINES]
    chosen = styles([*KNOWN, *names])
    assert len(set(chosen.values())) == len(KNOWN) + len(names)
    for posterior in LEARNERS:
        looks = {by: chosen[f"{posterior}+{by}"] for by in LINES}
        assert looks == {by: (*POSTERIORS[posterior], line) for by, line in LINES.items()}


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


def test_of_many_strategies_only_random_shows_its_seeds(tmp_path: Path) -> None:
    names = ["random", *(f"mine-{number}" for number in range(INSIDE))]
    narrow = learning_curves([curve(tmp_path, name, [RUN] * 5) for name in names[:INSIDE]])
    wide = learning_curves([curve(tmp_path, name, [RUN] * 5) for name in names])
    assert len(narrow.axes[0].collections) == INSIDE
    (band,) = wide.axes[0].collections
    assert np.allclose(np.asarray(band.get_facecolor())[0, :3], to_rgb(KNOWN["random"][0]))
    assert wide.get_figwidth() > narrow.get_figwidth()


def test_one_panel_per_protocol_with_names_as_they_are(tmp_path: Path) -> None:
    names = ["_hidden", "$x_1", "größe", "random"]
    drawn = [curve(tmp_path, name, [RUN], protocol) for protocol in ("one", "$two$") for name in names]
    figure = learning_curves(drawn)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["$two$", "one"]
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["random", "$x_1", "_hidden", "größe"]
    assert rendered(figure, dpi=50).startswith(b"\x89PNG")


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DataError, match="no finished run"):
        learning_curves([])


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [curve(tmp_path, "bald", [RUN])]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'asktell\[figures\]'"):
        learning_curves(drawn)
    with pytest.raises(DataError, match=r"pip install 'asktell\[figures\]'"):
        figures.draw("bald-terms")


# Recorded cells ---------------------------------------------------------------------------------------------------


def test_the_seed_repositorys_numbers_lie_over_its_protocol_only(tmp_path: Path) -> None:
    seed = recorded(tmp_path / "a", "mnist-seed")
    other = recorded(tmp_path / "b", "mnist-seed-k100", ("bald", "batchbald"))
    figure = mnist_curves([*panels(seed, ALL), *panels(other, ALL)])
    left, right = figure.axes
    stored = [
        np.asarray(line.get_xydata()).tolist() for line in left.get_lines() if line.get_gid() == "seed repository"
    ]
    assert [dict(points) for points in stored if points] == [
        SEED_REPOSITORY[name] for name in ("bald", "entropy", "margin", "random")
    ]
    assert not [line for line in right.get_lines() if line.get_gid() == "seed repository"]
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_title(loc="left") == "mnist-seed\nb = 10, k = 100, 2 seeds"


def test_halving_the_error_is_the_same_step_everywhere(tmp_path: Path) -> None:
    (axes,) = mnist_curves(panels(recorded(tmp_path, "toy"), ALL)).axes
    heights = axes.transData.transform([(20.0, 80.0), (20.0, 90.0), (20.0, 95.0)])[:, 1]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1])
    mean = next(line for line in axes.get_lines() if line.get_gid() == "mean")
    assert np.allclose(mean.get_xydata(), [[20, 50.5], [30, 70.5], [40, 80.5], [50, 90.5]])


def test_what_is_perfect_can_be_drawn(tmp_path: Path) -> None:
    write(tmp_path, rows([0.9, 1.0], strategy="bald"))
    assert rendered(mnist_curves(panels(tmp_path, ALL)), dpi=50)


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (3, 2))])
def test_a_panel_per_protocol_with_what_was_recorded_of_it(count: int, shape: tuple[int, int], tmp_path: Path) -> None:
    folders = [recorded(tmp_path / str(number), f"toy-{number}", ("random", "bald")) for number in range(count)]
    figure = bald_vs_batchbald([panel for folder in folders for panel in panels(folder, ("bald", "random"))])
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes] == [f"toy-{n}" for n in range(count)]
    grid = figure.axes[0].get_gridspec()
    assert grid is not None
    assert (grid.nrows, grid.ncols) == shape


def test_strategies_that_do_not_belong_and_unfinished_runs_are_left_out(tmp_path: Path) -> None:
    folder = recorded(tmp_path, "toy", ("random", "epig"))
    write(folder, rows(RUN, strategy="bald", finished=False))
    write(folder, rows(RUN, strategy="random", seed=9))
    (panel,) = panels(folder, ALL)
    assert [found.strategy for found in panel.curves] == ["random"]
    assert panel.title == "toy\nb = 10, k = 100, 3 seeds"


def test_a_title_says_what_is_known(tmp_path: Path) -> None:
    write(tmp_path, rows(RUN, strategy="random"))
    (panel,) = panels(tmp_path, ALL)
    assert panel.title == "toy\n1 seed"
    write(tmp_path, rows(RUN, strategy="bald"))
    write(tmp_path, rows(RUN, strategy="bald", seed=1))
    (panel,) = panels(tmp_path, ALL)
    assert panel.title == "toy\n1 to 2 seeds"


# By name ----------------------------------------------------------------------------------------------------------


def test_all_figures_are_there() -> None:
    assert list(FIGURES) == [
        "two-moons-boundaries", "bald-terms", "posteriors", "mnist-curves", "batch-information", "bald-vs-batchbald",
    ]  # fmt: skip


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ProtocolError, match="no figure called bald-term; did you mean bald-terms"):
        figures.draw("bald-term")
    with pytest.raises(ProtocolError, match="did you mean bald-terms, bald-vs-batchbald, batch-information"):
        figures.draw("zzz")


def test_a_choice_that_a_figure_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="computed on the spot"):
        figures.draw("bald-terms", results=[tmp_path])
    with pytest.raises(ProtocolError, match="which have their seeds"):
        figures.draw("mnist-curves", seed=1)


def test_what_stands_in_results_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="asktell experiment run mnist-seed --out results/mnist-seed"):
        figures.draw("mnist-curves")
    recorded(Path("results/mnist-seed-k100"), "mnist-seed-k100", ("bald", "batchbald"))
    assert len(figures.draw("mnist-curves").axes) == 1
    recorded(Path("results/mnist-seed"), "mnist-seed")
    write(Path("results/repeated-mnist-small"), rows(RUN, strategy="bald", finished=False))
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figures.draw("mnist-curves").axes] == [
        "mnist-seed", "mnist-seed-k100",
    ]  # fmt: skip
    assert len(figures.draw("bald-vs-batchbald").axes) == 1


def test_of_two_protocols_that_show_the_same_the_first_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = FIGURES["bald-vs-batchbald"]
    assert isinstance(known, Recorded)
    monkeypatch.chdir(tmp_path)
    for name in reversed(known.protocols[0]):
        recorded(Path("results") / name, name)
        (axes,) = figures.draw("bald-vs-batchbald").axes
        assert axes.get_title(loc="left").startswith(f"{name}\n")


def test_a_folder_without_such_runs_is_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    good, empty = recorded(tmp_path / "good", "toy"), recorded(tmp_path / "only epig", "toy", ("epig",))
    for folder in (empty, tmp_path / "nowhere at all"):
        with pytest.raises(DataError) as caught:
            figures.draw("mnist-curves", results=[good, folder])
        assert str(caught.value) == (
            f"{folder} has no finished run of random, margin, entropy, bald or batchbald; "
            f"this makes them: asktell experiment run mnist-seed --out '{folder}'"
        )


def test_damaged_results_are_an_error_and_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recorded(Path("results/mnist-seed"), "mnist-seed")
    write(Path("results/mnist-seed-k100"), [{**rows(RUN, strategy="bald")[0], "accuracy": 90}])
    with pytest.raises(DataError, match="'accuracy' must be a fraction"):
        figures.draw("mnist-curves")


def test_a_computed_figure_gets_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def drawing(seed: int) -> Figure:
        seen.append(seed)
        return Figure()

    monkeypatch.setattr(figures, "FIGURES", {"mine": Computed("a test", drawing)})
    figures.draw("mine")
    figures.draw("mine", seed=7)
    assert seen == [0, 7]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("two-moons-boundaries", "plane.boundaries"),
        ("bald-terms", "plane.bald_terms"),
        ("batch-information", "information.batch_information"),
    ],
)
def test_each_name_draws_its_own(name: str, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[int, Figure] = {}
    monkeypatch.setattr(f"asktell.experiments.figures.{function}", lambda *, seed: drawn.setdefault(seed, Figure()))
    assert figures.draw(name, seed=3) is drawn[3]


def test_the_names_load_neither_torch_nor_numpy_nor_matplotlib() -> None:
    code = "import sys; from asktell.experiments.figures import FIGURES; "
    code += "print([m for m in ('torch', 'numpy', 'matplotlib', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("known", [known for known in FIGURES.values() if isinstance(known, Recorded)])
def test_the_command_that_an_error_names_is_one_that_runs(known: Recorded) -> None:
    assert known.protocols[0][-1] in PROTOCOLS


# Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_same_results_give_the_same_bytes(ending: str, start: bytes, tmp_path: Path) -> None:
    drawn = [curve(tmp_path, name, [RUN, RUN]) for name in ("random", "bald", "漢字")]
    first, again = (rendered(learning_curves(drawn), ending, dpi=60) for _ in range(2))
    assert first == again
    assert first.startswith(start)


def test_text_in_a_vector_file_is_text(tmp_path: Path) -> None:
    figure = learning_curves([curve(tmp_path, "batchbald", [RUN])])
    assert b">batchbald</text>" in rendered(figure, "svg")
    assert b"/Subtype /Type0" in rendered(figure, "pdf")
    assert b"/Subtype /Type3" not in rendered(figure, "pdf")


def test_the_ending_chooses_the_format(tmp_path: Path) -> None:
    figure = learning_curves([curve(tmp_path, "bald", [RUN])])
    for name, start in (("a.png", b"\x89PNG"), ("b.SVG", b"<?xml"), ("c.d.pdf", b"%PDF")):
        save(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["moons.jpg", "moons", "moons.png.gz", ".png"])
def test_another_ending_names_the_three(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its ending must be \.png, \.svg or \.pdf"):
        check_target(tmp_path / name)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        check_target(tmp_path / "nowhere" / "moons.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(DataError, match=r"cannot write .*taken\.png"):
        save(learning_curves([curve(tmp_path, "bald", [RUN])]), tmp_path / "taken.png")
