"""What leaves a project: labels with their reasons, the model, and predictions for new data."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from asktell.engine import Worker, predictions
from asktell.engine.export import as_csv, as_jsonl, export, export_model, spoken
from asktell.engine.listing import Answer, Asked, Prediction, Row, rows
from asktell.engine.predict import predict
from asktell.errors import ProjectError
from asktell.pools.founding import Origin
from asktell.project import Project
from asktell.types import SKIP

from .conftest import CLASSES, Digits, Make

ROW = Row(
    "=a",
    "labelled",
    "pool",
    "+owl",
    (Answer("ann", "wren", "t1", False), Answer("@bob", None, "t2", True), Answer("ann", "+owl", "t3", True)),
    Asked(4, 2, -0.5, 0.25, {"name": "power", "parameters": {"beta": 1.0}, "inner": {"name": "bald"}}, "sha", "t0"),
    Prediction({"+owl": 0.75, "wren": 0.25}, 0.5, 0.125),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Project:
    """Twenty answers, a skip, an undone answer, a withdrawn item, and a model."""
    folder = tmp_path_factory.mktemp("leaving") / "project"
    contents = [str(number) for number in range(1, 201)]
    project = Project.create(folder, digits.ids[:200], classes=CLASSES, contents=contents)
    project.set("source", Origin("features", digits.file).to_json())
    with Worker(folder) as worker:
        worker.work()
        ids = [question.item for question in project.questions()]
        project.tell(ids, [digits.truth[id_] for id_ in ids], "ann")
        project.tell(ids[:1], ["9"], "bob")
        project.take_back("bob", ids[0])
        free = project.candidates().ids
        project.tell(free[:1], [SKIP], "ann")
        project.withdraw(free[1:2])
        worker.work()
    return project


# Rows ----------------------------------------------------------------------------------------------------------------


def test_every_item_is_listed_but_withdrawn_ones(project: Project, digits: Digits) -> None:
    listed = list(rows(project))
    assert len(listed) == 199
    assert [row.id for row in listed] == [id_ for id_ in digits.ids[:200] if id_ in {row.id for row in listed}]
    assert {row.id: row.label for row in listed if row.label is not None} == project.labels
    assert [row.id for row in rows(project, labelled_only=True)] == list(project.labels)


def test_rows_say_what_was_answered_and_why_it_was_asked(project: Project) -> None:
    first = project.queries[0]
    row = next(row for row in rows(project) if row.id == first.ids[0])
    assert [(answer.annotator, answer.stands) for answer in row.answers] == [("ann", True), ("bob", False)]
    assert row.asked is not None
    assert (row.asked.query, row.asked.rank, row.asked.score) == (0, 1, first.scores[0])
    assert row.asked.strategy["name"] == "typical"
    kept = predictions.read(project.folder)
    assert kept is not None
    assert row.prediction is not None
    place = list(kept.ids).index(row.id)
    assert list(row.prediction.probabilities.values()) == kept.probabilities[place].tolist()
    assert row.prediction.label == CLASSES[int(kept.predicted[place])]


def test_a_project_without_model_lists_items_without_predictions(make: Make) -> None:
    assert [row.prediction for row in rows(make(n=3))] == [None] * 3


# Tables --------------------------------------------------------------------------------------------------------------


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_as_csv() -> None:
    (cells,) = table("".join(as_csv([ROW], ["+owl", "wren", "hawk"])))
    assert cells == {
        "id": "'=a", "label": "'+owl", "state": "labelled", "part": "pool", "answered": "t3",
        "annotators": "'@bob; ann", "answers": "3", "asked": "t0", "strategy": "power-bald", "query": "4", "rank": "2",
        "score": "-0.5", "probability": "0.25", "model": "sha", "predicted": "'+owl", "entropy": "0.5", "bald": "0.125",
        "p:+owl": "0.75", "p:wren": "0.25", "p:hawk": "",
    }  # fmt: skip


def test_a_bare_row_as_csv() -> None:
    (cells,) = table("".join(as_csv([Row("a", "free", "pool", None)], ["owl"])))
    assert {name: cell for name, cell in cells.items() if cell} == {
        "id": "a", "state": "free", "part": "pool", "answers": "0"
    }  # fmt: skip


def test_a_row_as_json() -> None:
    told = json.loads("".join(as_jsonl([ROW])))
    assert told["answers"][1] == {"annotator": "@bob", "label": None, "created": "t2", "stands": True}
    assert told["asked"]["strategy"]["inner"] == {"name": "bald"}
    assert told["prediction"] == {
        "label": "+owl", "probabilities": {"+owl": 0.75, "wren": 0.25}, "entropy": 0.5, "bald": 0.125
    }  # fmt: skip


def test_strategies_in_one_word() -> None:
    assert spoken({"name": "random", "parameters": {}, "inner": None}) == "random"


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("labelled", [True, False])
def test_files_hold_all_rows(project: Project, tmp_path: Path, ending: str, labelled: bool) -> None:
    path = tmp_path / f"out{ending}"
    count = export(project, path, labelled_only=labelled)
    assert count == (20 if labelled else 199)
    read: dict[str, Callable[[], list[str]]] = {
        ".csv": lambda: [row["id"] for row in table(path.read_text())],
        ".jsonl": lambda: [json.loads(line)["id"] for line in path.read_text().splitlines()],
        ".parquet": lambda: predictions.arrow("pyarrow.parquet").read_table(path).column("id").to_pylist(),
    }
    assert read[ending]() == [row.id for row in rows(project, labelled_only=labelled)]


def test_parquet_has_types(project: Project, tmp_path: Path) -> None:
    export(project, tmp_path / "out.parquet")
    found = predictions.arrow("pyarrow.parquet").read_table(tmp_path / "out.parquet")
    assert str(found.schema.field("rank").type) == "int64"
    p = np.stack([found.column(f"p:{name}").to_numpy() for name in CLASSES], 1)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)


def test_other_endings_and_places_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"ends in \.xls"):
        export(project, tmp_path / "out.xls")
    with pytest.raises(ProjectError, match="cannot be written"):
        export(project, tmp_path / "gone" / "out.csv")


# The model -----------------------------------------------------------------------------------------------------------


def test_an_exported_model_can_be_used_without_asktell(project: Project, tmp_path: Path, digits: Digits) -> None:
    """Its JSON and its weights are enough to compute what it predicts."""
    card = json.loads(export_model(project, tmp_path / "model").read_text())
    weights = safetensors.torch.load_file(tmp_path / "model" / "model.safetensors")
    assert card["classes"] == list(CLASSES)
    assert (card["network"]["kind"], card["network"]["channels"], card["n_labelled"]) == ("head", 64, 20)
    assert "labels" not in card

    def layer(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = (digits.rows[:30] - weights["0.mean"]) / weights["0.sd"]
    p = layer("4", layer("1", x).relu()).softmax(1)
    with Project.open(project.folder) as opened:
        found = list(predict(opened, Origin("features", digits.file)))[:30]
    agreed = [one.prediction is not None and one.prediction.label == CLASSES[int(row.argmax())]
              for one, row in zip(found, p, strict=True)]  # fmt: skip
    assert sum(agreed) >= 28  # the mean of draws and the mean network may differ where it is close


def test_without_a_model_there_is_nothing_to_export(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no model with weights yet"):
        export_model(make(), tmp_path)


# New data ------------------------------------------------------------------------------------------------------------


def test_new_data_are_predicted_as_the_items_were(project: Project, digits: Digits, tmp_path: Path) -> None:
    """The first 200 rows again, from another file, with one row that cannot be used."""
    rows_ = digits.rows[:200].clone()
    rows_[7, 3] = torch.nan
    np.save(tmp_path / "new.npy", rows_.numpy())
    found = list(predict(project, Origin("features", tmp_path / "new.npy")))
    kept = predictions.read(project.folder)
    assert kept is not None
    told = [one.prediction for one in found if one.prediction is not None]
    p = np.array([list(prediction.probabilities.values()) for prediction in told])
    np.testing.assert_allclose(p, np.delete(kept.probabilities, 7, axis=0), atol=1e-6)
    assert [(one.id, one.prediction, "finite" in str(one.reason)) for one in found[199:]] == [("row 8", None, True)]
    assert found[0].id == "new-1"


def test_new_data_must_be_of_the_same_kind(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="items of kind features, not text"):
        list(predict(project, Origin("text", tmp_path / "new.csv", text="text")))


def test_without_a_model_nothing_is_predicted(make: Make, digits: Digits) -> None:
    with pytest.raises(ProjectError, match="no model with weights yet"):
        list(predict(make(), Origin("features", digits.file)))


def test_texts_are_embedded_as_they_were(tmp_path: Path) -> None:
    """TF-IDF is fitted on the project's texts once, and new texts go through the same tables."""
    words = {"owl": "night silent hunter mouse", "wren": "day small singer insect"}
    texts = [(name, f"{text} {number}") for number in range(30) for name, text in words.items()]
    project = Project.create(
        tmp_path / "p", [f"t{n}" for n in range(60)], classes=list(words), contents=[text for _, text in texts]
    )
    project.set("source", {"kind": "text", "path": str(tmp_path / "t.csv"), "text": "text", "id": None, "label": None})
    project.set("embedder", "tfidf")
    project.tell([f"t{n}" for n in range(12)], [texts[n][0] for n in range(12)], "ann")
    with project, Worker(tmp_path / "p") as worker:
        worker.work()
        assert worker.doing.state == "waiting", worker.doing.message
        (tmp_path / "new.csv").write_text("name,text\nx,a silent hunter of the night\ny,an insect for a small singer\n")
        found = list(predict(project, Origin("text", tmp_path / "new.csv", text="text", id="name")))
        assert [(one.id, one.prediction and one.prediction.label) for one in found] == [("x", "owl"), ("y", "wren")]
        export_model(project, tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.json", "model.safetensors", "tfidf.json", "tfidf.safetensors"
    }  # fmt: skip
