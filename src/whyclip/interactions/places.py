"""Spans of a prompt and boxes of an image, as users write them."""

from __future__ import annotations

import re
from numbers import Integral
from typing import Any

from whyclip.errors import InputError, PromptError, quoted


def characters_of(prompt: str, span: Any) -> tuple[int, int]:
    """Return start and end of a span of a prompt, as in ``prompt[start:end]``; 0, 0 if not found.

    Args:
        prompt: the prompt.
        span: a part of the prompt, in upper or lower case, or its start and end.

    Raises:
        PromptError: ``span`` is neither a string nor two whole numbers.
    """
    if isinstance(span, str):
        part = re.escape(span.strip())
        if not part:
            return 0, 0
        # Whole words come first, so that "car" is not found within "scarf".
        matches = (
            re.search(pattern, prompt, re.IGNORECASE) for pattern in (rf"(?<!\w){part}(?!\w)", part)
        )
        return next((match.span() for match in matches if match), (0, 0))
    if isinstance(span, (tuple, list)) and len(span) == 2:
        start, end = span
        if isinstance(start, Integral) and isinstance(end, Integral):
            return int(start), int(end)
    raise PromptError(
        f"where({quoted(span)}): give a part of {quoted(prompt)}, or start and end as in "
        "prompt[start:end]"
    )


def sides_of(box: Any) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a box.

    Raises:
        InputError: the box is not four numbers.
    """
    try:
        left, top, right, bottom = map(float, () if isinstance(box, str) else box)
    except (TypeError, ValueError):
        raise InputError(
            f"box {quoted(box)}: give four numbers: left, top, right, bottom"
        ) from None
    return left, top, right, bottom
