"""Selection of the variants that explain a model: named ones, defaults, or all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from whyclip.errors import OptionError, quoted, unknown
from whyclip.methods import METHODS, Method
from whyclip.models import ModelView
from whyclip.types import SIDES, Side
from whyclip.variant import MethodLike, Variant

ALL = "all"

DEFAULTS: Mapping[Side, tuple[str, ...]] = {
    "image": ("decomposition", "contribution", "occlusion"),
    "text": ("decomposition", "contribution", "leave_one_out"),
}
"""For each side, the default method, and fallbacks for models that it does not support."""

SLOW = f"dozens to thousands of model runs; {ALL!r} includes them"

MethodsLike: TypeAlias = MethodLike | Sequence[MethodLike] | Mapping[str, Any]
"""One or several methods; a mapping has a label for each, or a method's name and its options."""


class Selection(NamedTuple):
    """Variants that support a model, and those that do not.

    Attributes:
        variants: each on the sides that it supports.
        left_out: labels of skipped variants, by reason; with the side, if a variant is skipped on
            one side only.
    """

    variants: tuple[Variant, ...]
    left_out: Mapping[str, tuple[str, ...]]


def select_variants(
    model: ModelView,
    methods: MethodsLike | None = None,
    sides: Sequence[str] = SIDES,
    *,
    slow: bool = False,
) -> Selection:
    """Choose variants that support a model, on the sides that they support.

    Args:
        model: the model.
        methods: methods; by default all that are not slow.
        sides: the sides to explain.
        slow: whether the default includes slow methods.

    Raises:
        OptionError: an unknown method or option, or one label given twice.
    """
    variants: list[Variant] = []
    left_out: dict[str, list[str]] = {}
    chosen = list(METHODS.values()) if methods is None else methods
    for variant in variants_of(chosen):
        everywhere = SLOW if methods is None and variant.method.slow and not slow else ""
        reasons = {
            side: everywhere or reason for side, reason in obstacles(model, variant, sides).items()
        }
        supported = tuple(side for side in reasons if not reasons[side])
        if supported:
            variants.append(variant.on(supported))
        for side, reason in reasons.items():
            name = f"{variant.label} ({side} side)" if supported else variant.label
            if reason and name not in left_out.setdefault(reason, []):
                left_out[reason].append(name)
    return Selection(
        tuple(variants), {reason: tuple(names) for reason, names in left_out.items() if names}
    )


def obstacles(model: ModelView, variant: Variant, sides: Sequence[str] = SIDES) -> dict[Side, str]:
    """For each side of model and variant, why it cannot be explained, or ``""``."""
    missing = missing_package(variant.method)
    return {
        tower.side: missing or variant.obstacle(tower)
        for side in variant.sides
        for tower in model.towers
        if tower.side == side and side in sides
    }


def missing_package(method: Method) -> str:
    """Return how to install a method's missing package; empty if none is missing."""
    return "" if method.available else f"not installed; pip install 'whyclip[{method.needs}]'"


def variants_of(methods: MethodsLike) -> list[Variant]:
    """Read one or several methods.

    Raises:
        OptionError: an unknown method or option, or one label given twice.
    """
    if isinstance(methods, Mapping):
        variants = [_labelled(label, method) for label, method in methods.items()]
    elif isinstance(methods, (str, Method, Variant)):
        variants = [Variant.of(methods)]
    elif isinstance(methods, Iterable):
        variants = [Variant.of(method) for method in methods]
    else:
        raise unknown("method", methods, METHODS)
    labels = [variant.label for variant in variants]
    for label in labels:
        if labels.count(label) > 1:
            raise OptionError(
                f"method {quoted(label)} is given twice; give its variants different labels"
            )
    return variants


def _labelled(label: str, method: Any) -> Variant:
    """Read one entry of a mapping: a label and a method, or a method's name and its options."""
    if isinstance(method, Mapping):
        return Variant(Variant.of(label).method, method, label)
    return Variant.of(method, label)


def default_variants(
    model: ModelView, sides: Sequence[Side], options: Mapping[str, Any]
) -> list[Variant]:
    """Choose the default method of each side; one variant if both sides have the same method.

    Raises:
        OptionError: options without a method.
    """
    if options:
        name = next(iter(options))
        owners = [repr(method.name) for method in METHODS.values() if name in method.options]
        raise OptionError(
            f"option {name}={quoted(options[name])} needs a method; give method="
            f"{' or '.join(owners[:4]) or '...'}"
        )
    chosen: dict[Side, Variant] = {}
    for side in sides:
        variants = [Variant.of(name).on((side,)) for name in DEFAULTS[side]]
        fits = (variant for variant in variants if obstacles(model, variant).get(side) == "")
        chosen[side] = next(fits, variants[0])
    if len({variant.label for variant in chosen.values()}) == 1:
        return [next(iter(chosen.values())).on(tuple(chosen))]
    return list(chosen.values())


def on_sides(variant: Variant, sides: Sequence[str]) -> Variant:
    """Restrict sides to those that a method supports.

    Raises:
        OptionError: it supports none of them.
    """
    read = tuple(side for side in SIDES if side in sides and side in variant.sides)
    if not read:
        supported = " and ".join(variant.sides)
        raise OptionError(
            f"sides={quoted(sides)}: method {variant.label!r} supports only {supported}"
        )
    return variant.on(read)
