"""Whether the map changes if the weights are shuffled."""

from __future__ import annotations

from torch import Tensor

from whyclip.stats.correlation import spearman
from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def likeness(true: Tensor, other: Tensor) -> float:
    """Spearman correlation of two maps; 0 if the second is constant, NaN if the first is."""
    if len(true) < 2 or not float(true.max() - true.min()) > 0:
        return float("nan")
    correlation = float(spearman(true, other))
    return 0.0 if correlation != correlation else correlation  # noqa: PLR0124  NaN is not itself


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Spearman correlation of the true map and that of the shuffled model, own prompts."""
    stages: list[list[float]] = [[] for _ in evidence.stages]
    groups = []
    for sample, result in evidence.of(method):
        if side not in result.shuffled:
            continue
        for prompt, true in enumerate(result.relevance(side)[: sample.true_count]):
            groups.append(sample.image_id)
            for values, maps in zip(stages, result.shuffled[side], strict=True):
                values.append(likeness(true, maps[prompt]))
    if not groups:
        return Measured(None, why_not="nothing to compare")
    figures = {
        f"shuffled: {stage}": Values(values, groups)
        for stage, values in zip(evidence.stages, stages, strict=True)
    }
    return Measured(Values(stages[-1], groups), figures)


CHECK = Check(
    name="shuffled_weights",
    title="Similarity under shuffled weights",
    question="How similar are the maps of the model and of a copy with shuffled weights?",
    measure=measure,
    principle="consistency",
    higher_is_better=False,
    threshold=0.3,
    bounds=(-1.0, 1.0),
    reason="A map that survives the shuffling does not come from training. 0.3, a moderate "
    "correlation, allows for what the image alone contributes to every map.",
    passes="the map changes when the weights are shuffled",
    fails="the map stays similar when the weights are shuffled",
    formula="mean Spearman(map of the model, map of the copy with all weights shuffled)",
    asks=("shuffled",),
)
