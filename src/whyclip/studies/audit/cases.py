"""The samples of an audit, with the outputs of the model and of every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.datasets.dataset import Sample
from whyclip.forward.targets import Targets
from whyclip.metrics import METRICS
from whyclip.models import ModelView
from whyclip.studies.audit.evidence import MethodEvidence, SampleEvidence
from whyclip.studies.candidates import Candidates, recognised
from whyclip.studies.cases import Case, CaseSetup
from whyclip.variant import Variant

if TYPE_CHECKING:
    from whyclip.studies.audit.absent import AbsentNouns

LOCATED = ("energy_pointing", "pointing_game")
# Largest change of an embedding by rounding; a larger one means that another computation was
# explained.
SAME = 1e-4


@dataclass
class AuditSetup:
    """The model, the methods and the candidates used for every sample."""

    model: ModelView
    variants: Mapping[str, Variant]
    candidates: Candidates
    nouns: AbsentNouns | None = None
    _directions: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare the forward passes; the last block is kept even if no method uses it."""
        variants = tuple(self.variants.values())
        self.cases = CaseSetup(
            self.model,
            variants,
            self.candidates,
            # An audit measures whether methods explain the model's score.
            strict=False,
            blocks_kept=1,
            # Each sample has a distractor, so samples rarely share their prompts.
            prompts_kept=0,
        )

    def explained_candidates(self, name: str) -> Targets:
        """The candidates' embeddings by the computation that a method explains for text."""
        if name not in self._directions:
            variant, targets = self.variants[name], self.candidates.targets
            nothing = Targets(targets.directions[:1], targets.scale)
            embeddings = []
            for start in range(0, len(self.candidates.prompts), 64):
                part = self.cases.encode(self.candidates.prompts[start : start + 64])
                embeddings += [
                    variant.relevance(forward_pass.with_targets(nothing)).embedding
                    for forward_pass in part.forward_passes
                ]
            self._directions[name] = F.normalize(torch.cat(embeddings).float(), dim=-1)
        return replace(self.candidates.targets, directions=self._directions[name])

    def own_prompts(self, sample: Sample) -> tuple[str, ...]:
        """The true prompts of a sample; for a plain classifier, the names of its classes."""
        labels = self.candidates.labels_of(sample)
        if self.model.classes is None or labels is None:
            return sample.prompts
        return tuple(self.candidates.prompts[label] for label in labels)

    def prompts(self, sample: Sample, scores: Tensor) -> Sequence[str]:
        """The true prompts of a sample, and the best other candidate ``[c]`` as a distractor."""
        true_prompts = self.own_prompts(sample)
        labels = self.candidates.labels_of(sample) or ()
        distractor = self.candidates.distractor(scores, true_prompts, labels)
        return (
            true_prompts
            if distractor is None
            else (*true_prompts, self.candidates.prompts[distractor])
        )


@dataclass(frozen=True)
class AuditCase(Case):
    """A case with the evidence of an audit."""

    evidence: SampleEvidence


def explained_case(setup: AuditSetup, sample: Sample, index: int) -> AuditCase:
    """Run one sample through the model and all methods.

    Args:
        setup: model, methods and candidates.
        sample: sample with at least one prompt.
        index: number of the sample; determines which of its prompts is edited.

    Raises:
        InputError: the sample cannot be read, or a mask does not match its image.
    """
    case = setup.cases.explained(setup.cases.case(sample, setup.prompts))
    evidence = _evidence(setup, case, index)
    for label in setup.variants:
        evidence.methods[label] = _method_evidence(setup, case, label)
    if sample.masks is not None:
        _locate(case, evidence)
    return AuditCase(
        **{part.name: getattr(case, part.name) for part in fields(Case)}, evidence=evidence
    )


def _evidence(setup: AuditSetup, case: Case, index: int) -> SampleEvidence:
    sample, forward_pass = case.sample, case.forward_pass
    labels = setup.candidates.labels_of(sample)
    true_count = len(setup.own_prompts(sample))
    return SampleEvidence(
        image_id=sample.image_id,
        prompts=case.prompts,
        true_count=true_count,
        labels=labels,
        right=None if labels is None else recognised(case.candidate_scores, labels),
        scores=forward_pass.targets.score(forward_pass.embedding)[0].cpu(),
        candidate_scores=case.candidate_scores,
        edited_prompt=index % true_count,
    )


def _method_evidence(setup: AuditSetup, case: Case, label: str) -> MethodEvidence:
    evidence, candidates = MethodEvidence(maps=case.maps(label)), setup.candidates.targets
    for side, result in case.results[label].items():
        evidence.scores[side] = result.scores[0]
        evidence.changes[side] = result.changes
        evidence.diagnostics[side] = {key: row[0].cpu() for key, row in result.diagnostics.items()}
        if side == "image":
            among, embedding = candidates, result.embedding
        else:
            evidence.words = case.words(label)
            explained = case.encoded.targets(result.embedding).directions
            apart = (explained - case.encoded.targets().directions).abs().max()
            among = setup.explained_candidates(label) if float(apart) > SAME else candidates
            embedding = case.forward_pass.embedding
        evidence.candidate_scores[side] = among.score(embedding)[0].cpu()
    return evidence


def _locate(case: Case, evidence: SampleEvidence) -> None:
    """Compare each map with the mask of each label."""
    blank = np.zeros((case.geometry.height, case.geometry.width), bool)
    given = [case.mask(label) for label in case.sample.labels]
    masks = torch.from_numpy(np.stack([blank if mask is None else mask for mask in given]))
    for method in evidence.methods.values():
        if method.maps is None:
            continue
        heatmap = case.without_ignored(case.heatmap(method.maps))
        for name in LOCATED:
            rows = [METRICS[name].value(values.expand(masks.shape), masks) for values in heatmap]
            method.located[name] = torch.stack(rows)
