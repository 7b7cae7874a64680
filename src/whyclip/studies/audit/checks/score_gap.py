"""Whether the explained score is the model's score."""

from __future__ import annotations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """``|explained S − model S|`` of each prompt of each sample."""
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
    question="How far is the explained score from the model's score?",
    measure=measure,
    principle="fidelity",
    higher_is_better=False,
    threshold=1e-3,
    exact=True,
    bounds=(0.0, 2.0),
    reason="Float32 rounding stays below 0.0001; neighbouring prompts in a CLIP ranking differ by "
    "about 0.01.",
    passes="the explained score is the model's score",
    fails="the explained score is not the model's score",
    formula="mean |explained S − model S|, cosines",
    digits=4,
)
