"""The embedder that a project's settings name, ready to embed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from asktell.errors import ProjectError
from asktell.pools.protocols import Embedder

BY_KIND: Final[Mapping[str, str]] = {"images": "efficientnet-lite0", "text": "minilm", "features": "features"}
"""The embedder for a kind of source, where the settings name none."""

Texts = Callable[[], list[str]]
"""Gives the texts that an embedder is fitted on, where it is."""


def embedder_name(source: Mapping[str, object], named: str | None) -> str:
    """The embedder's name. Raises `ProjectError` where neither the settings nor the source say."""
    name = named or BY_KIND.get(str(source.get("kind")))
    if name is None:
        raise ProjectError(
            f"the project does not say what its items are (source kind {source.get('kind')!r}); make it from data, or "
            "set an embedder and a source"
        )
    return name


def embedder(name: str, source: Mapping[str, object], folder: Path, texts: Texts) -> Embedder:
    """The embedder called `name` for items of `source`; what is fitted lies in `folder`.

    Raises `DataError` where data or models cannot be had, `ProjectError` for a name that is unknown.
    """
    makers: Mapping[str, Callable[[], Embedder]] = {
        "minilm": _minilm,
        "tfidf": lambda: _tfidf(folder, texts),
        "efficientnet-lite0": lambda: _efficientnet(_path(source)),
        "pixels": lambda: _pixels(_path(source)),
        "features": lambda: _features(_path(source), source),
    }
    if name not in makers:
        raise ProjectError(f"there is no embedder called {name!r}; there are {', '.join(sorted(makers))}")
    return makers[name]()


def _minilm() -> Embedder:
    from asktell.pools.minilm import MiniLM

    return MiniLM()


def _tfidf(folder: Path, texts: Texts) -> Embedder:
    from asktell.pools.tfidf import TfIdf

    if (folder / "tfidf.json").exists():
        return TfIdf.open(folder)
    fitted = TfIdf.fit(texts())
    fitted.save(folder)
    return fitted


def _efficientnet(path: Path) -> Embedder:
    from asktell.pools.efficientnet import EfficientNetLite0

    return EfficientNetLite0(path)


def _pixels(path: Path) -> Embedder:
    from asktell.pools.pixels import Pixels

    return Pixels(path)


def _features(path: Path, source: Mapping[str, object]) -> Embedder:
    from asktell.pools.features import Features

    columns = {name: value for name in ("id", "label") if isinstance(value := source.get(name), str)}
    return Features(path, **columns)


def _path(source: Mapping[str, object]) -> Path:
    path = source.get("path")
    if not isinstance(path, str):
        raise ProjectError("the project does not say where its data lies; set source to JSON {kind, path}")
    return Path(path)
