"""One sample: what the model says of it, and what every method does, from one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from whyclip.datasets.dataset import Sample, same_size
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import word_relevance
from whyclip.metrics import METRICS
from whyclip.models import ModelView, Tower, model_inputs
from whyclip.resample import resample_to_image
from whyclip.studies.audit.evidence import MethodEvidence, SampleEvidence
from whyclip.studies.candidates import Candidates, recognised
from whyclip.types import Geometry, Word
from whyclip.variant import Variant, encode_for

LOCATED = ("energy_pointing", "pointing_game")
# What rounding may do to an embedding; any more, and another computation was explained.
SAME = 1e-4


def readout(tower: Tower) -> int:
    """How many last blocks of a tower hold its readout: none of one that shows none."""
    return 0 if tower.opaque else 1


@dataclass
class AuditSetup:
    """A model, the methods and the candidates: all that every sample is looked at with."""

    model: ModelView
    plans: Mapping[str, Variant]
    candidates: Candidates
    _directions: dict[str, Tensor] = field(default_factory=dict)

    @property
    def blocks_needed(self) -> int:
        """How many last blocks of the image tower are read, its readout in any case."""
        tower = self.model.image
        return max(
            [variant.blocks_needed(tower) for variant in self.plans.values()] + [readout(tower)]
        )

    def encoded(self, prompts: tuple[str, ...], model: ModelView | None = None) -> EncodedPrompts:
        """Encode a sample's prompts so that every method can read them."""
        keep = 0 if self.model.classes is not None else readout(self.model.text)
        return encode_for(model or self.model, list(prompts), self.plans.values(), keep=keep)

    def explained_candidates(self, name: str) -> Targets:
        """The candidates' directions by the computation that a method explains on the text side."""
        if name not in self._directions:
            variant, targets = self.plans[name], self.candidates.targets
            nothing = Targets(targets.directions[:1], targets.scale)
            found = []
            for start in range(0, len(self.candidates.prompts), 64):
                part = self.encoded(self.candidates.prompts[start : start + 64])
                found += [
                    variant.relevance(c.with_targets(nothing)).embedding
                    for c in part.forward_passes
                ]
            self._directions[name] = F.normalize(torch.cat(found).float(), dim=-1)
        return replace(self.candidates.targets, directions=self._directions[name])


@dataclass(frozen=True)
class Case:
    """A sample with its forward passes, for those who ask the model more about it."""

    sample: Sample
    decoded: Image.Image | None
    pixels: Tensor
    geometry: Geometry
    forward_pass: ForwardPass
    encoded: EncodedPrompts
    evidence: SampleEvidence

    @property
    def decoded_image(self) -> Image.Image:
        """The image, decoded once."""
        return self.sample.image if self.decoded is None else self.decoded

    def light(self) -> Case:
        """The same without the image and what the blocks were given, most of its memory."""
        return replace(
            self,
            decoded=None,
            forward_pass=replace(self.forward_pass, states={}),
            encoded=replace(self.encoded, forward_passes=()),
        )

    @property
    def image(self) -> Targets:
        """The image's own direction, what texts are explained against."""
        return Targets(F.normalize(self.forward_pass.embedding, dim=-1), self.encoded.scale)


def explained_case(setup: AuditSetup, sample: Sample, index: int) -> Case:
    """Run one sample through the model and all methods.

    Args:
        setup: model, methods and candidates.
        sample: with at least one prompt.
        index: its number; decides which of its prompts is edited.

    Raises:
        InputError: the sample cannot be read, or a mask does not fit its image.
    """
    case = forward_case(setup, sample, index)
    for name, variant in setup.plans.items():
        case.evidence.methods[name] = _explained(setup, case, name, variant)
    if sample.masks is not None:
        _locate(case)
    return case


