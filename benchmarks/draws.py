"""MC-dropout draws: thinned networks against masked ones behind the same prefix, and against k full passes.

All sides in one run: the same masks, the same batch, one thread, as the cells of an experiment run. Seconds are of
processor time, so that waiting for what else runs does not count.
"""

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
from benchmarks.harness import Line, timed_in_turn

BARS = {"DBAL": ("k full passes", 20.0), "BatchBALD": ("masked passes", 3.0)}
NETWORKS = {"DBAL": dbal_cnn, "BatchBALD": batchbald_cnn}
ITEMS, DRAWS, BATCH = 500, 100, 256


def measure(quick: bool = False) -> dict[str, Any]:
    """By network: median seconds of each side, how often ours fit in, and the largest difference of a probability."""
    torch.set_num_threads(1)
    items, draws, fast, slow = (50, 10, 1, 1) if quick else (ITEMS, DRAWS, 5, 3)
    return {name: _measured(build, items, draws, fast, slow) for name, build in NETWORKS.items()}


def lines(m: dict[str, Any]) -> list[Line]:
    """One line per network."""
    return [_line(name, *bar, m[name]) for name, bar in BARS.items()]


def _line(network: str, against: str, bar: float, m: dict[str, Any]) -> Line:
    ratio = m["ratios"][against]
    seconds = f"{m['seconds']:.2f} s against {m['seconds_against'][against]:.1f} s of processor time"
    given = f"{m['items']} images, k={m['draws']}, one thread"
    return Line(
        f"MC-dropout draws, {network} network", against, given, f"{ratio:.1f}x: {seconds}", f"{bar:g}x", ratio >= bar
    )


def _measured(build: Callable[[], nn.Module], items: int, draws: int, fast: int, slow: int) -> dict[str, Any]:
    network, images, key = _subject(build, items)
    thinned, masked = (
        MCDropout(network, batch=BATCH, thin=thin).draw(draws, generator=derive(0, "draw")) for thin in (True, False)
    )
    ours, *others = timed_in_turn(
        (partial(thinned.log_probs, images), fast),
        (partial(masked.log_probs, images), fast),
        (partial(full_passes, network, images, draws, key), slow),
        clock=time.process_time,
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
