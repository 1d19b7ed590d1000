"""The commands. Each imports what it works with when it runs: only `ask`, `experiment` and `figure` load torch."""

from pathlib import Path
from typing import Annotated

import typer

import asktell
from asktell.cli import completion, experiment, figure, labelling, project
from asktell.cli.files import read_classes, read_ids
from asktell.cli.words import EXPERIMENTS, PROJECTS, RESULTS, RUNNING, Folder, Json, exactly_one
from asktell.project import ItemPart, ItemState
from asktell.project.files import Format
from asktell.types import SKIP

app = typer.Typer(
    help="Bayesian active learning that people can run: ask for the labels that matter most, tell the answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(experiment.app, name="experiment", rich_help_panel=EXPERIMENTS)

_Column = Annotated[
    str | None,
    typer.Option(help="Column (.csv, .tsv, .jsonl, .parquet: id unless named) or array (.npz: ids) of the ids."),
]


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"asktell {asktell.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of `asktell` itself."""


@app.command(rich_help_panel=PROJECTS)
def init(
    folder: Folder,
    items: Annotated[
        Path, typer.Option(help="The ids: one a line (- for stdin), or .csv, .tsv, .jsonl, .npz, .parquet.")
    ],
    classes: Annotated[str | None, typer.Option(help="Names of the classes, separated by commas.")] = None,
    classes_file: Annotated[Path | None, typer.Option(help="The same, one a line of a file.")] = None,
    id_column: _Column = None,
    seed: Annotated[int, typer.Option(help="What every query's randomness is derived from.")] = 0,
    budget: Annotated[int | None, typer.Option(min=0, help="Labels that may be asked for. Default: no limit.")] = None,
    as_json: Json = False,
) -> None:
    """Make a project: the items that can be labelled, and the classes they may have.

    The order of the classes is the order of a model's outputs.

    Example: asktell init birds --classes owl,wren --items ids.txt
    """
    exactly_one({"--classes": classes is not None, "--classes-file": classes_file is not None})
    names = read_classes(classes, classes_file)
    project.init(folder, read_ids(items, id_column), names, seed, budget, as_json)


@app.command(rich_help_panel=PROJECTS)
def items(
    folder: Folder,
    add: Annotated[Path | None, typer.Option(help="New items: a file of ids, as for init.")] = None,
    withdraw: Annotated[Path | None, typer.Option(help="Take items out for good: a file of ids.")] = None,
    release_skipped: Annotated[
        bool, typer.Option("--release-skipped", help="Let all skipped items be asked again.")
    ] = False,
    state: Annotated[ItemState | None, typer.Option(help="Print the ids in this state, one a line.")] = None,
    part: Annotated[
        ItemPart | None, typer.Option(help="With --state: of this part only; pool is what strategies may ask.")
    ] = None,
    id_column: _Column = None,
    as_json: Json = False,
) -> None:
    """Count or list items by state, add some, withdraw some, or release the skipped ones.

    Counts and lists are of all items: of the pool that strategies ask from, reserved
    for the audit, and held out. Without --state the counts say how many of each.

    Example: asktell items birds --state pending

    Example: asktell items birds --state free --part pool
    """
    wanted = {"--add": add is not None, "--withdraw": withdraw is not None, "--release-skipped": release_skipped}
    if any(wanted.values()):
        exactly_one({**wanted, "--state": state is not None})
    if part is not None and state is None:
        raise typer.BadParameter("--part belongs to --state")
    if add is not None:
        project.add_items(folder, add, id_column, as_json)
    elif withdraw is not None:
        project.withdraw_items(folder, withdraw, id_column, as_json)
    elif release_skipped:
        project.release_skipped(folder, as_json)
    else:
        project.list_items(folder, state, part, as_json)


@app.command(rich_help_panel=RUNNING)
def ask(
    folder: Folder,
    strategy: Annotated[
        str,
        typer.Option(
            help="A name such as random, entropy, bald, batchbald or epig.", autocompletion=completion.strategies
        ),
    ],
    batch: Annotated[int, typer.Option("--batch", "-b", min=1, help="How many items to ask.")],
    evidence: Annotated[
        Path | None, typer.Option(help="Arrays by id: an .npz, or a .parquet. Default: none, as for random.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the strategy. Repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Default: the project's.")] = None,
    model: Annotated[str | None, typer.Option(help="What to call the model, for the record.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Rows to read at once, such as 2GB; changes no result.")
    ] = None,
    draws: Annotated[int | None, typer.Option(min=1, help="Draws in a .parquet column of flat log_probs.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say how rows will be read and what memory that takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Pick the items to label next, record them as asked, and print each with its score, best first.

    The evidence is a file with ids and, for each, what your model says: log_probs
    of shape items x draws x classes, point_log_probs (items x classes), features
    (items x numbers) or utility (items), as the strategy needs. Logarithms of
    probabilities, not logits. Rows stand in any order and there may be more than
    needed; those of candidates, labelled and pending items are found by id.
    target_log_probs has rows of its own; without it, targets are drawn from the
    candidates. An .npz holds the ids in ids, as numpy.savez writes it; a .parquet
    holds them in column id, and log_probs as lists of lists.

    Example: asktell ask birds --strategy batchbald -b 20 --evidence draws.npz

    Example: asktell ask birds --strategy power-bald --set beta=2.0 -b 20 --evidence draws.npz
    """
    from asktell.cli.ask import Asking
    from asktell.cli.ask import ask as ask_

    limit = None if memory is None else _bytes(memory)
    asking = Asking(strategy, batch, settings or (), evidence, seed, model, limit, draws, verbose)
    ask_(folder, asking, as_json)


@app.command(rich_help_panel=RUNNING)
def tell(
    folder: Folder,
    annotator: Annotated[str, typer.Option(envvar="ASKTELL_ANNOTATOR", help="Who answered.")],
    file: Annotated[Path | None, typer.Argument(help="Answers: .csv, .tsv or .jsonl; - for stdin.")] = None,
    how: Annotated[
        Format | None, typer.Option("--format", help="csv, tsv or jsonl. Default: by the ending, else csv.")
    ] = None,
    skip_label: Annotated[str | None, typer.Option(help="The label that means: cannot or will not say.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="One item, instead of a file.")] = None,
    label: Annotated[str | None, typer.Option(help="Its class.")] = None,
    skip: Annotated[bool, typer.Option("--skip", help="It was skipped.")] = False,
    as_json: Json = False,
) -> None:
    """Record answers: all of a file, or none if one of them is wrong.

    Tables have a header with the columns id and label, JSON lines are objects
    with id and label; what else stands there is left alone. A skipped item has
    the label that --skip-label names, or null in JSON; an empty label is an
    error, unless it is that word: --skip-label ''. The newest answer to an item
    decides, so corrections are told the same way.

    Example: asktell tell birds answers.csv --annotator ann

    Example: asktell tell birds --id bird-7 --label owl --annotator ann
    """
    exactly_one({"FILE": file is not None, "--id": id_ is not None})
    if how is Format.TEXT:
        raise typer.BadParameter("answers have two columns; write csv, tsv or jsonl")
    if file is None:
        exactly_one({"--label": label is not None, "--skip": skip})
        telling = project.Telling(id=id_, label=SKIP if label is None else label)
    elif label is not None or skip:
        raise typer.BadParameter("--label and --skip belong to --id, not to a file")
    else:
        telling = project.Telling(file, how, skip_label)
    project.tell(folder, telling, annotator, as_json)


@app.command(rich_help_panel=RESULTS)
def status(folder: Folder = Path(), as_json: Json = False) -> None:
    """What a project holds: items by state, labels by class, budget, queries.

    Example: asktell status birds
    """
    project.status(folder, as_json)


@app.command(rich_help_panel=RESULTS)
def labels(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, id to class.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table with the header id,label.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write a file instead, .csv, .tsv or .jsonl by its ending; replaces it.")
    ] = None,
) -> None:
    """What the answers resolve to: id, tab, class, one item a line.

    Example: asktell labels birds --csv --out labels.csv
    """
    if as_json and as_csv:
        raise typer.BadParameter("give one of --json and --csv")
    project.labels(folder, Format.CSV if as_csv else None, out, as_json)


@app.command(rich_help_panel=PROJECTS)
def backup(
    folder: Folder,
    file: Annotated[Path, typer.Argument(help="The copy; it must not exist yet.")],
    as_json: Json = False,
) -> None:
    """Copy a project into one file and check the copy; others may go on working meanwhile.

    Example: asktell backup birds birds.backup
    """
    project.backup(folder, file, as_json)


@app.command(rich_help_panel=EXPERIMENTS)
def strategies(
    name: Annotated[
        str | None, typer.Argument(help="One of them, to read its page.", autocompletion=completion.strategies)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the strategies with the evidence they need, what they cost and their source; or explain one.

    Example: asktell strategies

    Example: asktell strategies batchbald
    """
    from asktell.cli.strategies import listed, shown

    if name is None:
        listed(as_json)
    elif as_json:
        raise typer.BadParameter("--json is of the list; a page is text")
    else:
        shown(name)


app.command(help=figure.HELP, rich_help_panel=EXPERIMENTS)(figure.figure)
app.add_typer(labelling.app)


def _bytes(text: str) -> int:
    from asktell.cli.ask import size

    try:
        return size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
