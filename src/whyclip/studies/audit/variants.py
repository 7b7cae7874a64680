"""Which methods are audited, by what labels, and with which options."""

from __future__ import annotations

from whyclip.errors import OptionError
from whyclip.models import ModelView
from whyclip.selection import MethodsLike, obstacles, select_variants, variants_of
from whyclip.studies.control import CONTROL, control
from whyclip.variant import Variant


def variants_by_label(
    model: ModelView, methods: MethodsLike | None, seed: int = 0
) -> dict[str, Variant]:
    """Choose the methods asked for, and the random control.

    Args:
        model: to be explained.
        methods: as for :func:`whyclip.compare`; by default every one that supports the model
            without running it dozens of times.
        seed: of the random control.

    Returns:
        Variants by label, each on the sides that it supports; the control last.

    Raises:
        OptionError: a method is not known, cannot read the model, or was given twice.
    """
    if methods is None:
        variants = list(select_variants(model).variants)
    else:
        variants = [_supported(model, variant) for variant in variants_of(methods)]
    chosen = {variant.label: variant for variant in variants if variant.label != CONTROL}
    sides = tuple(tower.side for tower in model.towers)
    return {**chosen, CONTROL: control(seed, sides)}


def _supported(model: ModelView, variant: Variant) -> Variant:
    """Leave out the sides that the method cannot read."""
    reasons = obstacles(model, variant)
    able = [side for side, reason in reasons.items() if not reason]
    if not able:
        why = "; ".join(dict.fromkeys(reasons.values())) or f"it reads {variant.sides}"
        raise OptionError(f"method {variant.label!r} cannot read {model.name}: {why}")
    return variant.on(able)
