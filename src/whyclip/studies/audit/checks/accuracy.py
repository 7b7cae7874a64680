"""Does the computation that was explained know what the model knows?"""

from __future__ import annotations

import torch

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.candidates import share_recognised
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Accuracy explained − accuracy of the model, on the same samples."""
    pairs = [
        (
            m,
            s,
            share_recognised(m.candidate_scores[side], s.labels),
            share_recognised(s.candidate_scores, s.labels),
        )
        for s, m in evidence.of(method)
        if side in m.candidate_scores and s.labels
    ]
    groups = [s.image_id for _, s, _, _ in pairs]
    # Where every score is the model's up to rounding, equal answers are no chance.
    exact = all(
        torch.allclose(m.candidate_scores[side], s.candidate_scores, rtol=0, atol=1e-4)
        for m, s, _, _ in pairs
    )
    return Measured(
        Values([explained - model for _, _, explained, model in pairs], groups),
        {
            "of the computation explained": Values([x for _, _, x, _ in pairs], groups),
            "of the model": Values([x for _, _, _, x in pairs], groups),
        },
        exact=exact,
    )


CHECK = Check(
    name="accuracy",
    title="Accuracy less the model's",
    question="How much zero-shot accuracy has the computation explained, less that of the model?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=-0.02,
    bounds=(-1.0, 1.0),
    reason="A computation that gets one in fifty more wrong is another one.",
    passes="what is explained is as accurate as the model",
    fails="what is explained is less accurate than the model",
    formula="mean (accuracy explained − accuracy of the model); of k labels, those among the k "
    "best prompts",
    needs=("labels",),
)
