"""Does the computation that was explained know what the model knows?"""

from __future__ import annotations

from torch import Tensor

from whyclip.audit.check import Check, Measured, Values
from whyclip.audit.evidence import Evidence, SampleEvidence
from whyclip.audit.pool import among_best
from whyclip.types import Side


def share_right(sample: SampleEvidence, among: Tensor) -> float:
    """Share of a sample's k labels that are among the k best prompts of scores ``[c]``."""
    right = among_best(among, sample.labels or ())
    return sum(right) / len(right)


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Accuracy explained − accuracy of the model, on the same samples."""
    pairs = [
        (s, share_right(s, m.among[side]), share_right(s, s.among))
        for s, m in evidence.of(method)
        if side in m.among and s.labels
    ]
    groups = [s.image_id for s, _, _ in pairs]
    return Measured(
        Values([explained - own for _, explained, own in pairs], groups),
        {
            "of the computation explained": Values([x for _, x, _ in pairs], groups),
            "of the model": Values([x for _, _, x in pairs], groups),
        },
    )


CHECK = Check(
    name="accuracy",
    title="Accuracy less the model's",
    question="How much zero-shot accuracy has the computation explained, less that of the model?",
    measure=measure,
    principle="itself",
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
