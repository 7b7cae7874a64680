"""The audited methods with their labels and options."""

from __future__ import annotations

from whyclip.errors import OptionError
from whyclip.models import ModelView
from whyclip.selection import MethodsLike, obstacles, select_variants, variants_of
from whyclip.studies.control import CONTROL, control
from whyclip.variant import Variant


def variants_by_label(
    model: ModelView, methods: MethodsLike | None, seed: int = 0
) -> dict[str, Variant]:
    """Choose the requested methods and the random baseline.

    Args:
        model: model to explain.
        methods: as for :func:`whyclip.compare`; default: every fast method that supports the model.
        seed: random seed of the baseline.

    Returns:
        Variants by label, each with the sides that it supports; the baseline is last.

    Raises:
        OptionError: a method is unknown, does not support the model, or was given twice.
    """
    if methods is None:
        variants = list(select_variants(model).variants)
    else:
        variants = [_supported(model, variant) for variant in variants_of(methods)]
    chosen = {variant.label: variant for variant in variants if variant.label != CONTROL}
    sides = tuple(tower.side for tower in model.towers)
    return {**chosen, CONTROL: control(seed, sides)}


def _supported(model: ModelView, variant: Variant) -> Variant:
    """Remove the sides that the method does not support."""
    reasons = obstacles(model, variant)
    able = [side for side, reason in reasons.items() if not reason]
    if not able:
        why = "; ".join(dict.fromkeys(reasons.values())) or f"it explains {variant.sides}"
        raise OptionError(f"method {variant.label!r} does not support {model.name}: {why}")
    return variant.on(able)
