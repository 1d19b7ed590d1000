"""Recipes by name, and strategies as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches

from asktell.errors import ProtocolError
from asktell.learners import VAAL, Learner, LossPrediction, Proxy, PseudoLabels, Trajectories
from asktell.strategies.contrasting import CAL
from asktell.strategies.costs import Cost
from asktell.strategies.covering import CoreSet, CoreSetRobust
from asktell.strategies.discriminating import Discriminative
from asktell.strategies.fisher import BAIT
from asktell.strategies.gradients import EGL, FullGradient
from asktell.strategies.information import BatchBALD
from asktell.strategies.narrowing import Prefilter, Subset
from asktell.strategies.protocols import Strategy
from asktell.strategies.ranking import (
    BALD,
    EPIG,
    Entropy,
    LeastConfident,
    Margin,
    MaxKL,
    MCVariationRatio,
    MeanStd,
    Utility,
    VoteEntropy,
)
from asktell.strategies.representing import FacilityLocation, SuggestiveAnnotation
from asktell.strategies.sampling import Power, Random, Softmax, Softrank
from asktell.strategies.spreading import BADGE, KMeansMargin
from asktell.strategies.typical import ProbCover, TypiClust


@dataclass(frozen=True)
class Recipe:
    """A registered name: a strategy and, where it needs one, a wrapper that goes round the learner.

    `cost` is the class of what it costs beside training the model, a key of `COSTS`; None if nobody has said.
    """

    name: str
    strategy: Strategy
    wrap: Callable[[Learner], Learner] | None = None
    cost: Cost | None = None


_KINDS: dict[str, type] = {
    kind.name: kind
    for kind in (
        Random, LeastConfident, Margin, Entropy, MCVariationRatio, MeanStd, VoteEntropy, MaxKL, BALD, EPIG,
        BatchBALD, Power, Softmax, Softrank, BADGE, KMeansMargin,
        CoreSet, CoreSetRobust, TypiClust, ProbCover, FacilityLocation, SuggestiveAnnotation, Discriminative,
        EGL, CAL, BAIT, Utility, Prefilter, Subset,
    )
}  # fmt: skip

_RECIPES: dict[str, Recipe] = {}


def register(recipe: Recipe) -> None:
    """Make a recipe known by its name; a name is given once."""
    if recipe.name in _RECIPES:
        raise ProtocolError(f"there is a recipe called {recipe.name} already; choose another name")
    _RECIPES[recipe.name] = recipe
    _KINDS.setdefault(recipe.strategy.name, type(recipe.strategy))


def recipe(name: str) -> Recipe:
    """The recipe called `name`; raises `ProtocolError` with the nearest names.

    >>> recipe("power-bald").strategy
    Power(inner=BALD(), beta=1.0)
    """
    if name not in _RECIPES:
        near = get_close_matches(name, _RECIPES) or sorted(_RECIPES)
        raise ProtocolError(f"there is no strategy called {name}; did you mean {', '.join(near)}?")
    return _RECIPES[name]


def strategy_alone(name: str) -> Strategy:
    """The strategy of a recipe that does not wrap the learner, for whoever fits a model in a way of their own.

    Raises `ProtocolError` for one that does: without its wrapper it would not be what its name says.

    >>> strategy_alone("bald")
    BALD()
    """
    found = recipe(name)
    if found.wrap is not None:
        plain = ", ".join(sorted(r.name for r in _RECIPES.values() if r.wrap is None))
        raise ProtocolError(
            f"{name} also changes how the model is trained, which works in `asktell experiment` and in Python, but not "
            f"on a labelling project; choose one of {plain}"
        )
    return found.strategy


def recipes() -> tuple[Recipe, ...]:
    """All recipes, in the order in which they were registered."""
    return tuple(_RECIPES.values())


def to_json(strategy: Strategy) -> dict[str, object]:
    """{name, parameters, inner}: all that is needed to make the strategy again.

    A strategy among the parameters, such as the score of a `Prefilter`, is such a document too.

    >>> to_json(Power(BALD()))
    {'name': 'power', 'parameters': {'beta': 1.0}, 'inner': {'name': 'bald', 'parameters': {}, 'inner': None}}
    """
    values = {f.name: _document(getattr(strategy, f.name)) for f in fields(strategy)}  # type: ignore[arg-type]
    inner = values.pop("inner", None)
    return {"name": strategy.name, "parameters": values, "inner": inner}


def from_json(document: Mapping[str, object]) -> Strategy:
    """The strategy that `to_json` described; raises `ProtocolError` for a name or a parameter that is unknown."""
    name, parameters, inner = document.get("name"), document.get("parameters") or {}, document.get("inner")
    if name not in _KINDS or not isinstance(parameters, Mapping):
        raise ProtocolError(f"there is no strategy {name}; known are {', '.join(sorted(_KINDS))}")
    within = {"inner": from_json(inner)} if isinstance(inner, Mapping) else {}
    values = {key: from_json(value) if isinstance(value, Mapping) else value for key, value in parameters.items()}
    try:
        strategy: Strategy = _KINDS[str(name)](**within, **values)
    except TypeError as error:
        raise ProtocolError(f"strategy {name} does not take these parameters: {error}") from None
    return strategy


def _document(value: object) -> object:
    return to_json(value) if isinstance(value, Strategy) else value


for _recipe in (
    Recipe("random", Random(), cost="none"),
    Recipe("least-confident", LeastConfident(), cost="draws"),
    Recipe("margin", Margin(), cost="draws"),
    Recipe("entropy", Entropy(), cost="draws"),
    Recipe("mc-variation-ratio", MCVariationRatio(), cost="draws"),
    Recipe("mean-std", MeanStd(), cost="draws"),
    Recipe("vote-entropy", VoteEntropy(), cost="draws"),
    Recipe("max-kl", MaxKL(), cost="draws"),
    Recipe("bald", BALD(), cost="draws"),
    Recipe("batchbald", BatchBALD(), cost="joint"),
    Recipe("power-bald", Power(BALD()), cost="draws"),
    Recipe("epig", EPIG(), cost="draws"),
    Recipe("badge", BADGE(), cost="distances"),
    Recipe("kmeans-margin", KMeansMargin(), cost="distances"),
    Recipe("core-set", CoreSet(), cost="distances"),
    Recipe("core-set-robust", CoreSetRobust(), cost="distances"),
    Recipe("typiclust", TypiClust(), cost="distances"),
    Recipe("probcover", ProbCover(), cost="distances"),
    Recipe("facility-location", FacilityLocation(), cost="distances"),
    Recipe("suggestive-annotation", SuggestiveAnnotation(), cost="distances"),
    Recipe("cal", CAL(), cost="distances"),
    Recipe("bait", BAIT(), cost="gradients"),
    Recipe("egl", EGL(), cost="pass"),
    Recipe("egl-full", Subset(Utility()), wrap=FullGradient, cost="gradients"),
    Recipe("loss-prediction", Subset(Utility(), candidates=10_000), wrap=LossPrediction, cost="training"),
    Recipe("vaal", Utility(), wrap=VAAL, cost="training"),
    Recipe("discriminative", Discriminative(), cost="training"),
    Recipe("label-dispersion", MCVariationRatio(), wrap=Trajectories, cost="draws"),
    Recipe("ceal", Utility(), wrap=PseudoLabels, cost="training"),
    Recipe("svp", LeastConfident(), wrap=Proxy, cost="training"),
):
    register(_recipe)
