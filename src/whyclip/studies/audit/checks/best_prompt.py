"""Whether the explained computation ranks the same prompt first."""

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
    question="For what share of samples do the explained computation and the model rank the same "
    "prompt first?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=0.9,
    bounds=(0.0, 1.0),
    reason="One sample in ten may be a tie within rounding; 60 samples that all agree give a "
    "lower bound of 0.94.",
    passes="ranks the same prompt first as the model",
    fails="often ranks a different prompt first",
    formula="mean of 1[argmax explained = argmax model], over all candidate prompts",
    share=True,
)
