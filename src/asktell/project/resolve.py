"""How the annotations of an item become one label."""

from collections.abc import Sequence
from typing import TypeVar

Label = TypeVar("Label")


def resolve(answers: Sequence[Label]) -> Label:
    """What the answers to one item, oldest first, come to: the newest wins. There is at least one.

    >>> resolve(["owl", "wren", "owl", "hawk"])
    'hawk'
    """
    return answers[-1]
