"""Projects from data: items, labels that exist already, what is new later; whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from asktell.errors import ProjectError, UnknownClassError
from asktell.pools.founding import IMPORTED, Labels, Origin, add_found, found_project
from asktell.project import Project


def table(path: Path, rows: Sequence[tuple[str, str, str]]) -> Origin:
    lines = ["key,body,kind", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Origin("text", path, "body", "key", "kind")


BIRDS = [("a", "hoot", "owl"), ("b", "trill", "wren"), ("c", "hoot hoot", ""), ("d", "hiss", ""), ("e", "", "owl")]


def made(folder: Path, labels: Labels = "known", *, classes: Sequence[str] = ()) -> Path:
    origin = table(folder / "birds.csv", BIRDS)
    found_project(folder / "p", origin, origin.read(), classes=classes, labels=labels, settings={"queue": 5})
    return folder / "p"


def test_items_contents_settings_and_known_labels(tmp_path: Path) -> None:
    with Project.open(made(tmp_path)) as project:
        assert project.ids == ("a", "b", "c", "d")
        assert project.contents(["c"]) == {"c": "hoot hoot"}
        assert project.classes == ("owl", "wren")
        assert project.candidates().labelled_ids == ("a", "b")
        assert {told.annotator for told in project.annotations("a")} == {IMPORTED}
        assert project.settings["queue"] == 5
        assert Origin.of(project) == table(tmp_path / "birds.csv", BIRDS)
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["project.db"]


def test_labels_may_be_a_test_set(tmp_path: Path) -> None:
    with Project.open(made(tmp_path, "test", classes=["wren", "robin", "owl"])) as project:
        assert project.classes == ("wren", "robin", "owl")
        assert project.held_out == {"a": "owl", "b": "wren"}
        assert project.candidates().ids == ("c", "d")
        assert project.candidates().labelled_ids == ()


def test_what_fails_leaves_no_project(tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match="'owl'"):
        made(tmp_path, classes=["wren"])
    assert list((tmp_path / "p").iterdir()) == []
    made(tmp_path)
    with pytest.raises(ProjectError, match="already"):
        made(tmp_path)


def test_without_classes_or_items_there_is_no_project(tmp_path: Path) -> None:
    plain = table(tmp_path / "plain.csv", [("a", "hoot", "")])
    with pytest.raises(ProjectError, match="--classes"):
        found_project(tmp_path / "p", plain, plain.read(), classes=(), settings={})
    empty = table(tmp_path / "empty.csv", [("a", "", "owl")])
    with pytest.raises(ProjectError, match="nothing that can be labelled; 1 left out"):
        found_project(tmp_path / "p", empty, empty.read(), classes=["owl"], settings={})


def test_only_what_is_new_is_added(tmp_path: Path) -> None:
    folder = made(tmp_path)
    more = table(tmp_path / "birds.csv", [*BIRDS, ("f", "screech", "owl"), ("g", "chirp", "")])
    with Project.open(folder) as project:
        assert add_found(project, more.read()) == 2
        assert project.ids == ("a", "b", "c", "d", "f", "g")
        assert project.labels["f"] == "owl"
        assert add_found(project, more.read()) == 0
        strange = table(tmp_path / "birds.csv", [("h", "quack", "duck")])
        with pytest.raises(UnknownClassError, match="'duck'"):
            add_found(project, strange.read())
        assert "h" not in project.ids


def test_a_project_of_ids_alone_has_no_origin(tmp_path: Path) -> None:
    with Project.create(tmp_path / "p", ["a"], classes=["owl"]) as project, pytest.raises(ProjectError, match="data"):
        Origin.of(project)
