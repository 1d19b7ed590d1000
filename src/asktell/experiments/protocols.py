"""Protocols: named experiments, every choice a documented field."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_type_hints

from asktell.errors import ProtocolError
from asktell.training import Training


@dataclass(frozen=True)
class Protocol:
    """One experiment: data, split, network, training, posterior, batch and budget. Each field says what it means.

    Everything random is derived from a cell's seed, and what strategies share (split, start, initial weights of a
    round) from the seed alone, so the strategies of one seed differ in what they ask and in nothing else.
    """

    name: Annotated[str, "what it is called"]
    summary: Annotated[str, "what it shows"]
    dataset: Annotated[str, "name of the data set"]
    network: Annotated[str, "name of the reference network"]
    training: Annotated[Training, "how the network is trained each round"]
    batch: Annotated[int, "labels asked per round"]
    rounds: Annotated[int, "how many times a batch is asked"]
    strategies: Annotated[tuple[str, ...], "strategies that run unless others are named"]
    seeds: Annotated[tuple[int, ...], "seeds that run unless others are named"] = (0, 1, 2, 3, 4)
    initial_per_class: Annotated[int, "labelled items of each class at the start, drawn at random per seed"] = 2
    pool_size: Annotated[int | None, "different items of the pool, drawn at random per seed; None = all"] = None
    n_validation: Annotated[int, "labelled items kept for validation, not in the pool (copies of them may be)"] = 0
    copies: Annotated[int, "how many times the pool is repeated"] = 1
    noise: Annotated[float, "standard deviation of the fixed Gaussian noise of each copy"] = 0.0
    normalise: Annotated[tuple[float, float] | None, "(mean, std) that standardise inputs; None = as they are"] = None
    decay_grid: Annotated[
        tuple[float, ...], "weight decays to choose from, each round, by the validation set; () = the training's own"
    ] = ()
    restart: Annotated[Literal["cold", "warm"], "weights at the start of a round: fresh, or the last round's"] = "cold"
    draws: Annotated[int, "k, posterior draws that a batch is selected with"] = 100
    point: Annotated[bool, "margin, entropy and least-confident from one pass with dropout off, not the draws"] = False
    targets: Annotated[int, "pool items, drawn at random each round, whose predictions EPIG is about"] = 200
    evaluate: Annotated[
        Literal["predict", "mean"], "test predictions: one pass with dropout off, or the mean of `draws` draws"
    ] = "predict"
    foreign: Annotated[
        tuple[str, ...],
        "inputs from elsewhere (noise, permuted, fashion-mnist) that epistemic uncertainty should tell from test ones",
    ] = ()

    @property
    def choices(self) -> dict[str, object]:
        """The fields as JSON: what a results folder records."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def documented(choices: Protocol | Training, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """(name, value, what it means) of every choice, those of the training too.

    >>> next(documented(protocol("digits").training, "training."))
    ('training.epochs', 40, 'passes over the labelled set, or at most so many with `patience`')
    """
    for name, hint in get_type_hints(type(choices), include_extras=True).items():
        value = getattr(choices, name)
        if isinstance(value, Training):
            yield from documented(value, f"{name}.")
        else:
            yield prefix + name, value, hint.__metadata__[0]


def protocol(name: str) -> Protocol:
    """The protocol called `name`; raises `ProtocolError` with the nearest names.

    >>> protocol("digits").batch
    5
    """
    if name not in PROTOCOLS:
        near = get_close_matches(name, PROTOCOLS) or sorted(PROTOCOLS)
        raise ProtocolError(f"there is no protocol called {name}; did you mean {', '.join(near)}?")
    return PROTOCOLS[name]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


DEFAULTS: Final[Mapping[str, object]] = MappingProxyType(
    {choice.name: _plain(choice.default) for choice in fields(Protocol) if choice.default is not MISSING}
)
"""What a choice is unless a protocol makes it, as JSON."""

_DIGITS: Final = Protocol(
    name="digits",
    summary="1,797 handwritten digits of 8 x 8 pixels: which strategies beat random on a clean pool",
    dataset="digits",
    network="digits-mlp",
    training=Training(epochs=40, batch=64, samples_per_epoch=640),
    batch=5,
    rounds=20,
    strategies=("random", "margin", "bald", "mean-std", "batchbald", "power-bald"),
)

_POSTERIORS: Final = (
    "mc-dropout", "deep-ensemble", "snapshot-ensemble", "diverse-ensemble", "split-head", "stochastic-ensemble",
    "bayes-by-backprop", "laplace", "bagging", "random-forest", "gradient-boosting",
)  # fmt: skip

_EVERY: Final = (
    "random", "least-confident", "margin", "entropy", "mc-variation-ratio", "mean-std", "vote-entropy", "max-kl",
    "bald", "batchbald", "power-bald", "epig", "badge", "kmeans-margin", "core-set", "core-set-robust", "typiclust",
    "probcover", "facility-location", "suggestive-annotation", "cal", "bait", "egl", "egl-full", "loss-prediction",
    "vaal", "discriminative", "label-dispersion", "ceal", "svp",
)  # fmt: skip
"""All strategies there are; a test compares."""

_COMPARISON: Final = Protocol(
    name="comparison-digits",
    summary="all strategies, 20 labels a round: the digits",
    dataset="digits",
    network="digits-mlp",
    training=Training(epochs=40, batch=64, samples_per_epoch=640),
    batch=20,
    rounds=8,
    strategies=_EVERY,
    draws=50,
)

_SEED: Final = Protocol(
    name="mnist-seed",
    summary="the seed repository: the DBAL network on MNIST, 100 labels a round",
    dataset="mnist",
    network="dbal-cnn",
    training=Training(epochs=150, batch=256),
    batch=100,
    rounds=10,
    strategies=("random", "margin", "entropy", "bald", "batchbald"),
    seeds=(0, 1, 2),
    restart="warm",
    draws=10,
    point=True,
)

_SMALL_BATCH: Final = replace(
    _SEED,
    name="mnist-small-batch",
    summary="the seed repository's question: BALD against BatchBALD at 4 labels a round",
    batch=4,
    rounds=50,
    strategies=("random", "bald", "batchbald"),
    draws=100,
)

_DBAL: Final = Protocol(
    name="mnist-dbal",
    summary="deep Bayesian active learning on MNIST (Gal et al. 2017): 10 labels a round, weight decay by validation",
    dataset="mnist",
    network="dbal-cnn",
    training=Training(epochs=30, batch=128, samples_per_epoch=1280, decay_on="linear"),
    batch=10,
    rounds=100,
    strategies=("random", "bald", "mc-variation-ratio", "entropy", "mean-std"),
    seeds=(0, 1, 2),
    n_validation=100,
    decay_grid=(0.5, 1.0, 2.5, 3.5, 5.0, 10.0),
)

_BATCHBALD: Final = Protocol(
    name="mnist-batchbald",
    summary="BatchBALD on MNIST (Kirsch et al. 2019): 10 labels a round",
    dataset="mnist",
    network="batchbald-cnn",
    training=Training(epochs=30, batch=64, samples_per_epoch=5056, patience=3),
    batch=10,
    rounds=28,
    strategies=("random", "margin", "bald", "batchbald", "power-bald"),
    seeds=(0, 1, 2, 3, 4, 5),
    n_validation=1024,
    normalise=(0.1307, 0.3081),
    evaluate="mean",
)

_REPEATED: Final = replace(
    _BATCHBALD,
    name="repeated-mnist",
    summary="RepeatedMNIST (Kirsch et al. 2019): every image three times with a little noise",
    training=Training(epochs=40, batch=64, samples_per_epoch=5056, patience=3),
    n_validation=3072,
    copies=3,
    noise=0.1,
    draws=10,
)


def _small(whole: Protocol, training: Training, rounds: int, **choices: Any) -> Protocol:
    """What two cores finish in ten minutes a cell: 10,000 images, less training, fewer rounds."""
    summary = f"{whole.summary}; 10,000 images, less training"
    small = replace(whole, name=f"{whole.name}-small", summary=summary, seeds=(0, 1, 2), pool_size=10_000)
    return replace(small, training=training, rounds=rounds, **choices)


def _bald_and_random(posteriors: Iterable[str]) -> tuple[str, ...]:
    """By each of them; at random by MC dropout is `random`, which others are compared with."""
    names = (f"{posterior}+{by}" for posterior in posteriors for by in ("bald", "random"))
    return tuple("random" if name == "mc-dropout+random" else name for name in names)


_POSTERIORS_ON_MNIST: Final = Protocol(
    name="posteriors-mnist",
    summary="10,000 images of MNIST with every posterior, 20 labels a round; forest and boosting see pixels",
    dataset="mnist",
    network="dbal-cnn",
    training=Training(epochs=15, batch=32, samples_per_epoch=320),
    batch=20,
    rounds=9,
    strategies=_bald_and_random(name for name in _POSTERIORS if name != "bayes-by-backprop"),
    seeds=(0, 1),
    pool_size=10_000,
    draws=50,
    foreign=("fashion-mnist", "noise", "permuted"),
)

_ALL: Final = (
    Protocol(
        name="demo",
        summary="real MNIST on two cores in a few minutes: how many labels active learning saves",
        dataset="mnist",
        network="dbal-cnn",
        training=Training(epochs=10, batch=16, samples_per_epoch=320),
        batch=20,
        rounds=7,
        strategies=("random", "margin", "batchbald"),
        seeds=(0, 1),
        pool_size=10_000,
        draws=50,
        point=True,
    ),
    _DIGITS,
    replace(
        _DIGITS,
        name="repeated-digits",
        summary="the digits five times over with a little noise: what near-duplicates do to top-k",
        copies=5,
        noise=0.05,
    ),
    replace(
        _DIGITS,
        name="posteriors",
        summary="the digits with every posterior: which one's disagreement is worth asking by, and what it costs",
        batch=10,
        rounds=12,
        strategies=(
            "random",
            *(f"{name}+{by}" for name in _POSTERIORS for by in ("bald", "entropy", "mc-variation-ratio")),
        ),
        foreign=("noise", "permuted"),
    ),
    _POSTERIORS_ON_MNIST,
    replace(
        _POSTERIORS_ON_MNIST,
        name="posteriors-mnist-mlp",
        summary="the same with two hidden layers of 400, for the posterior that draws all weights: Bayes by backprop",
        network="mnist-mlp",  # of the convolutional one a draw is a whole pass over the pool: half an hour a cell
        strategies=_bald_and_random(("mc-dropout", "bayes-by-backprop")),
    ),
    _COMPARISON,
    replace(
        _COMPARISON,
        name="comparison-repeated-digits",
        summary="all strategies, 20 labels a round: the digits five times over with a little noise",
        copies=5,
        noise=0.05,
    ),
    replace(
        _COMPARISON,
        name="comparison-letter",
        summary="all strategies, 20 labels a round: 15,000 capitals, 16 measurements each, 26 classes",
        dataset="letter",
        network="letter-mlp",
        seeds=(0, 1, 2),
        normalise=(0.395, 0.194),
    ),
    replace(
        _COMPARISON,
        name="comparison-mnist",
        summary="all strategies, 20 labels a round: 10,000 images of MNIST as features of EfficientNet-Lite0",
        dataset="mnist-efficientnet",
        network="efficientnet-head",
        seeds=(0, 1, 2),
    ),
    Protocol(
        name="learned-mnist",
        summary="strategies that train a network to ask by: whether it learns, on 10,000 images of MNIST",
        dataset="mnist",
        network="dbal-cnn",
        training=Training(epochs=30, batch=32, samples_per_epoch=640),
        batch=50,
        rounds=5,
        strategies=("random", "loss-prediction", "vaal", "discriminative"),
        seeds=(0, 1),
        pool_size=10_000,
        n_validation=500,
        draws=20,
    ),
    _SEED,
    _small(_SEED, Training(epochs=75, batch=256), rounds=6),
    replace(
        _SEED,
        name="mnist-seed-k100",
        summary="the seed repository with 100 draws: whether BatchBALD needs them at 100 labels a round",
        strategies=("bald", "batchbald"),
        draws=100,
    ),
    _SMALL_BATCH,
    _small(_SMALL_BATCH, Training(epochs=50, batch=256), rounds=20),
    _DBAL,
    _small(
        _DBAL,
        Training(epochs=20, batch=32, samples_per_epoch=320, decay_on="linear"),
        rounds=15,
        decay_grid=(1.0, 3.5, 10.0),
        draws=50,
    ),
    _BATCHBALD,
    _small(
        _BATCHBALD,
        Training(epochs=30, batch=64, samples_per_epoch=1280, patience=3),
        rounds=18,
        draws=50,
        evaluate="predict",
    ),
    _REPEATED,
    _small(_REPEATED, Training(epochs=40, batch=64, samples_per_epoch=1280, patience=3), rounds=18),
    Protocol(
        name="two-moons",
        summary="two interleaved half circles in the plane, 5 labels a round",
        dataset="two-moons",
        network="two-moons-mlp",
        training=Training(epochs=300, batch=None, lr=1e-2, decay=0.0005),
        batch=5,
        rounds=18,
        strategies=("random", "margin", "entropy", "bald"),
        initial_per_class=5,
        draws=50,
    ),
)

PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType({protocol.name: protocol for protocol in _ALL})
"""The protocols by name."""
