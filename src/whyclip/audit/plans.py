"""Which methods are audited, by what names, and with which options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whyclip.audit.evidence import CONTROL
from whyclip.errors import OptionError
from whyclip.methods import METHODS, Method, get_method
from whyclip.methods.method import label_of
from whyclip.model import ModelView
from whyclip.plan import Plan
from whyclip.selection import comparable

Asked = str | Method | tuple[str | Method, Mapping[str, Any]]


def plans_of(model: ModelView, methods: Sequence[Asked] | None) -> dict[str, Plan]:
    """Plan the methods asked for, and the random control.

    Args:
        model: to be explained.
        methods: names, methods of one's own, or either with options; by default every one that
            can read the model without running it dozens of times.

    Returns:
        Plans by name, ``"grad_eclip[heads=single]"`` for one with options; the control last.

    Raises:
        OptionError: a method is not known, cannot read the model, or was asked for twice.
    """
    plans: dict[str, Plan] = {}
    if methods is None:
        plans = {plan.method.name: plan for plan in comparable(model)[0]}
    for asked in methods or ():
        given, options = asked if isinstance(asked, tuple) else (asked, {})
        method = given if isinstance(given, Method) else get_method(given)
        name = label_of(method.name, options)
        if name in plans:
            raise OptionError(f"method {name!r} is asked for twice")
        plans[name] = _readable(model, Plan(method, method.complete(options), method.sides))
    control = METHODS[CONTROL]
    sides = tuple(tower.side for tower in model.towers)
    plans.pop(CONTROL, None)
    return {**plans, CONTROL: Plan(control, control.complete({}), sides)}


def _readable(model: ModelView, plan: Plan) -> Plan:
    """Leave out the sides that the method cannot read."""
    towers = {tower.side: tower for tower in model.towers}
    reasons = {side: plan.why_not(towers[side]) for side in plan.sides if side in towers}
    able = tuple(side for side, reason in reasons.items() if not reason)
    if not able:
        why = "; ".join(dict.fromkeys(reasons.values())) or f"it reads {plan.method.sides}"
        raise OptionError(f"method {plan.method.name!r} cannot read {model.name}: {why}")
    return replace(plan, sides=able)