def forward_case(
    setup: AuditSetup, sample: Sample, index: int, evidence: SampleEvidence | None = None
) -> Case:
    """Run one sample through the model alone.

    Args:
        setup: model, methods and candidates.
        sample: with at least one prompt.
        index: its number.
        evidence: what was found of it before, if anything was.
    """
    model, candidates = setup.model, setup.candidates
    tower = model.image
    decoded = sample.image
    [(pixels, geometry)] = model_inputs(model, [decoded])
    forward_pass = run_tower(tower, pixels[None], candidates.targets, keep=setup.blocks_needed)
    among = candidates.targets.score(forward_pass.embedding)[0].cpu()
    labels = candidates.labels_of(sample)
    own = sample.prompts
    if model.classes is not None and labels is not None:
        own = tuple(candidates.prompts[label] for label in labels)
    distractor = candidates.distractor(among, own, labels or ())
    prompts = own if distractor is None else (*own, candidates.prompts[distractor])
    encoded = setup.encoded(prompts)
    forward_pass = forward_pass.with_targets(encoded.targets())
    evidence = evidence or SampleEvidence(
        image_id=sample.image_id,
        prompts=prompts,
        own=len(own),
        labels=labels,
        right=None if labels is None else recognised(among, labels),
        scores=forward_pass.targets.score(forward_pass.embedding)[0].cpu(),
        candidate_scores=among,
        asked=index % len(own),
    )
    return Case(sample, decoded, pixels[None], geometry, forward_pass, encoded, evidence)


def _explained(setup: AuditSetup, case: Case, name: str, variant: Variant) -> MethodEvidence:
    found, candidates = MethodEvidence(), setup.candidates
    if "image" in variant.sides:
        result = variant.relevance(case.forward_pass)
        grid = case.forward_pass.stream.grid or (1, result.values.shape[-1])
        found.maps = result.values.detach().float().cpu().unflatten(-1, grid)[0]
        found.scores["image"] = case.forward_pass.targets.score(result.embedding)[0].cpu()
        found.candidate_scores["image"] = candidates.targets.score(result.embedding)[0].cpu()
        found.changes["image"] = result.changes
        found.diagnostics["image"] = {
            key: value[0].cpu() for key, value in result.diagnostics.items()
        }
    if "text" in variant.sides and case.encoded.tokens is not None:
        values, embeddings = explained_texts(variant, case.encoded, case.image, found)
        found.words = words_of_texts(case.encoded, values)
        own = case.forward_pass.embedding
        targets = case.encoded.targets(embeddings)
        found.scores["text"] = targets.score(own)[0].cpu()
        apart = (targets.directions - case.encoded.targets().directions).abs().max()
        changed = float(apart) > SAME
        among = setup.explained_candidates(name) if changed else candidates.targets
        found.candidate_scores["text"] = among.score(own)[0].cpu()
    return found


def explained_texts(
    variant: Variant, encoded: EncodedPrompts, image: Targets, into: MethodEvidence | None = None
) -> tuple[list[Tensor], Tensor]:
    """Explain every text against an image: values ``[t]`` each, and where they ended ``[m, e]``."""
    values: list[Tensor] = []
    embeddings, checks = [], []
    for forward_pass in encoded.forward_passes:
        result = variant.relevance(forward_pass.with_targets(image))
        values += list(result.values.detach().float().cpu()[:, 0])
        embeddings.append(result.embedding)
        checks.append(result.diagnostics)
        if into is not None:
            into.changes["text"] = result.changes
    if into is not None:
        into.diagnostics["text"] = {
            key: torch.cat([part[key][:, 0] for part in checks]).cpu() for key in checks[0]
        }
    return values, torch.cat(embeddings)


def words_of_texts(encoded: EncodedPrompts, values: list[Tensor]) -> tuple[tuple[Word, ...], ...]:
    """Join the pieces' values of each text to its words."""
    tokens = encoded.tokens
    assert tokens is not None, "there are texts"
    return tuple(
        word_relevance(words, spans, value[list(positions)].tolist())
        for words, spans, positions, value in zip(
            tokens.words, tokens.spans, tokens.positions, values, strict=True
        )
    )


def _locate(case: Case) -> None:
    """Hold each map against the mask of each label."""
    sample = case.sample
    assert sample.masks is not None, "only samples with masks are located"
    found = [sample.masks.get(label) for label in sample.labels]
    size = case.geometry.height, case.geometry.width
    blank = np.zeros(size, bool)
    fitting = [
        blank if mask is None else same_size(mask, *size, f"the mask of {label!r:.60}")
        for mask, label in zip(found, sample.labels, strict=True)
    ]
    masks = torch.from_numpy(np.stack(fitting))
    ignored = sample.ignored
    if ignored is not None:
        same_size(ignored, *size, "the mask of open parts")
    for evidence in case.evidence.methods.values():
        if evidence.maps is None:
            continue
        heat = resample_to_image(evidence.maps, case.geometry)
        if ignored is not None:
            heat = heat.masked_fill(torch.from_numpy(ignored), float("nan"))
        for name in LOCATED:
            rows = [METRICS[name].value(one.expand(masks.shape), masks) for one in heat]
            evidence.located[name] = torch.stack(rows)
