"""Which methods explain a model: by name, by default, or all that support it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whyclip.errors import OptionError, quoted
from whyclip.methods import METHODS, get_method
from whyclip.model import ModelView
from whyclip.plan import Plan
from whyclip.types import SIDES, Side

ALL = "all"

DEFAULTS: Mapping[Side, tuple[str, ...]] = {
    "image": ("grad_eclip", "occlusion"),
    "text": ("decomposition", "contribution", "leave_one_out"),
}
"""For each side the default method, and those for models that it does not support."""

SLOW = f"dozens to thousands of runs of the model; {ALL!r} has them"


def default_plans(
    model: ModelView, sides: Sequence[Side], options: Mapping[str, Any]
) -> list[Plan]:
    """Choose the default method of each side; one plan where both sides have the same one.

    Raises:
        OptionError: options without a method to give them to.
    """
    if options:
        name = next(iter(options))
        owners = [repr(method.name) for method in METHODS.values() if name in method.options]
        raise OptionError(
            f"option {name}={quoted(options[name])} needs a method; give method="
            f"{' or '.join(owners[:4]) or '...'}"
        )
    towers = {tower.side: tower for tower in model.towers}
    chosen: dict[Side, Plan] = {}
    for side in sides:
        names = DEFAULTS[side]
        plans = [plan_of(name, {}, [side]) for name in names]
        fits = (plan for plan in plans if side in towers and not plan.why_not(towers[side]))
        chosen[side] = next(fits, plans[0])
    if len({plan.method.name for plan in chosen.values()}) == 1:
        return [replace(next(iter(chosen.values())), sides=tuple(chosen))]
    return list(chosen.values())


def plan_of(name: str, options: Mapping[str, Any], sides: Sequence[str]) -> Plan:
    """Make a plan of a method by its name, on those of the sides that it supports.

    Raises:
        OptionError: an unknown method or option, or none of the sides.
    """
    method = get_method(name)
    read = tuple(side for side in SIDES if side in sides and side in method.sides)
    if not read:
        raise OptionError(f"sides={quoted(sides)}: method {name!r} reads {method.sides!r}")
    return Plan(method, method.complete(options), read)


def comparable(
    model: ModelView, sides: Sequence[str] = SIDES, *, slow: bool = False
) -> tuple[list[Plan], dict[str, list[str]]]:
    """Choose every method that can read a model, on the sides it can.

    Args:
        model: the model to be read.
        sides: the sides to explain.
        slow: choose the slow ones, too.

    Returns:
        The methods, and by reason the names of those left out; of one that is left out on one
        side alone, the side stands beside its name.
    """
    towers = {tower.side: tower for tower in model.towers if tower.side in sides}
    plans: list[Plan] = []
    left_out: dict[str, list[str]] = {}
    for method in METHODS.values():
        plan = Plan(method, method.complete({}), tuple(s for s in method.sides if s in towers))
        everywhere = SLOW if method.slow and not slow else ""
        if not method.available:
            everywhere = f"not installed; pip install 'whyclip[{method.needs}]'"
        reasons = {side: everywhere or plan.why_not(towers[side]) for side in plan.sides}
        able = tuple(side for side in plan.sides if not reasons[side])
        if able:
            plans.append(replace(plan, sides=able))
        for side, reason in reasons.items():
            name = f"{method.name} ({side} side)" if able else method.name
            if reason and name not in left_out.setdefault(reason, []):
                left_out[reason].append(name)
    return plans, {reason: names for reason, names in left_out.items() if names}
