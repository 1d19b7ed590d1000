"""MC-dropout draws: the prefix form against k full passes, on the DBAL network.

Both sides in one run: the same masks, the same batch, one thread, as the cells of an experiment run. Bar: see `BAR`.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from asktell.posteriors import MCDropout
from asktell.posteriors.masks import Masks
from asktell.randomness import derive, seeded, take_key
from asktell.training import dbal_cnn

BAR = 12.0
ITEMS, DRAWS, BATCH = 500, 100, 256


def measure(items: int = ITEMS, draws: int = DRAWS, *, fast: int = 5, slow: int = 3) -> dict[str, float]:
    """Median seconds of both sides, their ratio, and the largest difference of a probability."""
    torch.set_num_threads(1)
    network, images, key = _subject(items)
    posterior = MCDropout(network, batch=BATCH)
    sample = posterior.draw(draws, generator=derive(0, "draw"))
    (prefix_seconds, prefix), (full_seconds, full) = _timed_in_turn(
        (partial(sample.log_probs, images), fast), (partial(full_passes, network, images, draws, key), slow)
    )
    return {
        "items": items,
        "draws": draws,
        "threads": torch.get_num_threads(),
        "prefix_s": prefix_seconds,
        "full_s": full_seconds,
        "ratio": full_seconds / prefix_seconds,
        "bar": BAR,
        "largest_difference": float((prefix.exp() - full.exp()).abs().max()),
    }


def full_passes(network: nn.Module, images: Tensor, draws: int, key: int) -> Tensor:
    """k passes through the whole network, the masks of draw j multiplied in on pass j: the plain way."""
    layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Dropout)}
    masks = Masks(key, draws, {name: m.p for name, m in layers.items()})
    with torch.no_grad():
        return torch.stack([_pass(network, images, masks, layers, draw) for draw in range(draws)], 1)


def _pass(network: nn.Module, images: Tensor, masks: Masks, layers: Mapping[str, nn.Module], draw: int) -> Tensor:
    parts = []
    for batch in torch.split(images, BATCH):
        with masks.applied(layers, draw, len(batch)):
            parts.append(network(batch).log_softmax(-1))
    return torch.cat(parts)


def _subject(items: int) -> tuple[nn.Module, Tensor, int]:
    with seeded(derive(0, "network")):
        network = dbal_cnn().eval()
    return network, torch.randn(items, 1, 28, 28, generator=derive(0, "images")), take_key(derive(0, "draw"))


def _timed_in_turn(*sides: tuple[Callable[[], Tensor], int]) -> list[tuple[float, Tensor]]:
    """Median seconds and result of each side, run so many times; in turn, so that what else runs hits both."""
    results = [run() for run, _ in sides]  # the first run warms up and is not counted
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(max(times for _, times in sides)):
        for (run, times), taken in zip(sides, seconds, strict=True):
            if turn < times:
                start = time.perf_counter()
                run()
                taken.append(time.perf_counter() - start)
    return [(statistics.median(taken), result) for taken, result in zip(seconds, results, strict=True)]


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
