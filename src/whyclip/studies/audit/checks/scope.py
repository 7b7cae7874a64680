"""Whether the map is derived from the model's score."""

from __future__ import annotations

from whyclip.certificate import DERIVED_FROM
from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each sample if the method's scope is the model's score, else 0."""
    scope = evidence.methods[method].verified_scope
    if scope == "unverified":
        return Measured(None, why_not=DERIVED_FROM[scope])
    images = [sample.image_id for sample, result in evidence.of(method) if side in result.scores]
    return Measured(Values([float(scope == "score")] * len(images), images))


CHECK = Check(
    name="scope",
    title="Derived from the score",
    question="Is the relevance derived from the model's score?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=0.5,
    reason="This is a fact about the method: attention, dense features and random numbers are not "
    "the score.",
    passes="derived from the model's score",
    fails="not derived from the model's score",
    formula="1[scope = score]",
    fact=True,
)
