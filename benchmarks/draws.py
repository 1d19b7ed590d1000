"""MC-dropout draws: thinned networks against masked ones behind the same prefix, and against k full passes.

All sides in one run: the same masks, the same batch, one thread, as the cells of an experiment run. Seconds are of
processor time, so that waiting for what else runs does not count.
"""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from asktell.posteriors import MCDropout
from asktell.posteriors.masks import Layers, Masks, active_dropouts
from asktell.randomness import derive, seeded, take_key
from asktell.training import batchbald_cnn, dbal_cnn

BARS = {"DBAL": ("k full passes", 20.0), "BatchBALD": ("masked passes", 3.0)}
NETWORKS = {"DBAL": dbal_cnn, "BatchBALD": batchbald_cnn}
ITEMS, DRAWS, BATCH = 500, 100, 256


def measure(items: int = ITEMS, draws: int = DRAWS, *, fast: int = 5, slow: int = 3) -> dict[str, dict[str, Any]]:
    """By network: median seconds of each side, how often ours fit in, and the largest difference of a probability."""
    torch.set_num_threads(1)
    return {name: _measured(build, items, draws, fast, slow) for name, build in NETWORKS.items()}


def _measured(build: Callable[[], nn.Module], items: int, draws: int, fast: int, slow: int) -> dict[str, Any]:
    network, images, key = _subject(build, items)
    thinned, masked = (
        MCDropout(network, batch=BATCH, thin=thin).draw(draws, generator=derive(0, "draw")) for thin in (True, False)
    )
    ours, *others = _timed_in_turn(
        (partial(thinned.log_probs, images), fast),
        (partial(masked.log_probs, images), fast),
        (partial(full_passes, network, images, draws, key), slow),
    )
    seconds = dict(zip(("masked passes", "k full passes"), (taken for taken, _ in others), strict=True))
    return {
        "items": items,
        "draws": draws,
        "threads": torch.get_num_threads(),
        "seconds": ours[0],
        "seconds_against": seconds,
        "ratios": {against: taken / ours[0] for against, taken in seconds.items()},
        "largest_difference": max(float((ours[1].exp() - result.exp()).abs().max()) for _, result in others),
    }


def full_passes(network: nn.Module, images: Tensor, draws: int, key: int) -> Tensor:
    """k passes through the whole network, the masks of draw j multiplied in on pass j: the plain way."""
    layers = active_dropouts(network, ())
    masks = Masks(key, draws, layers)
    with torch.no_grad():
        return torch.stack([_pass(network, images, masks, layers, draw) for draw in range(draws)], 1)


def _pass(network: nn.Module, images: Tensor, masks: Masks, layers: Layers, draw: int) -> Tensor:
    parts = []
    for batch in torch.split(images, BATCH):
        with masks.draw(draw, len(batch)).applied(layers):
            parts.append(network(batch).log_softmax(-1))
    return torch.cat(parts)


def _subject(build: Callable[[], nn.Module], items: int) -> tuple[nn.Module, Tensor, int]:
    with seeded(derive(0, "network")):
        network = build().eval()
    return network, torch.randn(items, 1, 28, 28, generator=derive(0, "images")), take_key(derive(0, "draw"))


def _timed_in_turn(*sides: tuple[Callable[[], Tensor], int]) -> list[tuple[float, Tensor]]:
    """Median seconds and result of each side, run so many times; in turn, so that what else runs hits both."""
    results = [run() for run, _ in sides]  # the first run warms up and is not counted
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(max(times for _, times in sides)):
        for (run, times), taken in zip(sides, seconds, strict=True):
            if turn < times:
                start = time.process_time()
                run()
                taken.append(time.process_time() - start)
    return [(statistics.median(taken), result) for taken, result in zip(seconds, results, strict=True)]


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
