"""Spans of a prompt and boxes of an image, as users write them."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Any

from whyclip.errors import InputError, PromptError, quoted


def characters_of(prompt: str, span: Any) -> tuple[int, int]:
    """First character of a span of a prompt, and the one behind its last; 0, 0 if there is none.

    Args:
        prompt: the prompt.
        span: a part of it, in upper or lower case, or the two numbers.

    Raises:
        PromptError: ``span`` is neither a string nor two whole numbers.
    """
    if isinstance(span, str):
        part = re.escape(span.strip())
        if not part:
            return 0, 0
        # "car" is a word before it is a part of "scarf".
        matches = (
            re.search(pattern, prompt, re.IGNORECASE) for pattern in (rf"(?<!\w){part}(?!\w)", part)
        )
        return next((match.span() for match in matches if match), (0, 0))
    if isinstance(span, (tuple, list)) and len(span) == 2:
        start, end = span
        if isinstance(start, Integral) and isinstance(end, Integral):
            return int(start), int(end)
    raise PromptError(
        f"where({quoted(span)}): give a part of {quoted(prompt)}, or the numbers of its first "
        "character and the one behind its last"
    )


def sides_of(box: Any) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box.

    Raises:
        InputError: it is not four numbers.
    """
    try:
        left, top, right, bottom = map(float, () if isinstance(box, str) else box)
    except (TypeError, ValueError):
        raise InputError(
            f"box {quoted(box)}: give four numbers: left, top, right, bottom"
        ) from None
    return left, top, right, bottom
