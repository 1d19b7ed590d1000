"""Fitting several networks in one round: each from its own seed, and each kept once it is trained."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.learners.protocols import Round
from asktell.posteriors import Deterministic, load_weights, model_id, save_weights
from asktell.randomness import derive, seeded
from asktell.rows import Rows
from asktell.training import Training, fit
from asktell.training.fit import classes_of
from asktell.training.method import Method
from asktell.training.stacked import fit_together

Build = Callable[[int], nn.Module]
"""From the number of classes to an untrained network, on the device that it shall run on."""

Name = tuple[str | int, ...]
"""What a network is called within its round, such as ("member", 3): its random numbers depend on it."""

_READ_AT_ONCE = 256
_PLAIN = Method()


@dataclass
class Fitting:
    """One round's networks. With a `folder`, one that was trained before from the same start is read, not trained.

    The same start is: the same key, weights, data, training and `settings`. `finish` removes what the folder holds of
    other rounds; only one fit at a time can use it.
    """

    data: Round
    key: int
    folder: Path | None = None
    settings: str = ""
    _used: set[Path] = field(default_factory=set)
    _digest: str = ""

    def built(self, build: Build, *name: str | int) -> nn.Module:
        """An untrained network; raises `ModelError` unless it has the round's classes."""
        with seeded(derive(self.key, *name, "initialise")):
            module = build(len(self.data.classes))
        check_classes(module, self.data)
        return module

    def trained(self, module: nn.Module, training: Training, *name: str | int, method: Method = _PLAIN) -> nn.Module:
        """The module, trained in place, in eval mode. Raises `ModelError` that names it, also if a weight is NaN."""
        path = self._path(module, training, name)
        if path is not None and path.exists():
            load_weights(module, path)
            return module.eval()
        self._train(module, training, name, method)
        if path is not None:
            save_weights(module, path)
        return module

    def trained_together(self, modules: Sequence[nn.Module], training: Training, names: Sequence[Name]) -> None:
        """Train modules of one kind in place, all at once, each from the seed that it would have alone."""
        data, generators = self.data, [derive(self.key, *name, "fit") for name in names]
        fit_together(modules, data.inputs, data.labels, training=training, generators=generators)
        for module, name in zip(modules, names, strict=True):
            with _named(name):
                check_finite(module)

    def finish(self) -> None:
        """Keep what this round made and no more."""
        if self.folder is not None:
            for path in set(self.folder.glob("*.safetensors")) - self._used:
                path.unlink(missing_ok=True)

    def _train(self, module: nn.Module, training: Training, name: Name, method: Method) -> None:
        data, generator = self.data, derive(self.key, *name, "fit")
        with _named(name):
            fit(
                module,
                data.inputs,
                data.labels,
                training=training,
                validation=data.validation,
                generator=generator,
                method=method,
            )
            check_finite(module)

    def _path(self, module: nn.Module, training: Training, name: Name) -> Path | None:
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._digest = self._digest or _digest_of(self.data)
        start = model_id(Deterministic(module))
        told = f"{self.key} {name} {self._digest} {training} {self.settings} {start}"
        path = self.folder / f"{'-'.join(map(str, name))}-{hashlib.sha256(told.encode()).hexdigest()[:16]}.safetensors"
        self._used.add(path)
        return path


@contextmanager
def _named(name: Name) -> Iterator[None]:
    """A `ModelError` inside says which network it is about."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{' '.join(map(str, name))}: {error}") from error


def check_classes(module: nn.Module, data: Round) -> None:
    """Raise `ModelError` unless the module has as many classes as the round."""
    if not len(data.inputs):
        return  # nothing to see it by, and `fit` raises
    classes = classes_of(module, data.inputs[0:1])
    if classes != len(data.classes):
        raise ModelError(
            f"the network has {classes} classes, the round has {len(data.classes)}: build() must heed its argument"
        )


def check_finite(module: nn.Module) -> None:
    """Raise `ModelError` if a parameter or a buffer is NaN or infinite."""
    broken = [name for name, weight in module.state_dict().items() if not bool(weight.isfinite().all())]
    if broken:
        raise ModelError(f"training ended with NaN or infinity in {', '.join(broken)}; lower lr")


def _digest_of(data: Round) -> str:
    """sha256 of the labelled rows and of the validation set."""
    digest = hashlib.sha256()
    for rows, labels in [(data.inputs, data.labels), *([data.validation] if data.validation else [])]:
        for part in _parts(rows, labels):
            digest.update(f"{part.dtype} {list(part.shape)}\n".encode())
            whole = part.detach().cpu().clone(memory_format=torch.contiguous_format)
            digest.update(whole.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _parts(rows: Rows, labels: Tensor) -> Iterator[Tensor]:
    yield labels
    for start in range(0, len(rows), _READ_AT_ONCE):
        yield rows[start : start + _READ_AT_ONCE]
