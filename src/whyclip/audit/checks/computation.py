"""Does the method itself say that it changes the model?"""

from __future__ import annotations

from whyclip.audit.check import Check, Measured, Values
from whyclip.audit.evidence import Evidence
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each sample whose explanation declares no change of the computation, else 0."""
    pairs = [(s.picture, m) for s, m in evidence.of(method) if side in m.changes]
    values = [float(not m.changes[side]) for _, m in pairs]
    return Measured(Values(values, [name for name, _ in pairs]))


CHECK = Check(
    name="computation",
    title="Computation unchanged",
    question="Is what was explained the model's own computation, by what the method declares?",
    measure=measure,
    principle="itself",
    higher_is_better=True,
    threshold=0.9,
    reason="It is a matter of all or none; 60 samples without a change are sure of 0.94.",
    passes="declares no change of the model",
    fails="explains a changed model, by its own declaration",
    formula="mean of 1[no change declared]",
    share=True,
)
