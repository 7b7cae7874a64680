"""Whether the explained computation is as accurate as the model."""

from __future__ import annotations

import torch

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.candidates import share_recognised
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Explained accuracy − model accuracy, on the same samples."""
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
    title="Accuracy difference",
    question="How does the zero-shot accuracy of the explained computation differ from the "
    "model's?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=-0.02,
    bounds=(-1.0, 1.0),
    reason="A loss of more than one image in fifty means that another computation is explained.",
    passes="the explained computation is as accurate as the model",
    fails="the explained computation is less accurate than the model",
    formula="mean (explained accuracy − model accuracy); with k labels, their share among the k "
    "best prompts",
    needs=("labels",),
)
