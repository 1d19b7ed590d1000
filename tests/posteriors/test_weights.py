"""The name of a model, and its weights on disk."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors import Deterministic, Draws, MCDropout, load_weights, model_id, save_weights
from asktell.randomness import derive, seeded
from asktell.rows import Rows
from asktell.training import two_moons_mlp


def made(seed: int = 0) -> nn.Module:
    with seeded(derive(seed)):
        return two_moons_mlp()


def test_the_id_is_that_of_the_weights() -> None:
    name = model_id(MCDropout(made()))
    assert len(name) == 64
    assert name == model_id(Deterministic(made()))
    assert name != model_id(MCDropout(made(1)))


def test_the_id_tells_names_shapes_and_dtypes_apart() -> None:
    zeros = {"a": torch.zeros(4), "b": torch.zeros(2, 2), "c": torch.zeros(2, dtype=torch.float64)}

    class Holder(nn.Module):
        def __init__(self, name: str, kind: str) -> None:
            super().__init__()
            self.register_buffer(name, zeros[kind])

    ids = {model_id(Deterministic(Holder(name, kind))) for name in "xy" for kind in "abc"}
    assert len(ids) == 6


def test_the_id_serves_every_dtype() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert model_id(Deterministic(made().to(dtype))) == model_id(Deterministic(made().to(dtype)))
    assert len(model_id(Deterministic(nn.BatchNorm1d(3)))) == 64  # holds an int64 without axes


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    path, module = tmp_path / "weights.safetensors", made(1)
    save_weights(made(0), path)
    load_weights(module, path)
    assert model_id(Deterministic(module)) == model_id(Deterministic(made(0)))


def test_weights_that_were_expanded_have_the_id_of_their_numbers_and_are_saved(tmp_path: Path) -> None:
    def shifted(shift: torch.Tensor) -> nn.Module:
        module = nn.Linear(1, 1)
        module.weight, module.bias = nn.Parameter(torch.ones(1, 1)), nn.Parameter(shift)
        return module

    expanded = shifted(torch.tensor(2.0).expand(1))
    assert model_id(Deterministic(expanded)) == model_id(Deterministic(shifted(torch.tensor([2.0]))))
    save_weights(expanded, tmp_path / "weights.safetensors")
    read = shifted(torch.tensor([0.0]))
    load_weights(read, tmp_path / "weights.safetensors")
    assert read.state_dict()["bias"].tolist() == [2.0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    save_weights(nn.Sequential(layer, nn.ReLU(), layer), tmp_path / "tied")
    load_weights(nn.Sequential(layer, nn.ReLU(), layer), tmp_path / "tied")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    save_weights(made(0), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(made(1), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights"]


def test_damaged_and_foreign_files_raise(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"no safetensors")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load_weights(made(), path)
    save_weights(nn.Linear(2, 2), path)
    with pytest.raises(ModelError, match="do not fit"):
        load_weights(made(), path)


class Committee:
    """A posterior of no weights."""

    offers = frozenset({"log_probs"})
    distinct = 1

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        raise NotImplementedError

    def predict(self, inputs: Rows) -> Tensor:
        raise NotImplementedError


def test_what_has_no_weights_has_no_id() -> None:
    with pytest.raises(ModelError, match="no weights"):
        model_id(Committee())
