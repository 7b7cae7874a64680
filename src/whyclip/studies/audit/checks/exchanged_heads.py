"""Does a map change when the heads of the last attention are exchanged?"""

from __future__ import annotations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Spearman correlation of the map and that after the exchange, own prompts."""
    values, groups = [], []
    for sample, found in evidence.of(method):
        alike = found.exchanged_heads.get(side, [])
        values += alike
        groups += [sample.image_id] * len(alike)
    if not values:
        return Measured(None, why_not="the encoder has no two heads to exchange")
    return Measured(Values(values, groups))


CHECK = Check(
    name="exchanged_heads",
    title="Likeness with exchanged heads",
    question="How alike are the maps of the model and those after each head of the last attention "
    "reads its values by the weights of the next head?",
    measure=measure,
    principle="fidelity",
    higher_is_better=False,
    threshold=0.999,
    bounds=(-1.0, 1.0),
    reason="The exchange changes what the model computes, but not the values, and not the sum over "
    "the heads of the products of queries and keys. A map that stays the same but for one part in "
    "a thousand does not depend on the heads.",
    passes="the map depends on which head attends where, as the model does",
    fails="the map does not depend on which head attends where, but the model does",
    formula="mean Spearman(map, map with the queries and keys of head h + 1 in head h)",
    asks=("heads",),
    needs=("attention",),
)
