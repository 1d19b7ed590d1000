"""Parameters of a strategy as words on the command line: `--set beta=2.0 --set inner.point=true`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from math import isnan
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from asktell.errors import ProtocolError

T = TypeVar("T")


def with_settings(strategy: T, settings: Sequence[str]) -> T:
    """The strategy, a dataclass, with its parameters set as the words `name=value` say.

    A value is read by the type of its field: true or false, a number, text, one of a few words, or none where that is
    legal. What a wrapped strategy takes is `inner.NAME`. Raises `ProtocolError` for a name that is unknown or comes
    twice and for a value of the wrong type, naming what there is.

    >>> from asktell.strategies import recipe
    >>> with_settings(recipe("power-bald").strategy, ["beta=2"])
    Power(inner=BALD(), beta=2.0)
    """
    chosen: dict[str, object] = {}
    known = parameters(strategy)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known or name in chosen:
            raise ProtocolError(f"cannot set {setting!r}: {_known(strategy, known, twice=name in chosen)}")
        chosen[name] = parsed(name, text, known[name])
    changed: T = _replaced(strategy, chosen)
    return changed


def parameters(strategy: object) -> dict[str, object]:
    """The type of every parameter that words can set, by dotted name.

    >>> from asktell.strategies import Entropy, Softmax
    >>> parameters(Softmax(Entropy()))
    {'inner.point': <class 'bool'>, 'beta': <class 'float'>}
    """
    hints = get_type_hints(type(strategy))
    found: dict[str, object] = {}
    for field in fields(strategy):  # type: ignore[arg-type]
        value = getattr(strategy, field.name)
        if is_dataclass(value):
            found.update({f"{field.name}.{name}": kind for name, kind in parameters(value).items()})
        elif field.init and _choices(hints[field.name]):
            found[field.name] = hints[field.name]
    return found


def parsed(name: str, text: str, kind: object) -> object:
    """The value of type `kind` that `text` stands for; raises `ProtocolError`.

    >>> parsed("point", "true", bool), parsed("time_limit", "none", float | None)
    (True, None)
    """
    for choice in _choices(kind):
        try:
            return _READERS[choice](text) if isinstance(choice, type) else _word(text, choice)
        except ValueError:
            continue
    raise ProtocolError(f"{name} must be {_described(kind)}, not {text!r}; write --set {name}=VALUE")


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[_word(text, "true", "false")]


def _float(text: str) -> float:
    if isnan(float(text)):
        raise ValueError(text)
    return float(text)


def _none(text: str) -> None:
    _word(text, "none")


def _word(text: str, *words: object) -> str:
    if text not in words:
        raise ValueError(text)
    return text


_READERS: Mapping[type, Callable[[str], object]] = {NoneType: _none, bool: _bool, int: int, float: _float, str: str}
_NAMES = {NoneType: "none", bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _choices(kind: object) -> list[object]:
    """What a type is made of, as far as words can say it: types of `_READERS` in their order, literal words first."""
    if get_origin(kind) in (Union, UnionType):
        found = [choice for part in get_args(kind) for choice in _choices(part)]
        return sorted(found, key=lambda choice: [*_READERS].index(choice) if isinstance(choice, type) else -1)
    if get_origin(kind) is Literal:
        return [word for word in get_args(kind) if isinstance(word, str)]
    return [kind] if kind in _READERS else []


def _described(kind: object) -> str:
    return " or ".join(_NAMES[choice] if isinstance(choice, type) else repr(choice) for choice in _choices(kind))


def _known(strategy: object, known: Mapping[str, object], *, twice: bool) -> str:
    if twice:
        return "that parameter is set twice; set it once"
    listed = ", ".join(f"{name} ({_described(kind)})" for name, kind in known.items())
    return f"{strategy!r} takes " + (f"--set NAME=VALUE for {listed}" if listed else "no parameters")


def _replaced(strategy: Any, chosen: Mapping[str, object]) -> Any:
    """A copy with values put at dotted names."""
    own = {name: value for name, value in chosen.items() if "." not in name}
    for field in fields(strategy):
        prefix = f"{field.name}."
        within = {name.removeprefix(prefix): value for name, value in chosen.items() if name.startswith(prefix)}
        if within:
            own[field.name] = _replaced(getattr(strategy, field.name), within)
    return replace(strategy, **own)
