"""Progress of a grid of cells: bars on a terminal, a line per finished cell elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from asktell.experiments.cell import Cell
from asktell.experiments.grid import Watcher


@contextmanager
def watching(cells: Sequence[Cell]) -> Iterator[Watcher]:
    """A watcher that shows what `grid.run` tells it."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(cells, console) as watcher:
            yield watcher
    else:
        yield _lines(cells, console)


@contextmanager
def _bars(cells: Sequence[Cell], console: Console) -> Iterator[Watcher]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        rounds = sum(cell.protocol.rounds + 1 for cell in cells)
        overall = progress.add_task("rounds", total=rounds)
        bars = {cell: progress.add_task(cell.name, total=cell.protocol.rounds + 1, visible=False) for cell in cells}

        def watch(written: dict[Cell, int]) -> None:
            progress.update(overall, completed=sum(written.values()))
            for cell, done in written.items():
                progress.update(bars[cell], completed=done, visible=0 < done <= cell.protocol.rounds)

        yield watch


def _lines(cells: Sequence[Cell], console: Console) -> Watcher:
    reported = {cell for cell in cells if cell.finished}

    def watch(written: dict[Cell, int]) -> None:
        for cell, done in written.items():
            if done > cell.protocol.rounds and cell not in reported:
                reported.add(cell)
                console.print(f"{len(reported)} of {len(cells)} cells: {cell.name} is done", highlight=False)

    return watch
