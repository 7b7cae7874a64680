"""The 2 x 2 of heads and geometry, measured on the samples of an audit."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from whyclip.studies.audit.cases import AuditSetup, Case
from whyclip.studies.audit.evidence import SampleEvidence
from whyclip.studies.audit.record import Cell
from whyclip.studies.heads_and_geometry import COMPUTATIONS, Computation, add_scores, embedded
from whyclip.studies.measurements import Measurements

# A computation with its scores of a sample's prompts [m] and of the candidates [c].
Scores = tuple[Computation, Tensor, Tensor]


def scores_of(setup: AuditSetup, case: Case) -> tuple[list[Scores], bool]:
    """Score one sample by the four computations, and say whether both geometries are one."""
    found, same_input = [], True
    for one in embedded(setup.model, case.decoded_image, case.forward_pass):
        own = case.forward_pass.targets.score(one.embedding)[0].cpu()
        among = setup.candidates.targets.score(one.embedding)[0].cpu()
        found.append((one.computation, own, among))
        same_input = same_input and one.same_input
    return found, same_input


def add_cells(rows: Measurements, evidence: SampleEvidence, scores: Sequence[Scores]) -> None:
    """Add the four computations of one sample to the rows."""
    image = evidence.image_id
    for (heads, geometry), own, among in scores:
        key = (heads, geometry)
        rows.add((*key, "gap"), image, (own - evidence.scores).abs().tolist())
        add_scores(rows, key, image, evidence.labels, evidence.candidate_scores, among)


def cells_of(rows: Measurements, seed: int) -> tuple[Cell, ...]:
    """The four computations with their intervals; none where nothing was measured."""
    return tuple(
        Cell(
            *key,
            gap=rows.interval((*key, "gap"), seed=seed),
            same=rows.interval((*key, "same_best"), share=True),
            accuracy=rows.interval((*key, "accuracy"), seed=seed)
            if (*key, "accuracy") in rows
            else None,
        )
        for key in COMPUTATIONS
        if (*key, "gap") in rows
    )
