"""With labels: does a noun's relevance follow what an absent class in its place costs?"""

from __future__ import annotations

from whyclip.studies.audit.absent import ABSENT, PRESENT, SINGLE
from whyclip.studies.audit.check import APPROXIMATION, Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.audit.exchanged import absent
from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Relevance of each noun of a pair, and the drop with an absent class in its place."""
    del side
    pairs = absent(evidence, method, (PRESENT, ABSENT))
    if not len(pairs):
        return Measured(None, why_not="no image has a class, and two that are absent")
    figures: dict[str, Values | Pairs] = {
        "Spearman": pairs.ranked(),
        "one noun alone": absent(evidence, method, (SINGLE,)),
    }
    return Measured(pairs, figures)


CHECK = Check(
    name="absent_nouns",
    title="Approximation: follows nouns exchanged for absent classes",
    question="Does the relevance of a noun follow what the score loses by the name of an absent "
    "class in its place?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.5,
    bounds=(-1.0, 1.0),
    reason="0.5 is above every rule that reads the prompt alone: on 23 scenes, relevance 1 for "
    "the last word reaches 0.33 at most, for the longest word 0.08, and for every noun 0. Measured "
    "only if named, because on scenes it ranks the methods otherwise than exchanged_words.",
    passes="the nouns that it calls relevant are those that the score depends on",
    fails="the nouns that it calls relevant are not those that the score depends on",
    formula="Pearson(relevance of the noun, S − S with an absent class in its place) over all "
    "images and both nouns of prompts that name a present and an absent class",
    sides=("text",),
    asks=("absent",),
    needs=("labels",),
    by_default=False,
    replaced_by="exchanged_words",
    caveat=f"{APPROXIMATION}: a class is absent by the annotation, which may be incomplete, and "
    "the prompt joins two nouns without knowing whether captions do.",
)
