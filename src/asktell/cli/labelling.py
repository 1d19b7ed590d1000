"""The commands of a labelling project: made from data, served, worked on, exported."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from asktell.cli import completion, report, running
from asktell.cli.files import read_classes
from asktell.cli.words import PROJECTS, RESULTS, RUNNING, Folder, Json, exactly_one, made_by

app = typer.Typer()
classes_app = typer.Typer(no_args_is_help=True, help="Add, rename and merge the classes of a project.")
app.add_typer(classes_app, name="classes", rich_help_panel=PROJECTS)

_LabelsAre = Annotated[
    Literal["known", "test"],
    typer.Option(help="Labels that exist already: known ones to train on, or of the test set that is held out."),
]
_Drop = Annotated[bool, typer.Option("--drop-duplicates", help="Leave out items with the content of an earlier one.")]


@app.command(rich_help_panel=PROJECTS)
def new(
    folder: Folder,
    images: Annotated[Path | None, typer.Option(help="A folder of images, sub-folders included.")] = None,
    table: Annotated[Path | None, typer.Option(help="A table of texts: .csv, .tsv, .jsonl or .parquet.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="One row of numbers per item: .npy, or .parquet with numeric columns.")
    ] = None,
    text: Annotated[str, typer.Option(help="The table's column of texts.")] = "text",
    classes: Annotated[str | None, typer.Option(help="Names separated by commas.")] = None,
    classes_file: Annotated[Path | None, typer.Option(help="Names, one a line.")] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Column of the ids. Default: the file's name and the row; for images the path.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of labels that exist already.")] = None,
    folder_labels: Annotated[
        bool, typer.Option("--folder-labels", help="The first sub-folder of an image names its class.")
    ] = False,
    labels_are: _LabelsAre = "known",
    audit: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the items that is reserved to measure accuracy.")
    ] = 0.1,
    budget: Annotated[int | None, typer.Option(min=0, help="How many labels may be bought. Default: no limit.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is reserved and all that is random.")] = 0,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Which questions to ask once there is a model. Default: kmeans-margin; power-bald with --learner.",
            autocompletion=completion.strategies,
        ),
    ] = None,
    embedder: Annotated[
        Literal["minilm", "tfidf", "efficientnet-lite0", "pixels", "features"] | None,
        typer.Option(help="What turns items into numbers. Default: minilm or tfidf, efficientnet-lite0, features."),
    ] = None,
    learner: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="Your own learner instead of ours.")
    ] = None,
    drop_duplicates: _Drop = False,
    as_json: Json = False,
) -> None:
    """Make a labelling project from data, ready to be served.

    Items get ids for life; what cannot be read is left out and listed, with the
    reason, in left-out.csv. A tenth of the items is reserved: asked in between, in
    an order that no model decides, they measure how good the model is. Without
    --classes, the classes are those of the labels that exist already.

    Example: asktell new news --table articles.csv --text body --classes business,politics,sport

    Example: asktell new birds --images photos --classes owl,wren

    Example: asktell new birds --images photos --folder-labels --labels-are test
    """
    from asktell.cli import founding
    from asktell.pools.founding import Origin

    exactly_one({"--images": images is not None, "--table": table is not None, "--features": features is not None})
    if folder_labels and images is None:
        raise typer.BadParameter("--folder-labels belongs to --images; name a column with --label-column")
    if images is not None and (id_column or label_column):
        raise typer.BadParameter("images have no columns; say --folder-labels if sub-folders are classes")
    if images is not None:
        origin = Origin("images", images, label="folder" if folder_labels else None)
    elif table is not None:
        origin = Origin("text", table, text, id_column, label_column)
    else:
        origin = Origin("features", features or Path(), None, id_column, label_column)
    named = read_classes(classes, classes_file) if classes or classes_file else []
    told = {"strategy": _strategy(strategy, learner), "embedder": embedder, "learner": learner, "made_by": made_by()}
    settings = {name: value for name, value in told.items() if value is not None}
    founding.new(
        folder, founding.Founding(origin, named, labels_are, seed, budget, audit, drop_duplicates, settings), as_json
    )


@app.command(rich_help_panel=PROJECTS)
def sample(
    name: Annotated[Literal["bbc-news", "mnist"], typer.Argument(help="Texts, or images.")],
    path: Annotated[Path, typer.Argument(help="The table, or the folder of images; must not exist yet.")],
    count: Annotated[int | None, typer.Option(min=1, help="Items without a label. Default: all.")] = None,
    test: Annotated[int, typer.Option(min=0, help="Items with a label, to measure accuracy.")] = 400,
) -> None:
    """Fetch real data to try a project on: news articles as a table, or digits as PNG files.

    Example: asktell sample bbc-news news.csv

    Example: asktell sample mnist digits --count 5000
    """
    from asktell.experiments.samples import write_sample

    items, answers = write_sample(name, path, count=count, test=test)
    typer.echo(f"{path}: {items:,} items, {test:,} of them with labels; the labels of the others are in {answers}")


@app.command(rich_help_panel=PROJECTS)
def add(
    folder: Folder,
    table: Annotated[
        Path | None, typer.Argument(help="Another table with the same columns. Default: the project's own data.")
    ] = None,
    labels_are: _LabelsAre = "known",
    drop_duplicates: _Drop = False,
    as_json: Json = False,
) -> None:
    """Add what is new in the project's data; items that it holds already are passed over.

    Example: asktell add birds

    Example: asktell add news december.csv
    """
    from asktell.cli import founding

    founding.add(folder, table, labels_are, drop_duplicates, as_json)


@app.command(rich_help_panel=RUNNING)
def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs --expose.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    name: Annotated[
        list[str] | None, typer.Option(help="Another name by which browsers reach the server. Repeatable.")
    ] = None,
    expose: Annotated[bool, typer.Option("--expose", help="Let other machines reach the server.")] = False,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only the page; a worker runs elsewhere.")] = False,
) -> None:
    """Open the labelling page, and train in the background.

    Example: asktell serve birds
    """
    running.serve(folder, host, port, name or [], expose, not no_worker)


@app.command(rich_help_panel=RUNNING)
def worker(folder: Folder) -> None:
    """Embed, train and ask for a project until stopped: the half of serve without a page.

    Example: asktell worker birds
    """
    running.worker(folder)


@app.command(rich_help_panel=RESULTS)
def export(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="A .csv, .jsonl or .parquet file of all items.")] = None,
    labelled: Annotated[bool, typer.Option("--labelled", help="Only the items that have a label.")] = False,
    model: Annotated[Path | None, typer.Option(help="A folder for the newest model: safetensors and JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Write what the project knows: labels, answers, predictions, why each item was asked; or the model.

    Example: asktell export birds --out birds.parquet

    Example: asktell export birds --model birds-model
    """
    exactly_one({"--out": out is not None, "--model": model is not None})
    if out is not None:
        running.export_items(folder, out, labelled, as_json)
    elif model is not None:
        running.export_model(folder, model, as_json)


