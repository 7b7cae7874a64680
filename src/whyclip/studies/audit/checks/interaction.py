"""Does a map change with its prompt as the score does: the second difference of both?"""

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
    """For each two prompts of an image, the change of all masses and of all drops."""
    for sample, result in evidence.of(method):
        drops = sample.image_drops.get("removed")
        if result.masses is None or drops is None:
            continue
        for p, q in combinations(range(len(result.masses)), 2):
            yield sample.image_id, result.masses[p] - result.masses[q], drops[:, p] - drops[:, q]


CHECK = Check(
    name="interaction",
    title="Follows object and words together",
    question="If other words are put into the prompt, does the relevance on an object change as "
    "much as what the score loses without that object?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.5,
    bounds=(-1.0, 1.0),
    reason="0.5 is a quarter of the variance. Every map that ignores the prompt has exactly 0.",
    passes="maps change with the prompt where the score's dependence on an object changes",
    fails="maps do not change with the prompt as the score's dependence on an object does",
    formula="Pearson(R_o(p) − R_o(q), [S_p − S_p without o] − [S_q − S_q without o]) over all "
    "images, pairs of prompts and objects; the distractor is one of the prompts",
    sides=("image",),
    asks=("removed",),
    needs=("interventions",),
)
