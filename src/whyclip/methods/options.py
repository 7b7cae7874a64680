"""Check the values of a method's options against the annotations of its parameters."""

from __future__ import annotations

import math
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from whyclip.errors import OptionError, quoted

# No count of layers, masks or steps is larger; a seed may be any number of 63 bits.
LARGEST = 10_000_000
LARGEST_SEED = 2**63 - 1


def checked(method: str, name: str, value: Any, hint: Any) -> Any:
    """Check one value; a number of numpy becomes one of Python.

    Args:
        method: its name, for the error.
        name: of the option.
        value: what the caller gave.
        hint: the parameter's annotation; of a kind not known here, it is not checked.

    Raises:
        OptionError: the value has another type, is not in the list, not finite or too large.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    if get_origin(hint) is Literal:
        if not any(type(value) is type(known) and value == known for known in get_args(hint)):
            allowed = ", ".join(map(repr, get_args(hint)))
            raise OptionError(
                f"{name}={quoted(value)} is not an option of {method}; known: {allowed}"
            )
        return value
    none = " or None" * (type(None) in kinds)
    if bool in kinds:
        if not isinstance(value, bool):
            raise OptionError(f"{name}={quoted(value)} of {method}: give True or False{none}")
        return value
    if float in kinds:
        return _number(method, name, value, none)
    if int in kinds:
        return _whole(method, name, value, none)
    if str in kinds and not isinstance(value, str):
        raise OptionError(f"{name}={quoted(value)} of {method}: give a string{none}")
    return value


def _whole(method: str, name: str, value: Any, none: str) -> int:
    largest = LARGEST_SEED if name == "seed" else LARGEST
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionError(f"{name}={quoted(value)} of {method}: give a whole number{none}")
    if abs(int(value)) > largest:
        raise OptionError(f"{name}={quoted(value)} of {method}: give at most {largest}")
    return int(value)


def _number(method: str, name: str, value: Any, none: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionError(f"{name}={quoted(value)} of {method}: give a number{none}")
    if not math.isfinite(float(value)) or abs(float(value)) > LARGEST:
        raise OptionError(
            f"{name}={quoted(value)} of {method}: give a finite number, at most {LARGEST}"
        )
    return value if isinstance(value, int) else float(value)
