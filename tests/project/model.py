"""An item and its answers, as plain as can be: what the store is tested against."""

from dataclasses import dataclass, field

from asktell.types import SKIP, Skip


@dataclass
class Answer:
    annotator: str
    label: str | Skip
    number: int
    stands: bool = True


@dataclass
class Item:
    """`base`: where the item stands without answers. `withdrawn`: where it stood when it was withdrawn."""

    part: str
    base: str = "free"
    answers: list[Answer] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    withdrawn: str = ""
    flagged: bool = False

    @property
    def standing(self) -> list[str | Skip]:
        return [answer.label for answer in self.answers if answer.stands]

    @property
    def alive(self) -> str:
        """Where it stands, or would stand."""
        if not self.standing:
            return self.base
        return "skipped" if self.standing[-1] is SKIP else "labelled"

    @property
    def state(self) -> str:
        return "withdrawn" if self.withdrawn else self.alive

    @property
    def question(self) -> str:
        """Where its newest question stands: what was answered before it was withdrawn stays answered."""
        states = {"free": "skipped", "pending": "open", "labelled": "answered", "skipped": "skipped"}
        return states[self.alive] if not self.withdrawn else states[self.withdrawn].replace("open", "withdrawn")
