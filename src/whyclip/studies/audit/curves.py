"""Deletion and insertion curves for the maps and words of every method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor

from whyclip.forward.targets import Targets
from whyclip.metrics import Metric, get_metric
from whyclip.studies.audit.cases import AuditCase
from whyclip.studies.audit.evidence import MethodEvidence
from whyclip.studies.cases import background_of, pixels_of
from whyclip.studies.measure import Request, perturbed
from whyclip.studies.scoring import TextDirections

IMAGE = ("deletion", "insertion", "deletion_background", "insertion_background")
TEXT = ("word_deletion", "word_insertion")


def image_curves(case: AuditCase, seed: int) -> Iterator[Request]:
    """Perturb one image by every method's map; areas are recorded when the embeddings arrive.

    The score is the score of the sample's edited prompt.
    """
    number = case.evidence.edited_prompt
    target = case.forward_pass.targets[number : number + 1].to("cpu")
    pixels, metrics = pixels_of(case), [get_metric(name) for name in IMAGE]
    background = background_of(case)
    for method in case.evidence.methods.values():
        if method.maps is not None:
            [heatmap] = case.heatmap(method.maps[number][None])
            receive = partial(_receive, method, target)
            yield from perturbed(pixels, heatmap, metrics, seed, receive, background)


def _receive(
    method: MethodEvidence,
    target: Targets,
    metrics: Sequence[Metric],
    amounts: Tensor,
    embeddings: Tensor,
) -> None:
    scores = target.score(embeddings)[:, 0]
    for metric in metrics:
        method.curves[metric.name] = float(metric.value(amounts, scores))


def measure_word_curves(case: AuditCase, texts: TextDirections, seed: int) -> None:
    """Delete and insert the words of the sample's edited prompt in the order of every method."""
    number = case.evidence.edited_prompt
    image = case.image_target.directions[0].cpu()
    for method in case.evidence.methods.values():
        words = method.words[number] if method.words else ()
        if len(words) < 2:
            continue
        for name in TEXT:
            metric = get_metric(name)
            assert metric.edits is not None, "deletion and insertion edit"
            edits = metric.edits(case.prompts[number], words, seed=seed)
            scores = texts.directions(list(edits)) @ image
            method.curves[name] = float(metric.value(edits.amounts, scores))
