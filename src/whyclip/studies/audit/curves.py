"""Deletion and insertion of every method's map and words, with all edits in full batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from whyclip.metrics import get_metric, stream
from whyclip.perturbation.fills import Pixels
from whyclip.perturbation.perturbations import Perturbations
from whyclip.resample import resample_to_image
from whyclip.studies.audit.cases import Case
from whyclip.studies.effects import AT_ONCE
from whyclip.studies.scoring import Encoder, TextDirections

IMAGE = ("deletion", "insertion")
TEXT = ("word_deletion", "word_insertion")


def measure_curves(case: Case, texts: TextDirections, seed: int) -> None:
    """Edit one sample by every method's map and words, and note the areas.

    The score is that of the one prompt of the sample that was drawn for it.
    """
    _images(texts.encoder, case, seed)
    if texts.encoder.model.classes is None:
        _texts(case, texts, seed)


def _images(encoder: Encoder, case: Case, seed: int) -> None:
    evidence = case.evidence
    image = case.decoded_image
    target = case.forward_pass.targets[evidence.asked : evidence.asked + 1]

    def score(edited: Sequence[Pixels]) -> Tensor:
        return target.score(encoder.images(edited).to(target.directions.device))[:, 0]

    jobs: list[tuple[str, str, Perturbations[Pixels]]] = []
    for name, found in evidence.methods.items():
        if found.maps is None:
            continue
        heat = resample_to_image(found.maps[evidence.asked][None], case.geometry)[0].numpy()
        for curve in IMAGE:
            metric = get_metric(curve)
            assert metric.edits is not None, "deletion and insertion edit"
            jobs.append((name, curve, metric.edits(np.asarray(image), heat, seed=seed)))
    scored = stream((edits for _, _, edits in jobs), score, AT_ONCE)
    for (name, curve, edits), scores in zip(jobs, scored, strict=True):
        area = get_metric(curve).value(edits.amounts, scores)
        evidence.methods[name].curves[curve] = float(area)


def _texts(case: Case, texts: TextDirections, seed: int) -> None:
    evidence = case.evidence
    prompt = evidence.prompts[evidence.asked]
    image = case.image.directions[0].cpu()
    for found in evidence.methods.values():
        words = found.words[evidence.asked] if found.words else ()
        if len(words) < 2:
            continue
        for curve in TEXT:
            metric = get_metric(curve)
            assert metric.edits is not None, "deletion and insertion edit"
            edits = metric.edits(prompt, words, seed=seed)
            scores = texts.directions(list(edits)) @ image
            found.curves[curve] = float(metric.value(edits.amounts, scores))
