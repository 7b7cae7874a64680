"""Options of methods and experiments: the keyword-only parameters of their functions.

Names and defaults come from the signature, allowed values from the annotations.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from whyclip.errors import OptionError, quoted, unknown

# Largest allowed count; seeds may have 63 bits.
LARGEST = 10_000_000
LARGEST_SEED = 2**63 - 1

_WORDS: Mapping[type, Mapping[str, Any]] = {
    bool: {"true": True, "yes": True, "on": True, "1": True}
    | {"false": False, "no": False, "off": False, "0": False},
    NoneType: {"none": None, "default": None},
}
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", NoneType: "none"}


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Names and defaults of a function's keyword-only parameters."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a function's keyword-only parameters by name, if they can be resolved."""
    while isinstance(function, partial):
        function = function.func
    try:
        hints = get_type_hints(function if inspect.isroutine(function) else type(function).__call__)
    # A user's function may use unresolvable types; its values are then not checked.
    except (NameError, TypeError, AttributeError):
        return {}
    return {name: hints[name] for name in options_of(function) if name in hints}


def validate(
    owner: str, function: Callable[..., Any], options: Mapping[str, Any], *, noun: str = "method"
) -> dict[str, Any]:
    """Check options against the function's annotations and fill in the defaults.

    Args:
        owner: name of the method or experiment, for errors.
        function: has the options as keyword-only parameters.
        options: options by name.
        noun: kind of the owner.

    Raises:
        OptionError: an unknown name or invalid value.
    """
    completed = options_of(function)
    hints = hints_of(function) if options else {}
    for name, value in options.items():
        if name not in completed:
            if not completed:
                raise OptionError(f"{noun} {owner!r} has no options, got {name}={quoted(value)}")
            raise unknown(f"option of {owner}", name, completed)
        completed[name] = checked(owner, name, value, hints.get(name, Any))
    return completed


def parse(
    owner: str, function: Callable[..., Any], pairs: Sequence[str], *, flag: str = "--option "
) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` strings by the types of the function's options; defaults are omitted.

    Args:
        owner: name of the method or experiment, for errors.
        function: has the options as keyword-only parameters.
        pairs: the user's input.
        flag: option that precedes a pair, for errors.

    Raises:
        OptionError: not a pair, an unknown name, or a value of another type.
    """
    known, hints = options_of(function), hints_of(function)
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise OptionError(f"{flag}{quoted(pair)} is not KEY=VALUE; {_options_of(owner, known)}")
        if key not in known:
            if not known:
                raise OptionError(f"{flag}{quoted(pair)}: {_options_of(owner, known)}")
            raise unknown(f"option of {owner}", key, known)
        value = _parse_value(key, text, hints.get(key, str), flag)
        options[key] = checked(owner, key, value, hints.get(key, Any))
    return options


def spelled(name: str, options: Mapping[str, Any]) -> str:
    """Write a name with options in the form that :func:`parse` accepts.

    Example:
        >>> spelled("grad_eclip", {}), spelled("grad_eclip", {"heads": "single", "relu": False})
        ('grad_eclip', 'grad_eclip:heads=single:relu=false')
    """
    return ":".join((name, *(f"{key}={show(value)}" for key, value in options.items())))


def _options_of(owner: str, known: Mapping[str, Any]) -> str:
    if not known:
        return f"{owner} has no options"
    defaults = ", ".join(f"{key}={show(value)}" for key, value in known.items())
    return f"options of {owner}: {defaults}"


def checked(owner: str, name: str, value: Any, hint: Any) -> Any:
    """Check one value; NumPy numbers become Python numbers.

    Args:
        owner: name of the method or experiment, for the error.
        name: name of the option.
        value: the caller's value.
        hint: the parameter's annotation; unknown annotations are not checked.

    Raises:
        OptionError: the value has another type, is not allowed, not finite or too large.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    if get_origin(hint) is Literal:
        if not any(type(value) is type(known) and value == known for known in get_args(hint)):
            allowed = ", ".join(map(repr, get_args(hint)))
            raise OptionError(
                f"{name}={quoted(value)} is not an option of {owner}; known: {allowed}"
            )
        return value
    none = " or None" * (type(None) in kinds)
    if bool in kinds:
        if not isinstance(value, bool):
            raise OptionError(f"{name}={quoted(value)} of {owner}: give True or False{none}")
        return value
    if float in kinds:
        return _number(owner, name, value, none)
    if int in kinds:
        return _whole(owner, name, value, none)
    if str in kinds and not isinstance(value, str):
        raise OptionError(f"{name}={quoted(value)} of {owner}: give a string{none}")
    return value


def _whole(owner: str, name: str, value: Any, none: str) -> int:
    largest = LARGEST_SEED if name == "seed" else LARGEST
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionError(f"{name}={quoted(value)} of {owner}: give a whole number{none}")
    if abs(int(value)) > largest:
        raise OptionError(f"{name}={quoted(value)} of {owner}: give at most {largest}")
    return int(value)


def _number(owner: str, name: str, value: Any, none: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(f"{name}={quoted(value)} of {owner}: give a number{none}")
    if not math.isfinite(float(value)) or abs(float(value)) > LARGEST:
        raise OptionError(
            f"{name}={quoted(value)} of {owner}: give a finite number, at most {LARGEST}"
        )
    return value if isinstance(value, int) else float(value)


def show(value: Any) -> str:
    """Write a default as the user would type it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _parse_value(key: str, text: str, hint: Any, flag: str) -> Any:
    """Convert a value to the first of the hint's types that accepts it."""
    if get_origin(hint) is Literal:
        return next((choice for choice in get_args(hint) if show(choice) == text), text)
    types = get_args(hint) or (hint,)
    for kind in types:
        if kind in _WORDS and text.lower() in _WORDS[kind]:
            return _WORDS[kind][text.lower()]
        if kind in (int, float, str):
            try:
                value = kind(text)
            except ValueError:
                continue
            return _sized(key, value, flag)
    expected = " or ".join(_EXPECTED.get(kind, str(kind)) for kind in types)
    raise OptionError(f"{flag}{key}={quoted(text)}: expected {expected}")


def _sized(key: str, value: Any, flag: str) -> Any:
    """Check that a value fits into 64 bits.

    Raises:
        OptionError: an integer of more than 64 bits, an infinite number or NaN.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OptionError(f"{flag}{key}={quoted(value)}: give a smaller number")
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"{flag}{key}={value}: give a finite number")
    return value
