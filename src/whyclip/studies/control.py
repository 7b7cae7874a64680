"""The random baseline of every study, and what of a variant decides its results."""

from __future__ import annotations

from typing import Any

from whyclip.methods import get_method
from whyclip.types import SIDES, Side
from whyclip.variant import Variant

CONTROL = "random"


def control(seed: int, sides: tuple[Side, ...] = SIDES) -> Variant:
    """The random baseline: relevance drawn by the study's seed."""
    return Variant(get_method(CONTROL), {"seed": seed}, CONTROL, sides)


def described(variant: Variant) -> dict[str, Any]:
    """Everything of a variant that results depend on, as text."""
    return {
        "options": {key: str(value) for key, value in variant.settings.items()},
        "sides": list(variant.sides),
        "source": variant.method.source,
    }
