"""On photographs with masks, whether an object has less relevance for an absent class."""

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
    """The same; one kind of edit selects the objects that raise their own prompt most."""
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
            None, why_not="no object raises its own prompt more than that of an absent class"
        )
    return Measured(Values(values, groups))


CHECK = Check(
    name="absent_classes",
    title="Approximation: less relevance for an absent class",
    question="Does an object have less positive relevance for the prompt of an absent class than "
    "for its own prompt?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.9,
    bounds=(0.0, 1.0),
    reason="A random map scores 0.5, a map that ignores the prompt 0. One object in ten may look "
    "like the absent class.",
    passes="objects have more relevance for their own prompt than for an absent class",
    fails="objects have as much relevance for an absent class as for their own prompt",
    formula="share of objects with R⁺ on the object for the absent class < R⁺ for its own prompt, "
    "among objects whose own prompt loses score, and loses more, when the object is painted over",
    sides=("image",),
    asks=("inpainted",),
    needs=("masks",),
    share=True,
    replaced_by="exchanged_prompts",
    caveat=f"{APPROXIMATION}: the class (the best wrong candidate) is absent by the annotation, "
    "which may be incomplete, and painting over decides which objects count.",
)
