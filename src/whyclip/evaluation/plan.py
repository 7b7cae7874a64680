"""What an evaluation runs: methods, metrics, and how samples are asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from whyclip.data import Dataset
from whyclip.errors import OptionError, UnsupportedModelError, WhyclipError, check_choice, unknown
from whyclip.methods import METHODS, Method, get_method
from whyclip.metrics import METRICS, Metric, get_metric
from whyclip.model import ModelView, Tower
from whyclip.model.state import check_asked
from whyclip.plan import Plan as MethodPlan
from whyclip.types import SIDES, GeometryName, Precision, Side

PromptName = Literal["gt", "pred"]
ProtocolName = Literal["grad-eclip", "rise"]

CONTROL = "random"
DEFAULT_METRICS = (
    "deletion",
    "insertion",
    "word_deletion",
    "word_insertion",
    "pointing_game",
    "energy_pointing",
    "pixel_accuracy",
    "iou",
    "average_precision",
)
# Metrics that both protocols have, under the name of the first.
PROTOCOLS: Mapping[str, Mapping[str, str]] = {
    "grad-eclip": {},
    "rise": {"deletion": "deletion_rise", "insertion": "insertion_rise"},
}


@dataclass(frozen=True)
class Variant:
    """A method under a name of its own, with options.

    Attributes:
        name: in the results; several variants of one method need different ones.
        method: a name from ``METHODS``, or a method that is not there.
        options: the method's own; the rest are its defaults.
    """

    name: str
    method: str | Method
    options: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self) -> Method:
        """The method, under the variant's name.

        Raises:
            OptionError: no such method.
        """
        method = get_method(self.method) if isinstance(self.method, str) else self.method
        return replace(method, name=self.name)


@dataclass(frozen=True)
class Plan:
    """What is run; :func:`make_plan` checks it.

    Attributes:
        methods: each under the name of its variant, with its options, and the sides that it
            can read and metrics look at; the random control is among them.
        prompt: whether each true label's text is explained, or that of the predicted class.
        seed: of noise, of the order of equal pixels, of random maps.
    """

    methods: tuple[MethodPlan, ...]
    metrics: tuple[Metric, ...]
    prompt: PromptName = "gt"
    geometry: GeometryName = "model"
    precision: Precision = "fp32"
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variants, in order."""
        return tuple(plan.method.name for plan in self.methods)

    @property
    def located(self) -> tuple[Metric, ...]:
        """The metrics that look at masks."""
        return tuple(metric for metric in self.metrics if metric.edits is None)

    def edited(self, side: Side) -> tuple[Metric, ...]:
        """The metrics that ask the model about edits of this side's input."""
        return tuple(m for m in self.metrics if m.edits is not None and m.side == side)

    def measured(self, method: MethodPlan) -> tuple[Metric, ...]:
        """The metrics of the sides that a method reads."""
        return tuple(metric for metric in self.metrics if metric.side in method.sides)

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """(method, metric, read) of everything that is measured, in order."""
        return [
            (plan.method.name, metric.name, read)
            for plan in self.methods
            for metric in self.measured(plan)
            for read in metric.reads or ("",)
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything that results depend on, as text and numbers."""
        return {
            "methods": {
                plan.method.name: {
                    "options": {key: str(value) for key, value in plan.options.items()},
                    "sides": list(plan.sides),
                    "source": plan.method.source,
                }
                for plan in self.methods
            },
            "metrics": [metric.name for metric in self.metrics],
            "prompt": self.prompt,
            "geometry": self.geometry,
            "precision": self.precision,
            "seed": self.seed,
        }


def make_plan(
    model: ModelView,
    dataset: Dataset,
    methods: Sequence[str | Method | Variant] | Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    sides: Sequence[Side] = SIDES,
    prompt: PromptName = "gt",
    protocol: ProtocolName = "grad-eclip",
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    seed: int = 0,
) -> Plan:
    """Check what is asked for, and fill in what is not.

    Args: as for :func:`whyclip.evaluation.evaluate`.

    Raises:
        OptionError: a name is not known or given twice, a method cannot read the model, a metric
            has no method or no mask to look at, a side has no metric.
    """
    check_asked(model, geometry, precision)
    check_choice("prompt", prompt, get_args(PromptName))
    check_choice("protocol", protocol, get_args(ProtocolName))
    for side in sides:
        check_choice("side", side, SIDES)
    asked = [s for s in SIDES if s in sides and not (s == "text" and model.classes is not None)]
    chosen = _metrics(dataset, metrics, asked, PROTOCOLS[protocol])
    looked_at = [side for side in asked if any(metric.side == side for metric in chosen)]
    variants = _variants(methods, seed)
    plans = [_method_plan(model, variant, looked_at, methods is None) for variant in variants]
    ready = tuple(plan for plan in plans if plan.sides)
    for metric in chosen:
        readers = [p for p in ready if metric.side in p.sides and p.method.name != CONTROL]
        if metrics is not None and not readers and len(ready) > 1:
            raise OptionError(
                f"metric {metric.name!r} looks at the {metric.side} side, which none of "
                f"{', '.join(v.name for v in variants if v.name != CONTROL)} reads here"
            )
    return Plan(ready, tuple(chosen), prompt, geometry, precision, seed)


def _variants(methods: Any, seed: int) -> list[Variant]:
    """Name every method, and put the control last if it is not there."""
    if methods is None:
        methods = [m.name for m in METHODS.values() if m.available and not m.slow]
    if isinstance(methods, str):
        methods = (methods,)
    given = methods.items() if isinstance(methods, Mapping) else [(m, {}) for m in methods]
    found = []
    for method, options in given:
        if not isinstance(method, (str, Method, Variant)):
            raise unknown("method", method, METHODS)
        if isinstance(method, Variant):
            found.append(method)
        else:
            found.append(
                Variant(method if isinstance(method, str) else method.name, method, options)
            )
    names = [variant.name for variant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OptionError(
            f"method {twice[0]!r} is given twice; give its variants names of their own"
        )
    if CONTROL not in names:
        found.append(Variant(CONTROL, CONTROL, {"seed": seed}))
    return found


def _method_plan(
    model: ModelView, variant: Variant, sides: Sequence[Side], lenient: bool
) -> MethodPlan:
    """Choose the sides that a method can read of this model; none only where ``lenient``."""
    method = variant.resolve()
    if not method.available:
        raise OptionError(
            f"method {variant.name!r} needs {method.needs}: pip install 'whyclip[{method.needs}]'"
        )
    own: tuple[Side, ...] = tuple(side for side in sides if side in method.sides)
    plan = MethodPlan(method, method.complete(variant.options), own)
    towers = {"image": model.image, "text": model.text}
    obstacles = {side: _obstacle(plan, towers[side]) for side in own}
    able = [side for side, obstacle in obstacles.items() if obstacle is None]
    for obstacle in obstacles.values():
        if obstacle and not able and not lenient:
            raise obstacle
    if not own and not lenient:
        raise OptionError(
            f"method {variant.name!r} reads {' and '.join(method.sides)}, but the metrics look at "
            f"{' and '.join(sides)}"
        )
    return replace(plan, sides=tuple(able))


def _obstacle(plan: MethodPlan, tower: Tower) -> WhyclipError | None:
    """What keeps a method from reading a tower."""
    try:
        plan.reach(tower)
    except (OptionError, UnsupportedModelError) as error:
        return error
    return None


def _metrics(
    dataset: Dataset,
    names: Sequence[str] | None,
    sides: Sequence[Side],
    protocol: Mapping[str, str],
) -> list[Metric]:
    if isinstance(names, str):
        names = (names,)
    for name in names or ():
        check_choice("metric", name, METRICS)
    wanted = dict.fromkeys(protocol.get(name, name) for name in names or DEFAULT_METRICS)
    found = [get_metric(name) for name in wanted]
    masked = dataset.has_masks() if any("mask" in metric.needs for metric in found) else False
    if names is None:
        found = [m for m in found if m.side in sides and (masked or "mask" not in m.needs)]
    for metric in found:
        if "mask" in metric.needs and not masked:
            raise OptionError(
                f"metric {metric.name!r} needs masks, which this dataset does not have; "
                "datasets that do: see whyclip datasets"
            )
        if metric.side not in sides:
            raise OptionError(
                f"metric {metric.name!r} looks at the {metric.side} side, but the sides are "
                f"{' and '.join(sides) or 'none'}"
            )
    if not found:
        raise OptionError(f"no metric looks at {' or '.join(sides) or 'no side'}; name one")
    return found
