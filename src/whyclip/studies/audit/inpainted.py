"""Score drop if an object is inpainted, for data with masks but without interventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from whyclip.datasets.annotation_files import Mask
from whyclip.datasets.dataset import same_size
from whyclip.perturbation.inpaint import dilated, inpainted
from whyclip.perturbation.perturbations import Perturbations
from whyclip.studies.audit.cases import AuditCase
from whyclip.studies.cases import pixels_of
from whyclip.studies.measure import Request
from whyclip.types import Box

INPAINTED = "inpainted"
# As a share of the shorter edge. Annotated outlines are imprecise, and objects have soft edges.
DILATION, LEAST_DILATION = 0.01, 2
# As a share of the visible pixels. With fewer left, there is too little to inpaint from.
LEAST_LEFT = 0.1


def inpainted_images(case: AuditCase) -> Iterator[Request]:
    """Score the image with each labelled object inpainted.

    The drops ``[k, m]``, ``S(I, T) − S(I without the object, T)``, are recorded when the embeddings
    arrive. They are NaN if a label has no hole, see :func:`hole_of`.
    """
    evidence, targets = case.evidence, case.forward_pass.targets.to("cpu")
    labels = case.sample.labels
    shape = (len(labels), len(evidence.prompts))
    evidence.image_drops[INPAINTED] = torch.full(shape, float("nan"))
    size = case.geometry.height, case.geometry.width
    masks = {
        label: same_size(mask, *size, f"the mask of {label!r:.60}")
        for label, mask in (case.sample.masks or {}).items()
    }
    candidates = {row: hole_of(label, masks, case.geometry.box) for row, label in enumerate(labels)}
    holes = {row: hole for row, hole in candidates.items() if hole is not None}
    if not holes:
        return

    def receive(embeddings: Tensor) -> None:
        left = targets.score(embeddings)
        for row, scores in zip(holes, left, strict=True):
            evidence.image_drops[INPAINTED][row] = evidence.scores - scores

    pixels = pixels_of(case)
    images = Perturbations(
        torch.zeros(len(holes)), lambda: (inpainted(pixels, hole) for hole in holes.values())
    )
    yield Request(images, receive)


def hole_of(label: str, masks: Mapping[str, Mask], box: Box) -> Mask | None:
    """Region to inpaint for a label: its dilated mask without the pixels of other labels.

    Args:
        label: label of the object.
        masks: bool ``[H, W]`` of all labels, with equal sizes.
        box: the visible part of the image.

    Returns:
        Bool ``[H, W]``; None if no pixel of the label is visible, or if less than a tenth of the
        visible pixels would remain.
    """
    mask = masks.get(label)
    if mask is None:
        return None
    seen = np.s_[
        max(0, int(box.top)) : max(0, int(np.ceil(box.bottom))),
        max(0, int(box.left)) : max(0, int(np.ceil(box.right))),
    ]
    others = [other for name, other in masks.items() if name != label]
    taken = np.logical_or.reduce(others) if others else np.zeros_like(mask)
    width = max(LEAST_DILATION, round(DILATION * min(mask.shape)))
    hole: Mask = dilated(mask, width) & ~taken
    if not (mask & hole)[seen].any() or hole[seen].mean() > 1 - LEAST_LEFT:
        return None
    return hole
