"""Whether a map changes with its prompt as the score does, by second differences."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from torch import Tensor

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.pairs import Pairs
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Change of the relevance on each object from prompt to prompt, and that of the drop."""
    del side
    return Measured(Pairs.pooled(_changes(evidence, method)))


def _changes(evidence: Evidence, method: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Changes of relevance sums and of drops, for each pair of prompts of an image."""
    for sample, result in evidence.of(method):
        drops = sample.image_drops.get("removed")
        if result.masses is None or drops is None:
            continue
        for p, q in combinations(range(len(result.masses)), 2):
            yield sample.image_id, result.masses[p] - result.masses[q], drops[:, p] - drops[:, q]


CHECK = Check(
    name="interaction",
    title="Follows object and words together",
    question="When the prompt changes, does an object's relevance change in proportion to the "
    "score drop that removing the object causes?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.5,
    bounds=(-1.0, 1.0),
    reason="A correlation of 0.5 explains a quarter of the variance. Every map that ignores the "
    "prompt scores exactly 0.",
    passes="maps change with the prompt as the score's dependence on an object does",
    fails="maps do not change with the prompt as the score's dependence on an object does",
    formula="Pearson(R_o(p) − R_o(q), [S_p − S_p without o] − [S_q − S_q without o]) over all "
    "images, pairs of prompts and objects; the distractor is one of the prompts",
    sides=("image",),
    asks=("removed",),
    needs=("interventions",),
)
