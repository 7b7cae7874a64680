"""Messages for unexpected errors, and hints for prompts that look like options."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import whyclip

WRONG_INPUT = 2
FAULT = 3


def fault(error: Exception) -> tuple[str, int]:
    """Describe an unexpected error.

    Returns:
        One sentence, and the exit code.
    """
    said = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _MEMORY):
        return (
            "not enough memory; use smaller numbers, a smaller model or fewer images",
            WRONG_INPUT,
        )
    if isinstance(error, RecursionError):
        said = "recursion too deep"
    kind = type(error).__name__
    return (
        f"unexpected {kind} at {_place(error)}: {said:.160}; a bug in whyclip, please report it "
        "(WHYCLIP_TRACEBACK=1 shows the traceback)"
    ), FAULT


_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate")


def _place(error: Exception) -> str:
    """Return file and line of the innermost frame in whyclip's own code."""
    root = Path(whyclip.__file__).parent
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(root))
    ]
    if not frames:
        return "start"
    return f"{Path(frames[-1].filename).relative_to(root).as_posix()}:{frames[-1].lineno}"


def hint_of(arguments: Sequence[str]) -> str:
    """Return a hint for a prompt that begins with a dash, if one was given without ``--``."""
    before = list(arguments)
    before = before[: before.index("--")] if "--" in before else before
    for previous, argument in zip(["", *before], before, strict=False):
        name = argument.partition("=")[0]
        number = name[1:2].isdigit() and not previous.startswith("-")
        if argument.startswith("-") and (" " in name or number):
            return f"; to use {argument!r} as a prompt, write -- before the prompts"
    return ""
