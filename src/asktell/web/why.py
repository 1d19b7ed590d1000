"""Why an item was asked, in words."""

from collections.abc import Mapping

from asktell.types import Question

_SENTENCES = {
    "audit": "It belongs to the audit: a sample drawn in advance, which measures accuracy without bias. "
    "Every tenth question does.",
    "random": "It was drawn at random among all items that nobody has labelled yet.",
    "typical": "There is no model yet. It stands for many items like it, or is unlike all others that were asked.",
    "core-set": "It is unlike everything that was labelled or asked before, so that the questions cover all items.",
    "power-bald": "The models disagree about it, so its label would teach them much; "
    "some chance is mixed in, so that the questions differ from each other.",
    "power": "It scored high; some chance is mixed in, so that the questions differ from each other.",
    "bald": "The models disagree about it, so its label would teach them much.",
    "batchbald": "Together with the other questions of its batch, its label would teach the models most.",
    "entropy": "The model is very unsure what it is.",
    "margin": "The model hesitates between two classes.",
    "least-confident": "The model is not at all sure of its best guess.",
    "mc-variation-ratio": "The models vote for different classes.",
    "vote-entropy": "The models vote for many different classes.",
    "mean-std": "The models give it very different probabilities.",
    "max-kl": "One of the models thinks of it quite otherwise than all together.",
    "badge": "The model is unsure of it, and would learn something else from it than from the other questions.",
    "kmeans-margin": "The model hesitates between two classes, and it stands for a group of such items.",
    "core-set-robust": "It is unlike what was labelled or asked before; items that are like no other are left aside.",
    "typiclust": "It is the most typical of a group of items of which few are labelled.",
    "probcover": "Many items that are unlike all labelled ones are like it.",
    "facility-location": "Many items that are unlike those that were asked before are like it.",
    "suggestive-annotation-mean-std": "The model is unsure of it, and it stands for other items of which it is unsure.",
    "cal": "The model thinks otherwise of it than of labelled items that look like it.",
    "bait": "Together with the other questions of its batch, its label would make the model surest about all items.",
    "egl": "Its label would change the model much.",
    "discriminative": "It looks least like what was labelled or asked before.",
    "epig": "Its label would make predictions about other items surer.",
    "utility": "By the model's own account, its label is worth much.",
    "subset-utility": "Of some items drawn at random, its label is worth most by the model's own account.",
}


def sentence(question: Question) -> str:
    """One plain sentence about the choice."""
    if question.audit:
        return _SENTENCES["audit"]
    for known in (named(question.strategy), str(question.strategy.get("name"))):
        if known in _SENTENCES:
            return _SENTENCES[known]
    return f"The strategy {described(question.strategy)} chose it."


def described(strategy: Mapping[str, object]) -> str:
    """A strategy on one line, from the outside in.

    >>> described({"name": "power", "parameters": {"beta": 1}, "inner": {"name": "bald"}})
    'power (beta = 1) of bald'
    """
    return " of ".join(_one(part) for part in _parts(strategy))


def named(strategy: Mapping[str, object]) -> str:
    """The same in one word, for lists: power-bald."""
    return "-".join(str(part.get("name")) for part in _parts(strategy))


def _parts(strategy: Mapping[str, object]) -> list[Mapping[str, object]]:
    inner = strategy.get("inner")
    return [strategy, *(_parts(inner) if isinstance(inner, Mapping) else [])]


def _one(part: Mapping[str, object]) -> str:
    parameters = part.get("parameters")
    told = [f"{name} = {value}" for name, value in parameters.items()] if isinstance(parameters, Mapping) else []
    return f"{part.get('name')}" + (f" ({', '.join(told)})" if told else "")
