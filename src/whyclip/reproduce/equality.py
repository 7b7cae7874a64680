"""Grad-ECLIP and Attention-ECLIP: two routes, one map, over a whole dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, float64, tensor

from whyclip.api import compare
from whyclip.datasets import Sample
from whyclip.explanation import Explanation
from whyclip.methods import get_method
from whyclip.report import Column, Picture, Table
from whyclip.reproduce.experiment import Defaults, Experiment, Findings, Setting
from whyclip.reproduce.verdict import worst_is_below
from whyclip.types import SIDES, Side
from whyclip.variant import Variant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ONE, OTHER, CONTROL = "grad_eclip", "attention_eclip", "contribution"
WITHIN = 1e-5

# Signed, so that tokens which the ReLU would set to zero in both are compared too.
CASES: Mapping[str, Mapping[str, Any]] = {
    "as published, ReLU": {},
    "signed": {"relu": False},
    "signed, λ = 1": {"relu": False, "spatial": "none"},
    "signed, λ = attention": {"relu": False, "spatial": "softmax"},
    "signed, one head": {"relu": False, "heads": "single"},
    "signed, every layer": {"relu": False, "layers": -1},
}


def equality(setting: Setting) -> Findings:
    """Measure the largest relative difference of the two methods over samples and prompts."""
    found: dict[tuple[str, Side], list[float]] = defaultdict(list)
    apart: dict[Side, list[float]] = defaultdict(list)
    images: set[str] = set()
    for sample in setting.samples("comparing"):
        images.add(sample.image_id)
        explained = {side: _explained(setting, sample, side) for side in SIDES}
        for case in CASES:
            for side, of_side in explained.items():
                if (case, ONE) not in of_side:
                    continue
                one, other = (of_side[case, name] for name in (ONE, OTHER))
                found[case, side] += relative_differences(one, other, side)
                if case == "signed":
                    apart[side] += relative_differences(one, of_side["", CONTROL], side)
    everything = [value for values in found.values() for value in values]
    verdict = worst_is_below(
        "Grad-ECLIP and Attention-ECLIP give the same map",
        "largest relative difference",
        everything,
        len(images),
        WITHIN,
    )
    rows = [_row(case, side, values) for (case, side), values in found.items()]
    rows += [_row(f"signed, against {CONTROL}", side, values) for side, values in apart.items()]
    table = Table(
        "Relative difference of the two maps",
        (
            Column("case", "options"),
            Column("side"),
            Column("n", "maps"),
            Column("worst", "largest difference", better="lower"),
            Column("mean", "mean difference", better="lower"),
            Column("equal", f"equal within {WITHIN:g}"),
        ),
        tuple(rows),
        "The largest difference of two maps of one prompt, over the largest value of that prompt. "
        f"The last rows are a control: how far a method that is not the same ({CONTROL}) is from "
        f"{ONE}.",
    )
    image = Picture(
        _figure(found, apart),
        "Histogram of relative differences",
        "Each map of each option and side, beside the control.",
    )
    return Findings([verdict], [table, image], {})


def _explained(setting: Setting, sample: Sample, side: Side) -> dict[tuple[str, str], Explanation]:
    """Explain one side by both methods in every case, and by the control, from one forward pass."""
    variants = {
        (case, name): Variant(get_method(name), options)
        for case, given in CASES.items()
        if (options := _for(setting, side, given)) is not None
        for name in (ONE, OTHER)
    }
    if not variants:
        return {}
    variants["", CONTROL] = Variant(get_method(CONTROL))
    named = {f"{name}, {case}": variant for (case, name), variant in variants.items()}
    explained = compare(setting.model, [sample.source], list(sample.prompts), named, sides=(side,))
    return {key: one for key, [one] in zip(variants, explained.values(), strict=True)}


def _for(setting: Setting, side: Side, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Options for one tower; None where it cannot be read or has no further layers."""
    tower = setting.model.image if side == "image" else setting.model.text
    if tower.opaque or (side == "text" and setting.model.classes is not None):
        return None
    if given.get("layers") != -1:
        return dict(given)
    return None if tower.has_pooling_head else {**given, "layers": len(tower.blocks)}


def relative_differences(one: Explanation, other: Explanation, side: Side) -> list[float]:
    """For each prompt the largest difference of two explanations over their largest value.

    ``max |a − b| / max(|a|, |b|)``; 0 where both are zero throughout. Where a side has no token
    at all (an empty text) there is nothing to compare, and the prompt is left out.
    """
    pairs = zip(_values(one, side), _values(other, side), strict=True)
    return [_relative(a, b) for a, b in pairs if a.numel()]


def _values(explanation: Explanation, side: Side) -> Sequence[Tensor]:
    if side == "image":
        assert explanation.maps is not None, "the image side was asked for"
        return list(explanation.maps.double().flatten(1))
    return [
        tensor([word.relevance for word in words], dtype=float64) for words in explanation.words
    ]


def _relative(a: Tensor, b: Tensor) -> float:
    largest = float(max(a.abs().max(), b.abs().max()))
    return float((a - b).abs().max()) / largest if largest else 0.0


def _row(case: str, side: Side, values: Sequence[float]) -> dict[str, object]:
    return {
        "case": case,
        "side": side,
        "n": len(values),
        "worst": f"{max(values, default=float('nan')):.1e}",
        "mean": f"{np.mean(values):.1e}",
        "equal": max(values, default=float("nan")) < WITHIN,
    }


def _figure(
    found: Mapping[tuple[str, Side], Sequence[float]], apart: Mapping[Side, Sequence[float]]
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(-10, 1, 67).tolist()
    for values, label in (
        ([v for part in found.values() for v in part], f"{ONE} and {OTHER}"),
        ([v for part in apart.values() for v in part], f"{ONE} and {CONTROL}"),
    ):
        if values:
            # Differences of exactly zero are drawn at the left end.
            axes.hist(np.log10(np.maximum(values, 1e-10)), bins, label=label, alpha=0.85)
    axes.axvline(np.log10(WITHIN), color="0.3", ls=":", label=f"bound {WITHIN:g}")
    axes.set_xlabel("relative difference (power of ten)")
    axes.set_ylabel("maps")
    axes.legend(frameon=False)
    return figure


EXPERIMENT = Experiment(
    name="equality",
    title="Grad-ECLIP equals Attention-ECLIP",
    claim=(
        "The gradient at the attention's output, multiplied with the values, and the gradient at "
        "the post-softmax attention weights, summed over heads, are the same number for every "
        "token; so the two methods give the same map, in images and in texts."
    ),
    source="Cui & Fan 2026, arXiv 2605.12952, against Zhao et al., ICML 2024, arXiv 2502.18816",
    run=equality,
    defaults=Defaults(limit=40),
    cost="0.8 s",
    on_real_data=(
        "whyclip reproduce equality --data imagenet:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 500"
    ),
)
