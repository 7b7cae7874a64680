"""Would the computation that was explained choose the same prompt?"""

from __future__ import annotations

from whyclip.audit.check import Check, Measured, Values
from whyclip.audit.evidence import Evidence
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each sample whose best prompt of the pool is the same, else 0."""
    pairs = [(s, m.among[side]) for s, m in evidence.of(method) if side in m.among]
    values = [float(s.among.argmax() == explained.argmax()) for s, explained in pairs]
    return Measured(Values(values, [s.image_id for s, _ in pairs]))


CHECK = Check(
    name="best_prompt",
    title="Same best prompt",
    question="For how many samples is the best prompt of the computation explained that of the "
    "model?",
    measure=measure,
    principle="itself",
    higher_is_better=True,
    threshold=0.9,
    bounds=(0.0, 1.0),
    reason="One in ten may be a tie within rounding; 60 samples that all agree are sure of 0.94.",
    passes="chooses the prompts that the model chooses",
    fails="explains a computation that chooses other prompts than the model",
    formula="mean of 1[argmax explained = argmax of the model], over all prompts of the pool",
    share=True,
)
