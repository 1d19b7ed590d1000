"""What the batches of a committed comparison look like: classes and copies.

    python scripts/batches.py results/comparison

By protocol and strategy, means over rounds and seeds: how many picks of a batch are of its commonest class, and
how many are further copies of an item that the batch has already (ids NUMBER#COPY, as of repeated pools).
"""

import sys
from collections import Counter
from functools import cache
from pathlib import Path
from statistics import fmean

from asktell.experiments.curves import read
from asktell.experiments.protocols import protocol
from asktell.experiments.split import split


@cache
def truth(name: str, seed: int) -> dict[str, str]:
    """Id to class, for the pool of a protocol under one seed."""
    return split(protocol(name), seed).truth()


def main(folder: str) -> None:
    """A line a protocol and strategy."""
    print("protocol strategy commonest-class copies")
    for curve in read(Path(folder)).curves:
        asked = [(cell.seed, o.ids) for cell in curve.cells for o in cell.outcomes if o.round and o.ids]
        commonest = fmean(
            Counter(truth(curve.protocol, seed)[i] for i in ids).most_common(1)[0][1] for seed, ids in asked
        )
        copies = fmean(len(ids) - len({item.split("#")[0] for item in ids}) for _, ids in asked)
        print(f"{curve.protocol} {curve.strategy} {commonest:.1f} {copies:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
