"""Whether the method declares a change of the model."""

from __future__ import annotations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each sample whose explanation declares no change of the computation, else 0."""
    pairs = [(s.image_id, m) for s, m in evidence.of(method) if side in m.changes]
    values = [float(not m.changes[side]) for _, m in pairs]
    return Measured(Values(values, [name for name, _ in pairs]))


CHECK = Check(
    name="computation",
    title="Computation unchanged",
    question="Does the method declare that it explains the model's own computation?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=0.5,
    reason="This is a fact about the method: it declares a modification or it does not.",
    passes="declares no modified computation",
    fails="declares that it explains a modified computation",
    formula="1[no modification declared]",
    fact=True,
)
