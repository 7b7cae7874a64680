"""Score drop in a changed scene and for a changed prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from whyclip.inputs.words import words_of
from whyclip.perturbation.perturbations import Perturbations
from whyclip.pipeline import attribute_text
from whyclip.scenes.interventions import ImageEdit, Interventions
from whyclip.scenes.wording import TextEdit
from whyclip.studies.audit.cases import AuditCase, AuditSetup
from whyclip.studies.audit.evidence import Exchange
from whyclip.studies.measure import Request
from whyclip.studies.scoring import TextDirections
from whyclip.types import Word

# Image edits that checks can request.
Drawn = Literal["removed", "recoloured"]
DRAWN: tuple[Drawn, ...] = ("removed", "recoloured")


def changed_images(case: AuditCase, kinds: Sequence[Drawn]) -> Iterator[Request]:
    """Score the scene without each object, or with each object in another colour.

    The drops ``[k, m]``, ``S(I, T) − S(changed I, T)``, are recorded when the embeddings arrive.
    They are NaN if a visible pixel of another object changed too, or if a label has no edit.
    """
    interventions = case.sample.interventions
    assert interventions is not None, "the sample can be changed"
    edits = list(interventions.images(kinds))
    evidence, targets = case.evidence, case.forward_pass.targets.to("cpu")
    for kind in kinds:
        shape = (len(case.sample.labels), len(evidence.prompts))
        evidence.image_drops[kind] = torch.full(shape, float("nan"))

    def receive(embeddings: Tensor) -> None:
        left = targets.score(embeddings)
        for edit, scores in zip(edits, left, strict=True):
            if edit.clean and edit.label in case.sample.labels:
                row = case.sample.labels.index(edit.label)
                evidence.image_drops[edit.kind][row] = evidence.scores - scores

    images = Perturbations(torch.zeros(len(edits)), lambda: map(pixels_of_edit, edits))
    yield Request(images, receive)


def pixels_of_edit(edit: ImageEdit) -> np.ndarray:
    """The changed image as uint8 ``[H, W, 3]``."""
    return np.asarray(edit.image)


def note_masses(case: AuditCase) -> None:
    """Sum each map over the visible pixels of each label: ``[m, k]``, in patches.

    The same sum is recorded for an empty region beside each object. Samples without masks are
    skipped.
    """
    if case.sample.masks is None or not case.sample.labels:
        return
    given = [case.mask(label) for label in case.sample.labels]
    blank = np.zeros((case.geometry.height, case.geometry.width), bool)
    masks = np.stack([blank if mask is None else mask for mask in given])
    over = torch.from_numpy(masks).flatten(1).double()
    places = [_place_beside(mask, masks) for mask in masks]
    empty = torch.from_numpy(np.stack(places)).flatten(1).double()
    for method in case.evidence.methods.values():
        if method.maps is not None:
            box, grid = case.geometry.box, method.maps.shape[-2:]
            per_patch = (box.right - box.left) * (box.bottom - box.top) / (grid[0] * grid[1])
            values = case.heatmap(method.maps).nan_to_num(0.0).flatten(1).double()
            method.masses = (values @ over.T / per_patch).float()
            method.positive = (values.clamp(min=0) @ over.T / per_patch).float()
            method.beside = (values @ empty.T / per_patch).float()
            method.beside[:, ~empty.any(1)] = float("nan")


def _place_beside(mask: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The mask shifted by its own size to an empty region; all False if there is none.

    Args:
        mask: bool ``[H, W]`` of one object.
        masks: bool ``[k, H, W]`` of all objects.
    """
    ys, xs = np.nonzero(mask)
    if not ys.size:
        return mask
    height, width = mask.shape
    down, right = int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1
    taken = np.logical_or.reduce(masks)
    for dy, dx in ((0, right), (0, -right), (down, 0), (-down, 0)):
        y, x = ys + dy, xs + dx
        inside = y.min() >= 0 and x.min() >= 0 and y.max() < height and x.max() < width
        if inside and not taken[y, x].any():
            moved = np.zeros_like(mask)
            moved[y, x] = True
            return moved
    return np.zeros_like(mask)


@dataclass(frozen=True)
class _EditedPrompt:
    """A prompt with its changes."""

    prompt: str
    edits: Sequence[TextEdit]


def measure_exchanges(setup: AuditSetup, case: AuditCase, texts: TextDirections) -> None:
    """Score each prompt and probe with a word replaced, and explain the probes' words.

    The probes use the same forward pass of the image.
    """
    interventions = case.sample.interventions
    assert interventions is not None, "the sample can be changed"
    evidence = case.evidence
    prompts = [_EditedPrompt(p, interventions.texts(i)) for i, p in enumerate(case.sample.prompts)]
    probes = [_EditedPrompt(probe.prompt, probe.edits) for probe in interventions.probes()]
    evidence.exchanges = tuple(_exchanges([*prompts, *probes], case, texts))
    evidence.names_colour = tuple(any(e.kind == "colour" for e in part.edits) for part in prompts)
    if not probes:
        return
    for label, words in words_by_method(setup, case, [part.prompt for part in probes]):
        evidence.methods[label].probe_words = words


def words_by_method(
    setup: AuditSetup, case: AuditCase, prompts: Sequence[str]
) -> Iterator[tuple[str, tuple[tuple[Word, ...], ...]]]:
    """Explain the words of other prompts by every method that explains text."""
    encoded = setup.cases.encode(prompts)
    encoded = replace(encoded, scale=case.encoded.scale)
    for label, variant in setup.variants.items():
        if "text" in variant.sides:
            result = attribute_text(variant, encoded, case.forward_pass.embedding)
            assert result.words is not None, "the text side has words"
            yield label, result.words[0]
    for forward_pass in encoded.forward_passes:
        forward_pass.forget()


def _exchanges(
    edited: Sequence[_EditedPrompt], case: AuditCase, texts: TextDirections
) -> Iterator[Exchange]:
    """Every change of every prompt, with its score drop."""
    image = case.image_target.directions[0].cpu()
    texts.encode([text for part in edited for text in (part.prompt, *_changed(part))])
    for number, part in enumerate(edited):
        if not part.edits:
            continue
        before, *after = (texts.directions([part.prompt, *_changed(part)]) @ image).tolist()
        spans = words_of(part.prompt)
        for edit, score in zip(part.edits, after, strict=True):
            words = tuple(spans[i][1:] for i in edit.words)
            yield Exchange(number, edit.kind, words, before - score)


def _changed(part: _EditedPrompt) -> list[str]:
    return [edit.prompt for edit in part.edits]


def without_interventions(samples: Sequence[Interventions | None]) -> str:
    """Reason why no sample has interventions; empty if one has."""
    if any(sample is not None for sample in samples):
        return ""
    return "needs data that can be drawn with one change, for example scenes"
