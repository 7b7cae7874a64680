"""Is the score that was explained the score that the model gives?"""

from __future__ import annotations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """``|S explained − S of the model|`` of each prompt of each sample."""
    values, groups = [], []
    for sample, result in evidence.of(method):
        if side in result.scores:
            gaps = (result.scores[side] - sample.scores).abs().tolist()
            values += gaps
            groups += [sample.image_id] * len(gaps)
    return Measured(Values(values, groups))


CHECK = Check(
    name="score_gap",
    title="Score gap",
    question="How far is the score that was explained from the score of the model?",
    measure=measure,
    principle="fidelity",
    higher_is_better=False,
    threshold=1e-3,
    exact=True,
    bounds=(0.0, 2.0),
    reason="Rounding in 32 bits stays below 0.0001; prompts next to each other in the ranking "
    "of a CLIP differ by about 0.01.",
    passes="the score explained is the model's",
    fails="the score explained is not the model's",
    formula="mean |S explained − S of the model|, cosines",
    digits=4,
)
