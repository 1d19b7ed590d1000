"""What goes in and out of the API, as JSON."""

from typing import Annotated
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from asktell.project.catalogue import Filter
from asktell.project.worker import Notice
from asktell.web.asking import End
from asktell.web.sessions import NAME_LENGTH

MOST_QUESTIONS = 20
Receipt = Annotated[
    str, Field(min_length=8, max_length=64, description="Made up by the sender; the same when it sends again.")
]
Name = Annotated[str, Field(max_length=NAME_LENGTH, description="Only for programs: under which name to keep it.")]
Id = Annotated[str, Field(min_length=1, max_length=4096)]
Ahead = Annotated[int, Field(ge=1, le=MOST_QUESTIONS, description="How many of the next questions to send back.")]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Answer(_Sent):
    """One answer: the name of a class, or null to skip."""

    receipt: Receipt
    item: Id
    label: str | None = Field(max_length=4096)
    annotator: Name = ""
    ahead: Ahead = 6


class Undo(_Sent):
    """The annotator's newest answer, to `item` if named, no longer counts."""

    receipt: Receipt
    item: Id | None = None
    annotator: Name = ""
    ahead: Ahead = 6


class Flag(_Sent):
    """Somebody should look at the item again, or no longer."""

    receipt: Receipt | None = None
    item: Id
    flagged: bool
    annotator: Name = ""


class Wanted(_Sent):
    """Which items to list, and from which number on."""

    text: str = Field("", max_length=200, description="Occurs in the id or the text.")
    state: str = Field("", max_length=20, description="A state, or audit, or held-out.")
    label: str = Field("", max_length=4096)
    flagged: bool = False
    after: int = Field(0, ge=0, lt=2**62)
    limit: int = Field(40, ge=1, le=500)

    @property
    def filter(self) -> Filter:
        """All but the place."""
        return Filter(self.text, self.state, self.label, self.flagged)

    def link(self, after: int) -> str:
        """The address of the page that goes on after a number."""
        told = {"text": self.text, "state": self.state, "label": self.label, "flagged": "true" if self.flagged else ""}
        return "/items?" + urlencode({name: value for name, value in {**told, "after": after}.items() if value})


class Asked(BaseModel):
    """A question: the item, and what there is to see of it. `number` is that of its query."""

    item: str
    query: int
    kind: str = Field(description="text, image, row, or name")
    text: str = ""
    cut: bool = Field(False, description="The text goes on; GET /api/item gives all of it.")
    image: str = Field("", description="Where to get the image.")
    row: tuple[float, ...] = ()
    trouble: str = Field("", description="Why there is nothing to see.")
    flagged: bool = False


class Progress(BaseModel):
    """Labels that were asked for: bought, on order, and left of the limit, if there is one."""

    spent: int
    pending: int
    limit: int | None
    left: int | None


class Batch(BaseModel):
    """The next questions, and how far the project is."""

    questions: list[Asked]
    progress: Progress
    audit_used_up: bool
    end: End | None = Field(description="Why there are no questions.")
    worker: Notice


class Told(BaseModel):
    """An answer; `label` is null for a skip."""

    number: int
    annotator: str
    label: str | None
    query: int | None
    created: str
    stands: bool


class Answered(Batch):
    """The same, after an answer. `recorded` is false if it had been taken before, or changes nothing."""

    item: str
    recorded: bool = True
    before: Told | None = Field(
        None, description="A class that somebody else answered meanwhile. A class replaces it; a skip leaves it."
    )


class Why(BaseModel):
    """Why an item was asked: the strategy, its score, the place in its query (1 is the first), model, seed, time."""

    item: str
    sentence: str
    strategy: str
    score: float | None
    rank: int
    probability: float | None
    model: str | None
    seed: int
    query: int
    created: str


class Listed(BaseModel):
    """An item in a list."""

    number: int
    id: str
    state: str
    part: str
    label: str | None
    flagged: bool


class Whole(Listed):
    """All about one item."""

    kind: str
    text: str
    image: str
    row: tuple[float, ...]
    answers: list[Told]


class Evaluated(BaseModel):
    """Right answers of so many, with Wilson's 95 % interval."""

    correct: int
    n: int
    value: float
    low: float
    high: float


class Trained(BaseModel):
    """One training of the model."""

    number: int
    model: str | None
    n_labelled: int
    started: str
    seconds: float
    held_out: Evaluated | None
    audit: Evaluated | None
    error: str | None


class State(BaseModel):
    """Where the project stands."""

    name: str
    classes: list[str]
    items: dict[str, int] = Field(description="How many in each state.")
    labels: dict[str, int] = Field(description="How many of each class.")
    audit: dict[str, int] = Field(description="Reserved items by state.")
    held_out: dict[str, int]
    flagged: int
    queries: int
    closed: int = Field(description="Questions answered or skipped.")
    progress: Progress
    trainings: int
    newest: Trained | None
    stop: bool = Field(description="Whether the advice is to stop.")
    worker: Notice
