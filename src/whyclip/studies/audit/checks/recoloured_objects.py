"""Whether relevance follows the drop with another colour, if the prompt names one."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.audit.exchanged import exchanged
from whyclip.studies.pairs import Pairs
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Images: objects in another colour. Texts: the word for another colour."""
    if side == "text":
        return Measured(exchanged(evidence, method, ("colour",)))
    return Measured(Pairs.pooled(_colours(evidence, method)))


def _colours(evidence: Evidence, method: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Relevance sums and drops of all objects, for each prompt that names a colour."""
    for sample, result in evidence.of(method):
        drops = sample.image_drops.get("recoloured")
        if result.masses is None or drops is None:
            continue
        for prompt, named in enumerate(sample.names_colour):
            if named:
                yield sample.image_id, result.masses[prompt], drops[:, prompt]


CHECK = Check(
    name="recoloured_objects",
    title="Follows exchanged colours",
    question="Does the relevance on an object follow the drop of the score when the object has "
    "another colour, and the relevance of a colour word the drop with another colour word?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.5,
    bounds=(-1.0, 1.0),
    reason="A correlation of 0.5 explains a quarter of the variance. On 60 scenes of seed 900 the "
    "area of the objects reaches 0.04, a random map 0.07, and the length of the colour word 0.02.",
    passes="relevance follows the drop of the score with a wrong colour",
    fails="relevance does not follow the drop of the score with a wrong colour",
    formula="Pearson(relevance summed over object o for prompt p, S_p − S_p with o in another "
    "colour), prompts that name a colour; Pearson(relevance of the colour word, S − S with "
    "another colour word)",
    asks=("recoloured", "exchanges"),
    needs=("interventions",),
)
