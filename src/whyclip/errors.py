"""Every exception whyclip raises on purpose.

    WhyclipError
    ├── InputError            what the caller handed in
    │   ├── ImageError        an image that cannot be read or used
    │   ├── PromptError       a prompt that is empty or of an unknown kind
    │   ├── OptionError       an unknown method, model, option or value
    │   └── OutputError       a file that cannot be written or read back
    └── ModelError            what the model is
        ├── UnsupportedModelError   its computation cannot be followed exactly
        ├── ScoreMismatchError      the explained score is not the model's own
        └── HubError                its weights cannot be fetched

Every message quotes the offending input and says what would work.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class WhyclipError(Exception):
    """Base of all errors whyclip raises on purpose."""


class WhyclipWarning(UserWarning):
    """The result is right, but not of everything the caller handed in."""


class InputError(WhyclipError, ValueError):
    """What the caller handed in cannot be used."""


class ImageError(InputError):
    """An image cannot be read, or not used by the model."""


class PromptError(InputError):
    """A prompt is empty, or of a kind that is not known."""


class OptionError(InputError):
    """A method, model, option or value is not known."""


class OutputError(InputError):
    """A file cannot be written, or was not written by whyclip."""


class ModelError(WhyclipError):
    """The model cannot be had, or not be explained."""


class UnsupportedModelError(ModelError):
    """The model's own computation cannot be followed to the required accuracy."""


class ScoreMismatchError(ModelError):
    """The score that would be explained is not the score that the model gives."""


class HubError(ModelError):
    """The model's weights cannot be fetched."""


def unknown(kind: str, given: object, known: Iterable[str]) -> OptionError:
    """Build the error for a name that is not among the known ones, naming the nearest.

    Args:
        kind: what is being named, e.g. ``"method"``.
        given: what the caller wrote.
        known: all names that would work.
    """
    names = sorted(known)
    near = get_close_matches(str(given), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return OptionError(f"unknown {kind} {given!r}; {hint}")
