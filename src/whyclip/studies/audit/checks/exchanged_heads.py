"""Whether a map changes if the heads of the last attention layer are exchanged."""

from __future__ import annotations

import math

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Relative change of the map by the exchange, for the image's own prompts."""
    values, groups = [], []
    for sample, result in evidence.of(method):
        changes = result.exchanged_heads.get(side, [])
        values += changes
        groups += [sample.image_id] * len(changes)
    if not values:
        return Measured(None, why_not="the encoder has fewer than two heads")
    return Measured(Values(values, groups))


CHECK = Check(
    name="exchanged_heads",
    title="Change with exchanged heads",
    question="How much does the map change if each head of the last attention layer reads its "
    "values with the attention weights of the next head?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=1e-3,
    bounds=(0.0, math.inf),
    reason="The exchange changes the model's computation, but neither the values nor the sum over "
    "heads of the products of queries and keys. Float32 rounding changes a map by less than "
    "0.0001. The threshold is low because the last attention layer is a small part of a map over "
    "all layers.",
    passes="the map depends on which head attends where, like the model",
    fails="the map does not depend on which head attends where, unlike the model",
    formula="mean |map − map with the queries and keys of head h + 1 in head h| / |map|",
    asks=("heads",),
    needs=("attention",),
    exact=True,
    digits=4,
)
