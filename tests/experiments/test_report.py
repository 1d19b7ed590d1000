import json
import sys
from pathlib import Path

import pytest

from asktell.errors import DataError
from asktell.experiments.report import Report, write_report

from .results import rows, write

NASTY = "<script>alert('x')</script> & größe"
COMMAND = "asktell run toy --strategies 'a <b> & c'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write(tmp_path, rows([0.5, 0.7, 0.91], strategy="random", seed=seed))
        write(tmp_path, rows([0.5, 0.92, 0.93], strategy="bald", seed=seed))
        write(tmp_path, rows([0.5, 0.6, 0.7], strategy=NASTY, seed=seed), f"nasty-{seed}")
    write(tmp_path, rows([0.5, 0.6], strategy="margin", finished=False))
    (tmp_path / "plan.json").write_text(json.dumps([["toy", "epig", 1]]))
    (tmp_path / "protocol.json").write_text(json.dumps({"toy": {"network": "<cnn>", "batch": 10, "pool_size": None}}))
    return tmp_path


def test_what_is_written_and_returned(folder: Path) -> None:
    report = write_report(folder, command=COMMAND)
    assert isinstance(report, Report)
    assert [s.strategy for s in report.protocols[0].strategies] == ["random", NASTY, "bald"]
    assert report.missing == (("toy", "epig", 1),)
    assert [c.key for c in report.unfinished] == [("toy", "margin", 0)]
    assert report.figure.read_bytes().startswith(b"\x89PNG")
    summary = json.loads(report.summary.read_text(encoding="utf-8"))
    assert summary["protocols"]["toy"]["headline"] == report.protocols[0].headline
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "curves.png", "plan.json", "protocol.json", "report.html", "summary.json",
    ]  # fmt: skip


def test_the_page_says_what_it_must(folder: Path) -> None:
    page = write_report(folder, command=COMMAND).page.read_text(encoding="utf-8")
    for text in (
        "bald reached 90 % with 30 labels where random needed 40: 10 labels saved (mean of 2 seeds; best of 2",
        "100 further labels serve for validation",
        "130 including validation",
        "<td>40</td><td>140</td><td>91.0 (91.0 to 91.0)</td>",
        "not reached in 2 of 2 seeds",
        "unknown in 2 of 2 seeds",
        "toy, epig, seed 1: planned, not run",
        "toy, margin, seed 0: unfinished, stands at 30 labels",
        "python 3.",
        "<td>pool_size</td><td>null</td>",
    ):
        assert text in page


def test_everything_is_escaped_and_nothing_is_fetched(folder: Path) -> None:
    page = write_report(folder, command=COMMAND).page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; größe" in page
    assert "a &lt;b&gt; &amp; c" in page
    assert "&lt;cnn&gt;" in page
    assert "http" not in page
    assert page.count("data:image/png;base64,") == 1


def test_the_same_results_give_the_same_summary_and_figure(folder: Path) -> None:
    first = write_report(folder, command=COMMAND)
    before = [path.read_bytes() for path in (first.summary, first.figure, first.page)]
    again = write_report(folder, command=COMMAND)
    assert [path.read_bytes() for path in (again.summary, again.figure, again.page)] == before


def test_a_section_per_protocol_and_no_random(tmp_path: Path) -> None:
    for protocol in ("one", "two"):
        write(tmp_path, rows([0.5, 0.7], protocol=protocol, strategy="bald", n_validation=0))
    page = write_report(tmp_path, command="x").page.read_text(encoding="utf-8")
    assert page.count("There is no finished run of random to compare with") == 2
    assert page.count("data:image/png;base64,") == 2
    assert page.count("No labels are spent on validation.") == 2
    assert page.count("The folder does not say how this protocol was run.") == 2
    assert "Difference to random" not in page
    assert "Not in these numbers" not in page


def test_five_seeds_show_intervals(tmp_path: Path) -> None:
    for seed in range(5):
        write(tmp_path, rows([0.5 + 0.01 * seed, 0.9], seed=seed))
    page = write_report(tmp_path, command="x").page.read_text(encoding="utf-8")
    assert "52.0 [50.0, 54.0]" in page


def test_without_a_finished_cell_there_is_no_report(tmp_path: Path) -> None:
    write(tmp_path, rows([0.5, 0.6], finished=False))
    with pytest.raises(DataError, match="no finished run"):
        write_report(tmp_path, command="x")


def test_without_jinja_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(DataError, match=r"pip install 'asktell\[report\]'"):
        write_report(folder, command="x")
