"""Whether the map moves to the other object if the prompt names it."""

from __future__ import annotations

import math
from itertools import combinations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.checks.removed_objects import tables
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def moved(table: list[list[float]], a: int, b: int) -> float:
    """Difference of b − a under b's prompt, minus the same difference under a's prompt."""
    return (table[b][b] - table[b][a]) - (table[a][b] - table[a][a])


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """1 for each pair of objects where map and score move the same way, else 0."""
    del side
    values, groups = [], []
    for image, mass, drop in tables(evidence, method):
        relevance, lost = mass.tolist(), drop.tolist()
        for a, b in combinations(range(len(lost)), 2):
            score = moved(lost, a, b)
            if not math.isnan(score):
                values.append(float(moved(relevance, a, b) * score > 0))
                groups.append(image)
    if not values:
        return Measured(None, why_not="no image has two objects that can be removed")
    return Measured(Values(values, groups))


CHECK = Check(
    name="exchanged_prompts",
    title="Moves to the named object",
    question="If the prompt names the other object, does the map move there, as the score's "
    "dependence does?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.9,
    bounds=(0.0, 1.0),
    reason="A random map scores 0.5, a map that ignores the prompt 0. One pair in ten may be a "
    "tie.",
    passes="the map moves to the object that the score now depends on",
    fails="the map does not move to the object that the score now depends on",
    formula="share of pairs of objects (a, b) for which (R_b − R_a for the prompt of b) − (R_b − "
    "R_a for the prompt of a) has the same sign as the same difference of the score's drops "
    "without each object",
    sides=("image",),
    asks=("removed",),
    needs=("interventions",),
    share=True,
)
