"""Whether relevance sums to the total that the method promises."""

from __future__ import annotations

import math

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """The gap that an additive method reports, over the score."""
    if not evidence.methods[method].sums_to:
        return Measured(None, why_not="promises no sum")
    values, groups = [], []
    for sample, result in evidence.of(method):
        gaps = [value for key, value in result.diagnostics.get(side, {}).items() if "gap" in key]
        for gap in gaps:
            values += (gap.abs() / sample.scores.abs().clamp_min(1e-6)).tolist()
            groups += [sample.image_id] * len(gap)
    if not values:
        return Measured(None, why_not="sums by construction, so it reports no gap")
    return Measured(Values(values, groups))


CHECK = Check(
    name="completeness",
    title="Completeness gap",
    question="How far is the sum of the relevance values from the total that the method promises?",
    measure=measure,
    principle="fidelity",
    higher_is_better=False,
    threshold=0.05,
    exact=True,
    bounds=(0.0, math.inf),
    reason="A gap below one twentieth of the score is not visible in a map.",
    passes="the relevance values sum to the promised total",
    fails="the relevance values do not sum to the promised total",
    formula="mean |gap| / |S|, with the gap that the method reports",
    digits=4,
)
