"""Do the relevances add up to what the method says they add up to?"""

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
        return Measured(None, why_not="adds up by construction, reports no gap")
    return Measured(Values(values, groups))


CHECK = Check(
    name="completeness",
    title="Completeness gap",
    question="How far are the relevances from adding up to what the method promises?",
    measure=measure,
    principle="fidelity",
    higher_is_better=False,
    threshold=0.05,
    exact=True,
    bounds=(0.0, math.inf),
    reason="What one in twenty of the score cannot account for does not change a map to the eye.",
    passes="the relevances add up as promised",
    fails="the relevances do not add up as promised",
    formula="mean |gap| / |S|, with the gap that the method reports",
    digits=4,
)