@app.command("report", rich_help_panel=RESULTS)
def report_(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="The file. Default: report.html in the project's folder.")] = None,
    as_json: Json = False,
) -> None:
    """Write a page about a project that needs nothing else to be read: for whoever was not there.

    The learning curve with its interval, the audit, labels by class and answers by
    annotator, what each strategy asked, the advice on stopping, versions, commands.

    Example: asktell report birds --out birds.html
    """
    report.report(folder, out, as_json)


@app.command(rich_help_panel=RESULTS)
def predict(
    folder: Folder,
    data: Annotated[Path, typer.Argument(help="New data of the project's kind: folder, table, features.")],
    out: Annotated[Path, typer.Option(help="A .csv, .jsonl or .parquet file.")],
    as_json: Json = False,
) -> None:
    """Label new data by the newest model, with probabilities and uncertainty.

    Columns are called as in the project's own data.

    Example: asktell predict news january.csv --out predicted.csv
    """
    running.predict(folder, data, out, as_json)


@app.command(rich_help_panel=PROJECTS)
def password(
    folder: Folder,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read it from standard input instead of asking.")] = False,
    as_json: Json = False,
) -> None:
    """Set the password that the page asks for.

    Example: asktell password birds
    """
    told = (
        typer.get_text_stream("stdin").readline().rstrip("\r\n")
        if stdin
        else typer.prompt("password", hide_input=True, confirmation_prompt=True)
    )
    running.change_password(folder, told, as_json)


