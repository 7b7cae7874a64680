"""Exceptions of whyclip.

    WhyclipError
    ├── InputError            invalid input
    │   ├── ImageError        an image cannot be read or used
    │   ├── PromptError       a prompt is empty or of an unknown type
    │   ├── OptionError       an unknown method, model, option or value
    │   └── OutputError       a file cannot be written or read back
    └── ModelError            problems with the model
        ├── UnsupportedModelError   its computation cannot be reproduced
        ├── ScoreMismatchError      the explained score is not the model's own
        └── HubError                its weights cannot be downloaded

Every message is one line that quotes the input and names a fix.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral
from typing import TypeVar

Name = TypeVar("Name", bound=str)

# Limits of a quotation of the user's input, and of the number of names in a list.
QUOTED = 80
NAMED = 8
# Limits of a quoted library message or list of names, and of a whole message.
_REASON = 200
_LONGEST = 600


class WhyclipError(Exception):
    """Base of all errors of whyclip; the message is one line without control characters."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_cut(one_line(str(message)), _LONGEST))


class WhyclipWarning(UserWarning):
    """Part of the input was ignored or changed; the result is correct for the rest."""


class InputError(WhyclipError, ValueError):
    """An input cannot be used."""


class ImageError(InputError):
    """An image cannot be read or used."""


class PromptError(InputError):
    """A prompt is empty, or of an unknown type."""


class OptionError(InputError):
    """A method, model, option or value is unknown or invalid."""


class OutputError(InputError):
    """A file cannot be written, or was not written by whyclip."""


class ModelError(WhyclipError):
    """The model cannot be loaded or explained."""


class UnsupportedModelError(ModelError):
    """The model's computation cannot be reproduced to the required accuracy."""


class ScoreMismatchError(ModelError):
    """The explained score differs from the model's score."""


class HubError(ModelError):
    """The model's weights cannot be downloaded."""


def unknown(kind: str, value: object, known: Iterable[str]) -> OptionError:
    """Build the error for an unknown name, with the nearest known ones.

    Args:
        kind: kind of the name, such as ``"method"``.
        value: the caller's input.
        known: all valid names.
    """
    names = sorted(known)
    near = []
    if isinstance(value, str):
        near = get_close_matches(value[:QUOTED], names, n=3, cutoff=0.5)
    start = f"unknown {kind} {quoted(value)}; "
    if near:
        return OptionError(f"{start}did you mean {' or '.join(near)}?")
    count = min(len(names), NAMED)
    while count > 1 and len(start) + len(_known(names, count)) > _REASON:
        count -= 1
    return OptionError(start + _known(names, count))


def check_choice(kind: str, value: object, known: Iterable[Name]) -> Name:
    """Return the given name if it is in ``known``.

    Raises:
        OptionError: unknown name; the message names the nearest.
    """
    names = {str(name): name for name in known}
    if not isinstance(value, str) or value not in names:
        raise unknown(kind, value, names)
    return names[value]


def check_count(k: object, name: str = "k") -> int:
    """Return a number of results as an int; numpy's whole numbers count.

    Raises:
        OptionError: it is not a whole number of at least 1.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise OptionError(f"{name}={quoted(k)}: give a whole number, 1 or more")
    return int(k)


def _known(names: list[str], count: int) -> str:
    more = f" and {len(names) - count} more" * (len(names) > count)
    return f"known: {', '.join(names[:count])}{more}"


def quoted(value: object) -> str:
    """Quote the caller's input: at most 80 characters, control characters escaped."""
    try:
        text = repr(str(value) if isinstance(value, str) else value)
    except Exception:  # noqa: BLE001 - the user's class may raise anything
        text = f"<{type(value).__name__}>"
    text = one_line(text)
    if len(text) <= QUOTED:
        return text
    mark = text[0] if text[0] in "'\"" else ""
    return f"{text[: QUOTED - 3 - len(mark)]}...{mark}"


def reason(error: BaseException) -> str:
    """Shorten a library's error message to one line of at most 200 characters."""
    try:
        words = one_line(str(error))
    except Exception:  # noqa: BLE001 - the message itself may not be encodable
        words = ""
    return _cut(words.rstrip(".;: ") or type(error).__name__, _REASON)


def one_line(text: str) -> str:
    """Join lines with spaces and escape unprintable characters."""
    joined = " ".join(text.splitlines()) if len(text.splitlines()) > 1 else text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in joined
    ).strip()


def warn(message: str) -> None:
    """Issue a one-line warning at the line of the user's code that called whyclip."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] == "whyclip":
        level, frame = level + 1, frame.f_back
    warnings.warn(_cut(one_line(message), _LONGEST), WhyclipWarning, stacklevel=level)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
