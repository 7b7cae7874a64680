"""Whether maps of different prompts differ, and follow the named objects."""

from __future__ import annotations

from itertools import combinations, permutations

from whyclip.stats.correlation import pearson
from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def differ(evidence: Evidence, method: str, side: Side) -> Measured:
    """Pearson correlation of every two maps of an image, distractors included."""
    values, groups = [], []
    for sample, result in evidence.of(method):
        for first, second in combinations(result.relevance(side), 2):
            values.append(float(pearson(first, second)))
            groups.append(sample.image_id)
    return Measured(Values(values, groups))


def follow(evidence: Evidence, method: str, side: Side) -> Measured:
    """Energy of an object's own map on it − energy of another object's map on it."""
    del side
    values, groups = [], []
    for sample, result in evidence.of(method):
        table = result.located.get("energy_pointing")
        if table is None:
            continue
        for label, other in permutations(range(sample.true_count), 2):
            values.append(float(table[label, label] - table[other, label]))
            groups.append(sample.image_id)
    if not values:
        return Measured(None, why_not="no image has two objects with masks")
    return Measured(Values(values, groups))


CHECKS = (
    Check(
        name="prompts_differ",
        title="Similarity of maps across prompts",
        question="How similar are the maps of different prompts on the same image?",
        measure=differ,
        principle="consistency",
        higher_is_better=False,
        threshold=0.9,
        exact=True,
        bounds=(-1.0, 1.0),
        reason="Maps that share more than 80 % of their variance (0.9²) look the same.",
        passes="different prompts get different maps",
        fails="different prompts get nearly the same map",
        formula="mean Pearson correlation of the maps of two prompts",
        sides=("image",),
    ),
    Check(
        name="prompts_follow",
        title="Maps follow their prompt",
        question="How much more of an object's own map lies on the object than of another "
        "object's map?",
        measure=follow,
        principle="consistency",
        higher_is_better=True,
        threshold=0.0,
        exact=True,
        bounds=(-1.0, 1.0),
        reason="At 0 the map does not depend on which object the prompt names.",
        passes="the map lies on the object that the prompt names",
        fails="the map does not lie on the object that the prompt names",
        formula="mean (energy of the map of a on a − energy of the map of b on a), both in the "
        "image",
        sides=("image",),
        needs=("masks",),
    ),
)
