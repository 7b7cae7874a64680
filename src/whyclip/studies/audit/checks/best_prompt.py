"""Would the computation that was explained choose the same prompt?"""

from __future__ import annotations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each sample whose best candidate is the same, else 0."""
    pairs = [
        (s, m.candidate_scores[side]) for s, m in evidence.of(method) if side in m.candidate_scores
    ]
    values = [float(s.candidate_scores.argmax() == explained.argmax()) for s, explained in pairs]
    return Measured(Values(values, [s.image_id for s, _ in pairs]))


CHECK = Check(
    name="best_prompt",
    title="Same best prompt",
    question="For how many samples is the best prompt of the computation explained that of the "
    "model?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=0.9,
    bounds=(0.0, 1.0),
    reason="One in ten may be a tie within rounding; 60 samples that all agree are sure of 0.94.",
    passes="chooses the prompts that the model chooses",
    fails="explains a computation that chooses other prompts than the model",
    formula="mean of 1[argmax explained = argmax of the model], over all candidate prompts",
    share=True,
)
