"""`asktell strategies`: all that are registered, and what the documentation says of one."""

from asktell.cli.project import print_json
from asktell.strategies import Recipe, pages, recipes
from asktell.strategies.costs import COSTS


def listed(as_json: bool) -> None:
    """Print every recipe with its needs, cost class and source."""
    told = [_document(recipe) for recipe in recipes()]
    if as_json:
        print_json(told)
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("strategy", no_wrap=True), "evidence", Column("cost", no_wrap=True), "source")
    for one in told:
        table.add_row(*map(_shown, one.values()))
    console = Console()
    console.print(table)
    for name, meaning in COSTS.items():
        console.print(f"{name}: {meaning}", highlight=False)


def shown(name: str) -> None:
    """Print its page; as Markdown where nobody looks."""
    from rich.console import Console
    from rich.markdown import Markdown

    console, text = Console(), pages.page(name).text
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        print(text)


def _document(recipe: Recipe) -> dict[str, object]:
    page = pages.find(recipe.name)
    return {
        "strategy": recipe.name,
        "evidence": sorted(recipe.strategy.needs),
        "cost": recipe.cost,
        "source": page.source if page else None,
    }


def _shown(value: object) -> str:
    return (", ".join(value) if isinstance(value, list) else str(value or "")) or "–"
