"""Texts by the words in them: nothing to download, fitted once on the project's own texts."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from asktell.errors import DataError
from asktell.pools.protocols import Embeddings
from asktell.writing import write_whole

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

TERMS = 50_000
WIDTH = 256
SAMPLE = 100_000
"""Texts to fit on; of more, so many are drawn."""

Weights = Float32[np.ndarray, " t"]
Directions = Float32[np.ndarray, "d t"]


class TfIdf:
    """Words and pairs of words, weighed by (1 + log count) * idf, in the main directions of the texts it was fitted on.

    `terms` [t] in the order of columns, `idf` [t], `directions` [d, t]. Rows have norm 1, or 0 for a text without any
    of the terms. `name` is another for every fit. Made by `TfIdf.fit` or `TfIdf.open`.
    """

    def __init__(self, terms: Sequence[str], idf: Weights, directions: Directions) -> None:
        if not len(terms) == len(idf) == directions.shape[1]:
            raise DataError(f"{len(terms)} terms, {len(idf)} weights, {directions.shape[1]} columns: they must agree")
        self.terms, self.idf = tuple(terms), np.ascontiguousarray(idf)
        self.directions = np.ascontiguousarray(directions)  # safetensors writes bytes as they lie
        self.width = len(directions)
        written = json.dumps(self.terms, ensure_ascii=False).encode() + self._weights()
        self.name = f"tfidf-{hashlib.sha256(written).hexdigest()[:8]}"
        self._vectorizer = _vectorizer({term: place for place, term in enumerate(terms)})
        self._vectorizer.idf_ = idf

    @classmethod
    def fit(cls, texts: Sequence[str], *, seed: int = 0) -> "TfIdf":
        """Fitted on `texts`, or on 100,000 of them drawn with `seed`: 50,000 terms and 256 directions, or fewer.

        The same texts in the same order give the same. Raises `DataError` for texts without a word.
        """
        from sklearn.decomposition import TruncatedSVD

        vectorizer = _vectorizer(None)
        try:
            weighed = vectorizer.fit_transform(_sample(texts, seed))
        except ValueError as error:
            raise DataError(f"no words to go by in {len(texts)} texts ({error}); use another embedder") from None
        terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
        width = min(WIDTH, *weighed.shape)
        main = TruncatedSVD(width, random_state=seed % 2**32).fit(weighed)
        return cls(terms, vectorizer.idf_.astype(np.float32), main.components_.astype(np.float32))

    @classmethod
    def open(cls, folder: Path | str) -> "TfIdf":
        """What `save` wrote into `folder`. Raises `DataError` for what is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        file = Path(folder) / "tfidf.json"
        try:
            kept = json.loads(file.read_bytes())
            weights = file.with_suffix(".safetensors").read_bytes()
            if hashlib.sha256(weights).hexdigest() != kept["sha256"]:
                raise ValueError("its weights have another sha256")
            arrays = load(weights)
            return cls(kept["terms"], arrays["idf"], arrays["directions"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DataError(f"{file} cannot be read ({error}); delete it, and it is fitted again") from None

    def save(self, folder: Path | str) -> None:
        """Write tfidf.safetensors and tfidf.json; raises `DataError` where that fails."""
        file = Path(folder) / "tfidf.json"
        weights = self._weights()
        known = {"terms": self.terms, "sha256": hashlib.sha256(weights).hexdigest()}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file.with_suffix(".safetensors"), weights)
            write_whole(file, json.dumps(known, ensure_ascii=False).encode())
        except OSError as error:
            raise DataError(f"{file} cannot be written ({error.strerror}); make room, or allow writing") from None

    def embed(self, values: Sequence[str], /) -> Embeddings:
        """Where the texts lie."""
        rows = np.asarray(self._vectorizer.transform(values) @ self.directions.T, np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        found: Embeddings = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
        return found

    def _weights(self) -> bytes:
        from safetensors.numpy import save

        return save({"directions": self.directions, "idf": self.idf})


def _vectorizer(vocabulary: dict[str, int] | None) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    most = TERMS if vocabulary is None else None
    return TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, max_features=most, vocabulary=vocabulary, dtype=np.float32
    )


def _sample(texts: Sequence[str], seed: int) -> Sequence[str]:
    if len(texts) <= SAMPLE:
        return texts
    drawn = np.random.default_rng(seed).choice(len(texts), SAMPLE, replace=False)
    return [texts[place] for place in np.sort(drawn)]
