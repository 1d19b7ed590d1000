"""Where randomness comes from: the only file that seeds.

Nothing in asktell reads or moves the global random state. A generator is derived from (seed, names) at one
place, the caller of a pure function, so that a restarted run draws the same numbers.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *names: int | str) -> torch.Generator:
    """A CPU generator that depends on `seed` and every name, and on nothing else.

    >>> same = torch.rand(2, generator=derive(0, "ask", 3)), torch.rand(2, generator=derive(0, "ask", 3))
    >>> bool((same[0] == same[1]).all())
    True
    """
    return torch.Generator().manual_seed(_digest(seed, *names))


def take_key(generator: torch.Generator) -> int:
    """One 63-bit key out of `generator`, which moves on by one draw."""
    return int(torch.randint(2**63 - 1, (), generator=generator))


def counter(key: int, *position: int | str) -> np.random.Generator:
    """The random stream at `position` under `key`: counter-based, so any position can be had alone, in any order.

    >>> counter(7, "fc1", 2).random() == counter(7, "fc1", 2).random()
    True
    """
    return np.random.Generator(np.random.Philox(key=_digest(key, *position)))


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Code inside sees torch's global generator seeded from `generator`; afterwards it is as it was.

    For code that can only use the global generator: initialisation, dropout in training.
    """
    key = take_key(generator)
    with torch.random.fork_rng():
        torch.manual_seed(key)
        yield


def _digest(*names: int | str) -> int:
    """63 bits of sha256; the type stands in the text, so 1 and "1" differ."""
    text = "/".join(f"{type(name).__name__}:{name}" for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
