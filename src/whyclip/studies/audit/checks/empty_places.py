"""Whether relevance is on the named object, not beside it where nothing is drawn."""

from __future__ import annotations

import math

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Contrast of the named object and an empty region of its shape, where the score drops."""
    del side
    values, groups = [], []
    for sample, result in evidence.of(method):
        drops = sample.image_drops.get("removed")
        if result.masses is None or result.beside is None or drops is None:
            continue
        for label in range(min(sample.true_count, len(drops))):
            on, beside = float(result.masses[label, label]), float(result.beside[label, label])
            if float(drops[label, label]) > 0 and not math.isnan(beside):
                size = abs(on) + abs(beside)
                values.append((on - beside) / size if size else 0.0)
                groups.append(sample.image_id)
    return Measured(Values(values, groups))


CHECK = Check(
    name="empty_places",
    title="No relevance on empty places",
    question="How much more relevance is on the named object than on a region of the same shape "
    "beside it, where nothing is drawn?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.5,
    bounds=(-1.0, 1.0),
    reason="At 0.5 the object has three times the relevance of the empty region, and at 0 the "
    "same. The score depends on the object alone, so the true value is 1.",
    passes="relevance is on the object, not beside it",
    fails="relevance spreads to regions where nothing is drawn",
    formula="mean (R on the named object − R beside it) / (|R on| + |R beside|), where the score "
    "falls without the object",
    sides=("image",),
    asks=("removed",),
    needs=("interventions",),
)
