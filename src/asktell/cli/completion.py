"""What the shell offers to complete. The names come from the registries, so the first <TAB> takes as long as torch."""

from collections.abc import Callable, Iterable


def protocols(incomplete: str) -> list[str]:
    """Names of protocols that begin so."""
    from asktell.experiments.protocols import PROTOCOLS

    return _beginning(incomplete, PROTOCOLS)


def strategies(incomplete: str) -> list[str]:
    """Names of strategies that begin so."""
    from asktell.strategies import recipes

    return _beginning(incomplete, (recipe.name for recipe in recipes()))


def several(names: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The same for the last of several names between commas."""

    def completions(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + name for name in names(last)]

    return completions


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
