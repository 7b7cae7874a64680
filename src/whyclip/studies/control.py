"""The random baseline of every study, and a description of a variant for its identity."""

from __future__ import annotations

from typing import Any

from whyclip.methods import get_method
from whyclip.types import SIDES, Side
from whyclip.variant import Variant

CONTROL = "random"


def control(seed: int, sides: tuple[Side, ...] = SIDES) -> Variant:
    """Return the random baseline with the study's seed."""
    return Variant(get_method(CONTROL), {"seed": seed}, CONTROL, sides)


def described(variant: Variant) -> dict[str, Any]:
    """Describe everything in a variant that affects results, as text."""
    return {
        "options": {key: str(value) for key, value in variant.settings.items()},
        "sides": list(variant.sides),
        "source": variant.method.source,
    }
