"""Equality of the maps of Grad-ECLIP and Attention-ECLIP over a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, float64, tensor

from whyclip.api import compare
from whyclip.datasets import Sample
from whyclip.explanation import Explanation
from whyclip.methods import get_method
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import histogram
from whyclip.studies.claims import worst_is_below
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.measurements import Measurements, Values
from whyclip.types import SIDES, Side
from whyclip.variant import Variant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ONE, OTHER, CONTROL = "grad_eclip", "attention_eclip", "contribution"
WITHIN = 1e-5
AGAINST = f"signed, against {CONTROL}"

# Signed, so that tokens that the ReLU sets to zero in both are compared too.
CASES: Mapping[str, Mapping[str, Any]] = {
    "as published, ReLU": {},
    "signed": {"relu": False},
    "signed, λ = 1": {"relu": False, "spatial": "none"},
    "signed, λ = attention": {"relu": False, "spatial": "softmax"},
    "signed, one head": {"relu": False, "heads": "single"},
    "signed, every layer": {"relu": False, "layers": -1},
}


def equality(setting: ExperimentInput) -> ExperimentResult:
    """Measure the largest relative difference of the two methods over samples and prompts."""
    rows = Measurements()
    for sample in setting.samples("comparing"):
        explained = {side: _explained(setting, sample, side) for side in SIDES}
        for case in CASES:
            for side, of_side in explained.items():
                if (case, ONE) not in of_side:
                    continue
                one, other = (of_side[case, name] for name in (ONE, OTHER))
                equal = relative_differences(one, other, side)
                rows.add((case, side), sample.image_id, equal)
                if case == "signed":
                    apart = relative_differences(one, of_side["", CONTROL], side)
                    rows.add((AGAINST, side), sample.image_id, apart)
    everything = _joined(rows, CASES)
    finding = worst_is_below(
        "Grad-ECLIP and Attention-ECLIP give the same map",
        "largest relative difference",
        everything.values,
        len(set(everything.groups)),
        WITHIN,
    )
    order = [(case, side) for case in (*CASES, AGAINST) for side in SIDES if (case, side) in rows]
    lines = [_row(case, side, rows[case, side].values) for case, side in order]
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
        tuple(lines),
        "The largest difference of two maps of one prompt, over the largest value of that prompt. "
        f"The last rows are a baseline: the difference of another method ({CONTROL}) from {ONE}.",
    )
    picture = Picture(
        _figure(everything.values, _joined(rows, [AGAINST]).values),
        "Histogram of relative differences",
        "Each map of each option and side, with the baseline.",
    )
    return ExperimentResult([finding], [table, picture], {})


def _joined(rows: Measurements, cases: Iterable[str]) -> Values:
    """All values of some cases, on both sides."""
    parts = [rows[case, side] for case in cases for side in SIDES if (case, side) in rows]
    return sum(parts, Values([], []))


def _explained(
    setting: ExperimentInput, sample: Sample, side: Side
) -> dict[tuple[str, str], Explanation]:
    """Explain one side by both methods in every case, and by the baseline, in one forward pass."""
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


def _for(setting: ExperimentInput, side: Side, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Options for one encoder; None if it is not supported or has no further layers."""
    tower = setting.model.image if side == "image" else setting.model.text
    if tower.opaque or (side == "text" and setting.model.classes is not None):
        return None
    if given.get("layers") != -1:
        return dict(given)
    return None if tower.has_pooling_head else {**given, "layers": len(tower.blocks)}


def relative_differences(one: Explanation, other: Explanation, side: Side) -> list[float]:
    """Largest difference of two explanations over their largest value, for each prompt.

    ``max |a − b| / max(|a|, |b|)``; 0 if both are zero everywhere. Prompts without any token (an
    empty string) are skipped.
    """
    pairs = zip(_values(one, side), _values(other, side), strict=True)
    return [_relative(a, b) for a, b in pairs if a.numel()]


def _values(explanation: Explanation, side: Side) -> Sequence[Tensor]:
    if side == "image":
        assert explanation.maps is not None, "the image side is explained"
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


def _figure(equal: Sequence[float], other: Sequence[float]) -> Figure:
    # Differences of exactly zero are drawn at the left end.
    return histogram(
        {
            f"{ONE} and {OTHER}": np.log10(np.maximum(equal, 1e-10)).tolist(),
            f"{ONE} and {CONTROL}": np.log10(np.maximum(other, 1e-10)).tolist(),
        },
        np.linspace(-10, 1, 67).tolist(),
        x=f"relative difference (power of ten; dotted: the bound {WITHIN:g})",
        y="maps",
        mark=float(np.log10(WITHIN)),
    )


EXPERIMENT = Experiment(
    name="equality",
    title="Grad-ECLIP equals Attention-ECLIP",
    claim=(
        "The gradient at the attention's output multiplied by the values equals the gradient at "
        "the post-softmax attention weights, summed over heads, for every token. The two methods "
        "therefore give the same map, for images and for prompts."
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
