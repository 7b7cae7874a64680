"""The setup of an evaluation: methods, metrics and explained prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from whyclip.datasets import Dataset
from whyclip.errors import OptionError, check_choice
from whyclip.methods import METHODS
from whyclip.metrics import METRICS, Metric, get_metric
from whyclip.metrics.fills import with_fill
from whyclip.models import ModelView
from whyclip.models.state import check_asked
from whyclip.perturbation.fills import Fill
from whyclip.selection import MethodsLike, obstacles, variants_of
from whyclip.studies.control import CONTROL, control, described
from whyclip.types import SIDES, GeometryName, Precision, Side
from whyclip.variant import Variant

PromptName = Literal["gt", "pred"]
ProtocolName = Literal["grad-eclip", "rise"]
FillName = Literal["papers", "background", "black", "blurred", "random"]
# With a true background, the artificial fills are measured on the same images too.
FILLS: Mapping[FillName, tuple[Fill | None, ...]] = {
    "papers": (None,),
    "background": ("background", "black", "blurred"),
    "black": ("black",),
    "blurred": ("blurred",),
    "random": ("random",),
}

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
# Metrics of both protocols, by their name in the first.
PROTOCOLS: Mapping[str, Mapping[str, str]] = {
    "grad-eclip": {},
    "rise": {"deletion": "deletion_rise", "insertion": "insertion_rise"},
}


@dataclass(frozen=True)
class Setup:
    """Methods, metrics and options, validated by :func:`make_setup`.

    Attributes:
        methods: variants with the sides that they support and metrics use, including the random
            baseline.
        prompt: whether the prompt of each true label or of the predicted class is explained.
        seed: random seed of noise, of the order of equal pixels, and of random maps.
    """

    methods: tuple[Variant, ...]
    metrics: tuple[Metric, ...]
    prompt: PromptName = "gt"
    geometry: GeometryName = "model"
    precision: Precision = "fp32"
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variants, in order."""
        return tuple(variant.label for variant in self.methods)

    @property
    def located(self) -> tuple[Metric, ...]:
        """The metrics that use masks."""
        return tuple(metric for metric in self.metrics if metric.edits is None)

    def edited(self, side: Side) -> tuple[Metric, ...]:
        """The metrics that edit the input of a side."""
        return tuple(m for m in self.metrics if m.edits is not None and m.side == side)

    def measured(self, method: Variant) -> tuple[Metric, ...]:
        """The metrics of the sides that a method explains."""
        return tuple(metric for metric in self.metrics if metric.side in method.sides)

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """(method, metric, read) of all measurements, in order."""
        return [
            (variant.label, metric.name, read)
            for variant in self.methods
            for metric in self.measured(variant)
            for read in metric.readings or ("",)
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything that affects results, in plain JSON types."""
        return {
            "methods": {variant.label: described(variant) for variant in self.methods},
            "metrics": [metric.name for metric in self.metrics],
            "prompt": self.prompt,
            "geometry": self.geometry,
            "precision": self.precision,
            "seed": self.seed,
        }


def make_setup(  # noqa: PLR0913 (as for evaluate)
    model: ModelView,
    dataset: Dataset,
    methods: MethodsLike | None = None,
    metrics: Sequence[str] | None = None,
    *,
    sides: Sequence[Side] = SIDES,
    prompt: PromptName = "gt",
    protocol: ProtocolName = "grad-eclip",
    fill: FillName = "papers",
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    seed: int = 0,
) -> Setup:
    """Validate the options and fill in defaults.

    Args: as for :func:`whyclip.studies.evaluation.evaluate`.

    Raises:
        OptionError: a name is unknown or given twice, a method does not support the model, a metric
            has no method or no mask, or a side has no metric.
    """
    check_asked(model, geometry, precision)
    check_choice("prompt", prompt, get_args(PromptName))
    check_choice("protocol", protocol, get_args(ProtocolName))
    check_choice("fill", fill, get_args(FillName))
    if fill != "papers" and protocol != "grad-eclip":
        raise OptionError(f"fill={fill!r} needs protocol 'grad-eclip', not {protocol!r}")
    for side in sides:
        check_choice("side", side, SIDES)
    readable = [s for s in SIDES if s in sides and not (s == "text" and model.classes is not None)]
    if isinstance(metrics, str):
        metrics = (metrics,)
    for name in metrics or ():
        check_choice("metric", name, METRICS)
    wanted = [
        with_fill(PROTOCOLS[protocol].get(name, name), replacement)
        for name in metrics or DEFAULT_METRICS
        for replacement in FILLS[fill]
    ]
    chosen = _metrics(dataset, metrics, readable, wanted)
    looked_at = [side for side in readable if any(metric.side == side for metric in chosen)]
    variants = _variants(methods, seed)
    supported = [_supported(model, one, looked_at, methods is None) for one in variants]
    ready = tuple(variant for variant in supported if variant is not None)
    for metric in chosen:
        readers = [p for p in ready if metric.side in p.sides and p.label != CONTROL]
        if metrics is not None and not readers and len(ready) > 1:
            raise OptionError(
                f"metric {metric.name!r} evaluates the {metric.side} side, which none of "
                f"{', '.join(v.label for v in variants if v.label != CONTROL)} explains here"
            )
    return Setup(ready, tuple(chosen), prompt, geometry, precision, seed)


def _variants(methods: MethodsLike | None, seed: int) -> list[Variant]:
    """Read the methods, and append the baseline if it is missing."""
    if methods is None:
        methods = [m for m in METHODS.values() if m.available and not m.slow]
    variants = variants_of(methods)
    if CONTROL not in [variant.label for variant in variants]:
        variants.append(control(seed))
    return variants


def _supported(
    model: ModelView, variant: Variant, sides: Sequence[Side], lenient: bool
) -> Variant | None:
    """Keep the sides that a variant supports; if ``lenient``, None if it supports none."""
    method = variant.method
    if not method.available:
        raise OptionError(
            f"method {variant.label!r} needs {method.needs}: pip install 'whyclip[{method.needs}]'"
        )
    shared = [side for side in variant.sides if side in sides]
    reasons = obstacles(model, variant, shared)
    able = [side for side in shared if not reasons[side]]
    if able:
        return variant.on(able)
    if shared and not lenient:
        # The method's own error is the most specific.
        variant.blocks_needed(next(tower for tower in model.towers if tower.side == shared[0]))
    if not lenient:
        raise OptionError(
            f"method {variant.label!r} explains the {' and '.join(method.sides)} side, but the "
            f"metrics evaluate the {' and '.join(sides)} side"
        )
    return None


def _metrics(
    dataset: Dataset,
    names: Sequence[str] | None,
    sides: Sequence[Side],
    wanted: Sequence[str],
) -> list[Metric]:
    chosen = [get_metric(name) for name in dict.fromkeys(wanted)]
    masked = dataset.has_masks() if any("mask" in metric.needs for metric in chosen) else False
    if names is None:
        chosen = [m for m in chosen if m.side in sides and (masked or "mask" not in m.needs)]
    for metric in chosen:
        if "mask" in metric.needs and not masked:
            raise OptionError(
                f"metric {metric.name!r} needs masks, which this dataset does not have; "
                "see whyclip datasets for datasets with masks"
            )
        if "background" in metric.needs and not dataset.has_interventions():
            raise OptionError(
                f"metric {metric.name!r} needs images without their objects, which this dataset "
                "does not have; use scenes"
            )
        if metric.side not in sides:
            raise OptionError(
                f"metric {metric.name!r} evaluates the {metric.side} side, but the sides are "
                f"{' and '.join(sides) or 'none'}"
            )
    if not chosen:
        raise OptionError(f"no metric evaluates {' or '.join(sides) or 'no side'}; name one")
    return chosen
