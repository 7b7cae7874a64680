"""On photographs with masks: is there less on an object for a class that is not in the image?"""

from __future__ import annotations

from whyclip.studies.audit.check import APPROXIMATION, Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.audit.inpainted import INPAINTED
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each object with less positive relevance for the distractor than for its own prompt."""
    del side
    return compared(evidence, method, INPAINTED)


def compared(evidence: Evidence, method: str, drops_by: str) -> Measured:
    """The same; one kind of edit says which objects speak for their prompt, and most for it."""
    values, groups = [], []
    for sample, explained in evidence.of(method):
        drops, absent = sample.image_drops.get(drops_by), sample.true_count
        if explained.positive is None or drops is None or len(sample.prompts) == sample.true_count:
            continue
        for number in range(min(sample.true_count, len(drops))):
            if drops[number, number] > drops[number, absent].clamp(min=0):
                less = explained.positive[absent, number] < explained.positive[number, number]
                values.append(float(less))
                groups.append(sample.image_id)
    if not values:
        return Measured(
            None, why_not="no object speaks for its own prompt more than for an absent class"
        )
    return Measured(Values(values, groups))


CHECK = Check(
    name="absent_classes",
    title="Approximation: less on the object for an absent class",
    question="Does an object have less positive relevance for the prompt of a class that is not in "
    "the image than for its own?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.9,
    bounds=(0.0, 1.0),
    reason="A map without knowledge has 0.5, one that ignores the prompt 0. One object in ten may "
    "look like the absent class.",
    passes="the object is relevant to its own prompt more than to an absent class",
    fails="the object is relevant to an absent class as much as to its own prompt",
    formula="share of objects with R⁺ on the object for the absent class < R⁺ for its own prompt, "
    "where the score of its own prompt falls with the object painted over, and falls more",
    sides=("image",),
    asks=("inpainted",),
    needs=("masks",),
    share=True,
    replaced_by="exchanged_prompts",
    caveat=f"{APPROXIMATION}: the class (the best wrong candidate) is absent by the annotation, "
    "which may be incomplete, and painting over decides which objects count.",
)
