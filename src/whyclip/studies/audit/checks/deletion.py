"""Whether the order of relevance is better than a random order, for the model's score."""

from __future__ import annotations

from functools import partial

from whyclip.studies.audit.check import UNSEEN, Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.control import CONTROL
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side, *, curve: str) -> Measured:
    """Area of the method − area of the random control, on the same sample and prompt."""
    name = curve if side == "image" else f"word_{curve}"
    if method == CONTROL:
        return Measured(None, why_not="it is the baseline of the others")
    apart, areas, chance, groups = [], [], [], []
    for sample, result in evidence.of(method):
        control = sample.methods[CONTROL]
        if name in result.curves and name in control.curves:
            areas.append(result.curves[name])
            chance.append(control.curves[name])
            apart.append(areas[-1] - chance[-1])
            groups.append(sample.image_id)
    return Measured(
        Values(apart, groups),
        {"method": Values(areas, groups), "random order": Values(chance, groups)},
    )


CHECKS = (
    Check(
        name="deletion",
        title="Deletion against a random order",
        question="Does the score fall faster when the most relevant pixels are removed first than "
        "in a random order?",
        measure=partial(measure, curve="deletion"),
        principle="consistency",
        higher_is_better=False,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason="At 0 a random order is as good.",
        passes="removing relevant pixels lowers the score faster than a random order",
        fails="removing relevant pixels lowers the score no faster than a random order",
        formula="mean (deletion area − deletion area of a random order), of the cosine",
        asks=("curves",),
        replaced_by="deletion_background",
        caveat=UNSEEN,
        digits=4,
    ),
    Check(
        name="insertion",
        title="Insertion against a random order",
        question="Does the score rise faster when the most relevant pixels are added first than "
        "in a random order?",
        measure=partial(measure, curve="insertion"),
        principle="consistency",
        higher_is_better=True,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason="At 0 a random order is as good.",
        passes="adding relevant pixels raises the score faster than a random order",
        fails="adding relevant pixels raises the score no faster than a random order",
        formula="mean (insertion area − insertion area of a random order), of the cosine",
        asks=("curves",),
        replaced_by="insertion_background",
        caveat=UNSEEN,
        digits=4,
    ),
)