@app.command(rich_help_panel=PROJECTS)
def token(folder: Folder, as_json: Json = False) -> None:
    """Make a token with which programs may use the server, and print it; the one before ends.

    Example: asktell token birds
    """
    running.new_token(folder, as_json)


@app.command(rich_help_panel=PROJECTS)
def settings(
    folder: Folder,
    name: Annotated[str | None, typer.Argument(help="Which one to change. Default: print all.")] = None,
    value: Annotated[str | None, typer.Argument(help="Its value: JSON, or text.")] = None,
    as_json: Json = False,
) -> None:
    """Print or change how a project is worked on: strategy, queue, retrain_every, draws, candidates, stop.

    Example: asktell settings birds

    Example: asktell settings birds retrain_every 20
    """
    if name is None:
        running.show_settings(folder, as_json)
    elif value is None:
        raise typer.BadParameter("give the value too")
    else:
        running.change_setting(folder, name, value)


@app.command("fold-in", rich_help_panel=RUNNING)
def fold_in(folder: Folder, as_json: Json = False) -> None:
    """Let the audited items train: they measure accuracy no more.

    Example: asktell fold-in birds
    """
    running.fold_in(folder, as_json)


@app.command(rich_help_panel=PROJECTS)
def budget(
    folder: Folder,
    limit: Annotated[str, typer.Argument(metavar="N|none", help="How many labels may be bought in all.")],
    as_json: Json = False,
) -> None:
    """Set how many labels may be bought.

    Example: asktell budget birds 500
    """
    if limit != "none" and not limit.isdigit():
        raise typer.BadParameter(f"{limit!r} is no number of labels; write one, or none")
    running.set_budget(folder, None if limit == "none" else int(limit), as_json)


@classes_app.command("add")
def add_class(folder: Folder, name: Annotated[str, typer.Argument()], as_json: Json = False) -> None:
    """One more class, after all others; the model is trained anew.

    Example: asktell classes add birds robin
    """
    running.change_classes(folder, lambda project: project.add_class(name), as_json)


@classes_app.command("rename")
def rename_class(
    folder: Folder, name: Annotated[str, typer.Argument()], to: Annotated[str, typer.Argument()], as_json: Json = False
) -> None:
    """Another name for a class; its answers follow.

    Example: asktell classes rename birds owl "barn owl"
    """
    running.change_classes(folder, lambda project: project.rename_class(name, to), as_json)


@classes_app.command("merge")
def merge_classes(
    folder: Folder,
    source: Annotated[str, typer.Argument()],
    into: Annotated[str, typer.Argument()],
    as_json: Json = False,
) -> None:
    """Count all that is SOURCE as INTO, for good.

    Example: asktell classes merge birds "barn owl" owl
    """
    running.change_classes(folder, lambda project: project.merge_classes(source, into), as_json)


def _strategy(name: str | None, learner: str | None) -> dict[str, object]:
    """As the project keeps it; an unknown name is found when the project is made."""
    from asktell.engine.settings import default_strategy
    from asktell.strategies import strategy_alone, to_json

    return dict(to_json(default_strategy(learner) if name is None else strategy_alone(name)))
