"""The 2 x 2 table of heads and geometry, measured on the samples of an audit."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from whyclip.studies.audit.cases import AuditSetup
from whyclip.studies.audit.evidence import SampleEvidence
from whyclip.studies.audit.record import Cell
from whyclip.studies.cases import Case
from whyclip.studies.heads_and_geometry import COMPUTATIONS, Computation, add_scores, embedded
from whyclip.studies.measurements import Measurements

# A computation with its scores of a sample's prompts [m] and of the candidates [c].
Scores = tuple[Computation, Tensor, Tensor]


def scores_of(setup: AuditSetup, case: Case) -> tuple[list[Scores], bool]:
    """Score one sample by the four computations; also return whether the geometries coincide."""
    scores, same_input = [], True
    for cell in embedded(setup.model, case.image, case.forward_pass):
        prompt_scores = case.forward_pass.targets.score(cell.embedding)[0].cpu()
        among = setup.candidates.targets.score(cell.embedding)[0].cpu()
        scores.append((cell.computation, prompt_scores, among))
        same_input = same_input and cell.same_input
    return scores, same_input


def add_cells(rows: Measurements, evidence: SampleEvidence, scores: Sequence[Scores]) -> None:
    """Add the four computations of one sample to the rows."""
    image = evidence.image_id
    for (heads, geometry), prompt_scores, among in scores:
        key = (heads, geometry)
        rows.add((*key, "gap"), image, (prompt_scores - evidence.scores).abs().tolist())
        add_scores(rows, key, image, evidence.labels, evidence.candidate_scores, among)


def cells_of(rows: Measurements, seed: int) -> tuple[Cell, ...]:
    """The four computations with their intervals; empty if nothing was measured."""
    return tuple(
        Cell(
            *key,
            gap=rows.interval((*key, "gap"), seed=seed),
            same=rows.interval((*key, "same_best"), share=True),
            accuracy=rows[(*key, "accuracy")].interval(limits=(0, 1), seed=seed)
            if (*key, "accuracy") in rows
            else None,
        )
        for key in COMPUTATIONS
        if (*key, "gap") in rows
    )
