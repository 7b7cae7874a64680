"""Deletion and insertion on the scene's true background, against a random order."""

from __future__ import annotations

from functools import partial

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.checks import deletion
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side, *, metric: str, fill: str) -> Measured:
    """Area of the method − area of the random control; beside it the same with the papers' fill."""
    over_background = deletion.measure(evidence, method, side, curve=f"{metric}_background")
    if over_background.values is None:
        return over_background
    papers = deletion.measure(evidence, method, side, curve=metric).values
    figures: dict[str, Values | Pairs] = dict(over_background.figures)
    if papers is not None:
        figures[f"the same {fill}"] = papers
    return Measured(over_background.values, figures)


CHECKS = (
    Check(
        name="deletion_background",
        title="Deletion on the true background",
        question="Does the score fall faster when the scene's own background replaces the most "
        "relevant pixels first than in a random order?",
        measure=partial(measure, metric="deletion", fill="with random colours"),
        principle="consistency",
        higher_is_better=False,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason="At 0 a random order is as good.",
        passes="removing relevant pixels lowers the score faster than a random order",
        fails="removing relevant pixels lowers the score no faster than a random order",
        formula="mean (deletion area on the true background − that of a random order), of the "
        "cosine",
        sides=("image",),
        asks=("curves",),
        needs=("interventions",),
        digits=4,
    ),
    Check(
        name="insertion_background",
        title="Insertion on the true background",
        question="Does the score rise faster when the most relevant pixels are added to the "
        "scene's own background first than in a random order?",
        measure=partial(measure, metric="insertion", fill="on black"),
        principle="consistency",
        higher_is_better=True,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason="At 0 a random order is as good.",
        passes="adding relevant pixels raises the score faster than a random order",
        fails="adding relevant pixels raises the score no faster than a random order",
        formula="mean (insertion area on the true background − that of a random order), of the "
        "cosine",
        sides=("image",),
        asks=("curves",),
        needs=("interventions",),
        digits=4,
    ),
)
