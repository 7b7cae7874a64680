"""What the two published changes do to the model, apart: one head for all, another geometry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whyclip.audit.check import Values
from whyclip.audit.checks.accuracy import share_right
from whyclip.audit.evidence import SampleEvidence
from whyclip.audit.look import Auditor, Seen
from whyclip.audit.result import Cell
from whyclip.audit.verdict import summarise
from whyclip.forward.readout import Heads
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.models import model_inputs
from whyclip.types import GeometryName

HEADS: tuple[Heads, ...] = ("native", "single")
GEOMETRIES: tuple[GeometryName, ...] = ("model", "keep")
Scores = tuple[SampleEvidence, Tensor, Tensor]
Row = tuple[Heads, GeometryName, Tensor, Tensor]


class TwoByTwo:
    """Native or single head x model or keep geometry, gathered sample by sample."""

    def __init__(self, auditor: Auditor) -> None:
        self.auditor = auditor
        self.found: dict[tuple[Heads, GeometryName], list[Scores]] = {}
        self.same_input = True

    def why_not(self) -> str:
        """Why the four cannot be had of this model; empty if they can."""
        tower = self.auditor.model.image
        return tower.opaque or tower.fixed_grid_reason

    def read(self, seen: Seen) -> tuple[list[Row], bool]:
        """Read one sample's image in the four ways, and say whether both inputs are the same."""
        model, tower = self.auditor.model, self.auditor.model.image
        rows: list[Row] = []
        same_input = True
        for geometry in GEOMETRIES:
            forward_pass = seen.forward_pass
            if geometry != "model":
                [(pixels, _)] = model_inputs(model, [seen.sample.image], geometry)
                if pixels.shape != seen.pixels.shape[1:] or not torch.allclose(
                    pixels, seen.pixels[0], atol=1e-6
                ):
                    same_input = False
                    forward_pass = run_tower(tower, pixels[None], seen.forward_pass.targets)
            for heads in HEADS:
                embedding = forward_pass.readout(1, heads).embedding
                own = seen.forward_pass.targets.score(embedding)[0].cpu()
                among: Targets = self.auditor.pool.targets
                rows.append((heads, geometry, own, among.score(embedding)[0].cpu()))
        return rows, same_input

    def put(self, evidence: SampleEvidence, rows: Sequence[Row], same_input: bool) -> None:
        """Add what was read of one sample."""
        self.same_input = self.same_input and same_input
        for heads, geometry, own, among in rows:
            self.found.setdefault((heads, geometry), []).append((evidence, own, among))

    def cells(self, seed: int) -> tuple[Cell, ...]:
        """The four, each with its intervals."""
        return tuple(
            _cell(heads, geometry, rows, seed) for (heads, geometry), rows in self.found.items()
        )


def _cell(heads: Heads, geometry: GeometryName, rows: list[Scores], seed: int) -> Cell:
    gaps, groups = [], []
    for sample, own, _ in rows:
        gaps += (own - sample.scores).abs().tolist()
        groups += [sample.image_id] * len(own)
    ids = [sample.image_id for sample, _, _ in rows]
    same = [float(sample.among.argmax() == among.argmax()) for sample, _, among in rows]
    accuracy = None
    if rows[0][0].labels is not None:
        right = [share_right(sample, among) for sample, _, among in rows]
        accuracy = summarise(Values(right, ids), seed=seed)
    return Cell(
        heads,
        geometry,
        summarise(Values(gaps, groups), seed=seed),
        summarise(Values(same, ids), share=True),
        accuracy,
    )
