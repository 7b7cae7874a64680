"""What the model's score loses if an object is painted over: data with masks, but no scenes."""

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
# As a share of the shorter edge. Annotated outlines are loose, and objects have soft edges.
DILATION, LEAST_DILATION = 0.01, 2
# As a share of the pixels that the model sees. With fewer left, the fill has nothing to continue.
LEAST_LEFT = 0.1


def inpainted_images(case: AuditCase) -> Iterator[Request]:
    """Score the image with each labelled object painted over.

    The drops ``[k, m]``, ``S(I, T) − S(I without the object, T)``, are noted when the answers come.
    They are NaN where a label has no hole, see :func:`hole_of`.
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
    """Where to paint over a label: its mask, a few pixels wider, without pixels of other labels.

    Args:
        label: whose object is painted over.
        masks: bool ``[H, W]`` of all labels, of one size.
        box: the part of the image that the model sees.

    Returns:
        Bool ``[H, W]``; None if the model sees no pixel of the label, or if less than a tenth of
        the visible pixels would remain.
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
