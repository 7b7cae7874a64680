"""Is the order of relevance better than a random one, for the model's own score?"""

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
        return Measured(None, why_not="it is what the others are held against")
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
        {"of the method": Values(areas, groups), "of a random order": Values(chance, groups)},
    )


CHECKS = (
    Check(
        name="deletion",
        title="Deletion against random",
        question="Does the score fall faster when the most relevant part goes first than in a "
        "random order?",
        measure=partial(measure, curve="deletion"),
        principle="consistency",
        higher_is_better=False,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason="At 0 a random order does as well.",
        passes="taking out what it calls relevant costs more than taking out anything",
        fails="taking out what it calls relevant costs no more than taking out anything",
        formula="mean (deletion area − that of a random order), of the cosine",
        asks=("curves",),
        replaced_by="deletion_background",
        caveat=UNSEEN,
        digits=4,
    ),
    Check(
        name="insertion",
        title="Insertion against random",
        question="Does the score rise faster when the most relevant part comes first than in a "
        "random order?",
        measure=partial(measure, curve="insertion"),
        principle="consistency",
        higher_is_better=True,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason="At 0 a random order does as well.",
        passes="showing what it calls relevant brings more than showing anything",
        fails="showing what it calls relevant brings no more than showing anything",
        formula="mean (insertion area − that of a random order), of the cosine",
        asks=("curves",),
        replaced_by="insertion_background",
        caveat=UNSEEN,
        digits=4,
    ),
)
