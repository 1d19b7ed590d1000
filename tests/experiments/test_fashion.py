"""Fashion-MNIST: from a folder, from Debian, from the cache, and where it cannot be had."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asktell.errors import DataError
from asktell.experiments import datasets
from asktell.experiments.datasets import cache, fashion
from asktell.experiments.datasets.cache import Arrays
from asktell.experiments.datasets.mnist import FILES

DRAWN = np.random.default_rng(0)
SMALL: Arrays = {
    "images": DRAWN.integers(0, 256, (6, 28, 28), np.uint8),
    "labels": np.array([9, 0, 1, 2, 3, 4], dtype=np.uint8),
    "test_images": DRAWN.integers(0, 256, (4, 28, 28), np.uint8),
    "test_labels": np.arange(4, dtype=np.uint8),
}
ARCHIVE = b"a package"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four small files in place of Fashion-MNIST's."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, array in SMALL.items():
        sizes = np.array(array.shape, ">u4").tobytes()
        (folder / f"{FILES[name]}.gz").write_bytes(
            gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())
        )
    monkeypatch.setattr(fashion, "SHA256", {name: cache.digest(array) for name, array in SMALL.items()})
    monkeypatch.delenv(fashion.VARIABLE, raising=False)
    return folder


@pytest.fixture
def debian(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only programs there are: an apt-get that leaves an archive, a dpkg-deb that leaves the files."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script(programs / "apt-get", f"printf '{ARCHIVE.decode()}' > {fashion.DEBIAN.file}")
    script(programs / "dpkg-deb", f'd="$3/usr/share/datasets/fashion-mnist"; mkdir -p "$d" && cp {files}/* "$d"')
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(fashion, "DEBIAN", replace(fashion.DEBIAN, sha256=hashlib.sha256(ARCHIVE).hexdigest()))
    return programs


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{text}\n")
    path.chmod(0o755)


def assert_small(dataset: datasets.Dataset) -> None:
    assert dataset.ids == ("0", "1", "2", "3", "4", "5")
    assert [dataset.classes[label] for label in dataset.labels.tolist()][:3] == ["ankle boot", "t-shirt", "trousers"]
    assert torch.equal((dataset.inputs * 255).round().byte()[:, 0], torch.tensor(SMALL["images"]))
    assert torch.equal((dataset.test_inputs * 255).round().byte()[:, 0], torch.tensor(SMALL["test_images"]))
    assert dataset.test_labels.tolist() == [0, 1, 2, 3]


def test_files_of_ones_own(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fashion.VARIABLE, str(files))
    dataset = datasets.load("fashion-mnist")
    assert_small(dataset)
    assert dataset.source == f"files in {files}"
    (files / f"{FILES['images']}.gz").unlink()
    assert torch.equal(fashion.clothes(), dataset.test_inputs)  # needs no other file
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        datasets.load("fashion-mnist")


def test_other_files_are_refused(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion, "SHA256", {**fashion.SHA256, "labels": "another"})
    with pytest.raises(DataError, match=r"not Fashion-MNIST \(wrong sha256 of train-labels-idx1-ubyte\)"):
        fashion.from_folder(files)


def test_debian_s_package_is_unpacked_once_and_kept(
    debian: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = datasets.load("fashion-mnist", cache=tmp_path / "kept")
    assert_small(first)
    assert first.source == "Debian dataset-fashion-mnist"
    assert capsys.readouterr().err == "asktell: downloading Debian dataset-fashion-mnist\n"
    (debian / "apt-get").unlink()
    assert_small(datasets.load("fashion-mnist", cache=tmp_path / "kept"))
    assert torch.equal(fashion.clothes(tmp_path / "kept"), first.test_inputs)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["fashion-mnist.npz"]


@pytest.mark.parametrize(
    ("program", "does", "words"),
    [
        (
            "apt-get",
            "echo E: Unable to locate package >&2; exit 100",
            "the download failed: E: Unable to locate package",
        ),
        ("apt-get", f"printf other > {fashion.DEBIAN.file}", "has sha256 .* expected"),
        ("dpkg-deb", "exit 2", "cannot be unpacked .*exit status 2"),
        ("dpkg-deb", 'mkdir -p "$3"', "holds no train-images-idx3-ubyte"),
    ],
)
def test_what_failed_is_said_and_what_to_do(program: str, does: str, words: str, debian: Path, tmp_path: Path) -> None:
    script(debian / program, does)
    with pytest.raises(DataError, match=words) as caught:
        datasets.load("fashion-mnist", cache=tmp_path / "kept")
    message = str(caught.value)
    assert message.startswith("Fashion-MNIST cannot be had. Tried: ")
    assert "apt-get update" in message
    assert "t10k-images-idx3-ubyte" in message
    assert message.endswith("into a folder and set ASKTELL_FASHION_MNIST_DIR to it")
    assert not (tmp_path / "kept").exists()


def test_a_machine_without_apt_is_told(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(files))
    with pytest.raises(DataError, match=r"dataset-fashion-mnist: apt-get and dpkg-deb are not installed\. Be online"):
        datasets.load("fashion-mnist", cache=tmp_path / "kept")


def test_fashion_mnist_is_what_it_should_be() -> None:
    try:
        real = datasets.load("fashion-mnist")
    except DataError as error:
        pytest.skip(str(error))
    assert real.inputs.shape == (60000, 1, 28, 28)
    assert real.test_inputs.shape == (10000, 1, 28, 28)
    assert [bound.item() for bound in real.inputs.aminmax()] == [0, 1]
    assert real.labels.bincount().tolist() == [6000] * 10
    assert real.test_labels.bincount().tolist() == [1000] * 10
    assert real.inputs.double().mean().item() == pytest.approx(0.2860, abs=1e-4)
    boots, shirts = (real.inputs[real.labels == real.classes.index(name)] for name in ("ankle boot", "t-shirt"))
    assert boots[:, :, :5].mean() < 0.1 < shirts[:, :, :5].mean()  # a boot is empty above
