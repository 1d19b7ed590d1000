"""`asktell figure`: the figures of the seed repository, as files."""

from pathlib import Path
from typing import Annotated

import typer

from asktell.experiments.figures import FIGURES, RESULTS

_NAMES = "\n\n".join(f"{name}: {known.summary}." for name, known in FIGURES.items())
HELP = f"""Draw a figure by name into a png, svg or pdf.

{_NAMES}

Example: asktell figure two-moons-boundaries --out moons.pdf

Example: asktell figure mnist-curves --results {RESULTS}/mnist-seed --out curves.svg
"""


def _beginning(incomplete: str) -> list[str]:
    return [name for name in FIGURES if name.startswith(incomplete)]


def figure(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of the names above.", autocompletion=_beginning)],
    out: Annotated[Path, typer.Option(help="The file; .png, .svg or .pdf by its ending. It is replaced.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="For figures from recorded cells: a folder that `experiment run` wrote. Repeatable."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="For figures that are computed on the spot. Default: 0.")] = None,
) -> None:
    """Draw a figure by name."""
    from rich.console import Console

    from asktell.experiments.figures import draw
    from asktell.experiments.figures.saving import check_target, save

    check_target(out)
    with Console(stderr=True).status(f"drawing {name}"):
        save(draw(name, seed=seed, results=results or ()), out)
    typer.echo(f"wrote {out}")
