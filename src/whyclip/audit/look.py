"""One sample: what the model says of it, and what every method does, from one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.audit.evidence import MethodEvidence, SampleEvidence
from whyclip.audit.pool import Pool, among_best
from whyclip.datasets.dataset import Sample, same_size
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import word_relevance
from whyclip.metrics import METRICS
from whyclip.models import ModelView, Tower, model_inputs
from whyclip.resample import resample_to_image
from whyclip.types import Geometry, Word
from whyclip.variant import Variant, encode_for

LOCATED = ("energy_pointing", "pointing_game")
# What rounding may do to an embedding; any more, and another computation was explained.
SAME = 1e-4


def readout(tower: Tower) -> int:
    """How many last blocks of a tower hold its readout: none of one that shows none."""
    return 0 if tower.opaque else 1


@dataclass
class Auditor:
    """A model, the methods and the pool: all that every sample is looked at with."""

    model: ModelView
    plans: Mapping[str, Variant]
    pool: Pool
    _pools: dict[str, Tensor] = field(default_factory=dict)

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

    def explained_pool(self, name: str) -> Targets:
        """The pool's directions by the computation that a method explains on the text side."""
        if name not in self._pools:
            variant, encoded = self.plans[name], self.pool.encoded
            nothing = Targets(self.pool.targets.directions[:1], encoded.scale)
            found = []
            for start in range(0, len(self.pool.prompts), 64):
                part = self.encoded(self.pool.prompts[start : start + 64])
                found += [
                    variant.relevance(c.with_targets(nothing)).embedding
                    for c in part.forward_passes
                ]
            self._pools[name] = torch.cat(found)
        return self.pool.encoded.targets(self._pools[name])


@dataclass(frozen=True)
class Seen:
    """A sample with its forward passes, for those who ask the model more about it."""

    sample: Sample
    pixels: Tensor
    geometry: Geometry
    forward_pass: ForwardPass
    encoded: EncodedPrompts
    evidence: SampleEvidence

    def light(self) -> Seen:
        """The same without what the blocks were given, which is most of its memory."""
        return replace(
            self,
            forward_pass=replace(self.forward_pass, states={}),
            encoded=replace(self.encoded, forward_passes=()),
        )

    @property
    def image(self) -> Targets:
        """The image's own direction, what texts are explained against."""
        return Targets(F.normalize(self.forward_pass.embedding, dim=-1), self.encoded.scale)


def look(auditor: Auditor, sample: Sample, index: int) -> Seen:
    """Run one sample through the model and all methods.

    Args:
        auditor: model, methods and pool.
        sample: with at least one prompt.
        index: its number; decides which of its prompts is edited.

    Raises:
        InputError: the sample cannot be read, or a mask does not fit its image.
    """
    seen = prepare(auditor, sample, index)
    for name, variant in auditor.plans.items():
        seen.evidence.methods[name] = _explained(auditor, seen, name, variant)
    if sample.masks is not None:
        _locate(seen)
    return seen


def prepare(
    auditor: Auditor, sample: Sample, index: int, evidence: SampleEvidence | None = None
) -> Seen:
    """Run one sample through the model alone.

    Args:
        auditor: model, methods and pool.
        sample: with at least one prompt.
        index: its number.
        evidence: what was found of it before, if anything was.
    """
    model, pool = auditor.model, auditor.pool
    tower = model.image
    [(pixels, geometry)] = model_inputs(model, [sample.image])
    forward_pass = run_tower(tower, pixels[None], pool.targets, keep=auditor.blocks_needed)
    among = pool.targets.score(forward_pass.embedding)[0].cpu()
    labels = pool.labels_of(sample)
    own = sample.prompts
    if model.classes is not None and labels is not None:
        own = tuple(pool.prompts[label] for label in labels)
    rival = pool.rival(among, own, labels or ())
    prompts = own if rival is None else (*own, pool.prompts[rival])
    encoded = auditor.encoded(prompts)
    forward_pass = forward_pass.with_targets(encoded.targets())
    evidence = evidence or SampleEvidence(
        image_id=sample.image_id,
        prompts=prompts,
        own=len(own),
        labels=labels,
        right=None if labels is None else among_best(among, labels),
        scores=forward_pass.targets.score(forward_pass.embedding)[0].cpu(),
        among=among,
        asked=index % len(own),
    )
    return Seen(sample, pixels[None], geometry, forward_pass, encoded, evidence)


def _explained(auditor: Auditor, seen: Seen, name: str, variant: Variant) -> MethodEvidence:
    found, pool = MethodEvidence(), auditor.pool
    if "image" in variant.sides:
        result = variant.relevance(seen.forward_pass)
        grid = seen.forward_pass.stream.grid or (1, result.values.shape[-1])
        found.maps = result.values.detach().float().cpu().unflatten(-1, grid)[0]
        found.scores["image"] = seen.forward_pass.targets.score(result.embedding)[0].cpu()
        found.among["image"] = pool.targets.score(result.embedding)[0].cpu()
        found.changes["image"] = result.changes
        found.diagnostics["image"] = {
            key: value[0].cpu() for key, value in result.diagnostics.items()
        }
    if "text" in variant.sides and seen.encoded.tokens is not None:
        values, embeddings = explained_texts(variant, seen.encoded, seen.image, found)
        found.words = words_of_texts(seen.encoded, values)
        own = seen.forward_pass.embedding
        targets = seen.encoded.targets(embeddings)
        found.scores["text"] = targets.score(own)[0].cpu()
        apart = (targets.directions - seen.encoded.targets().directions).abs().max()
        changed = float(apart) > SAME
        among = auditor.explained_pool(name) if changed else pool.targets
        found.among["text"] = among.score(own)[0].cpu()
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


def _locate(seen: Seen) -> None:
    """Hold each map against the mask of each label."""
    sample = seen.sample
    assert sample.masks is not None, "only samples with masks are located"
    found = [sample.masks.get(label) for label in sample.labels]
    size = seen.geometry.height, seen.geometry.width
    blank = np.zeros(size, bool)
    fitting = [
        blank if mask is None else same_size(mask, *size, f"the mask of {label!r:.60}")
        for mask, label in zip(found, sample.labels, strict=True)
    ]
    masks = torch.from_numpy(np.stack(fitting))
    ignored = sample.ignored
    if ignored is not None:
        same_size(ignored, *size, "the mask of open parts")
    for evidence in seen.evidence.methods.values():
        if evidence.maps is None:
            continue
        heat = resample_to_image(evidence.maps, seen.geometry)
        if ignored is not None:
            heat = heat.masked_fill(torch.from_numpy(ignored), float("nan"))
        for name in LOCATED:
            rows = [METRICS[name].value(one.expand(masks.shape), masks) for one in heat]
            evidence.located[name] = torch.stack(rows)
