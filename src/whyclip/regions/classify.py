"""Region classification by the protocol of CLIPSelf."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.datasets import Dataset, open_dataset
from whyclip.datasets.dataset import Subset
from whyclip.errors import InputError, OptionError, UnsupportedModelError, WhyclipWarning
from whyclip.models import ModelView
from whyclip.models.state import check_state
from whyclip.progress import track
from whyclip.regions.canvas import canvas_of
from whyclip.regions.classes import class_embeddings
from whyclip.regions.counts import Counts
from whyclip.regions.features import box_features, check_tower, feature_map, mask_features
from whyclip.regions.prepare import (
    Prepared,
    check_any,
    check_fits,
    prepare_parts,
)
from whyclip.regions.result import Kind, Outcome, RegionResult
from whyclip.types import MaskRule

TOP = (1, 5)
BATCH = 8


@in_plain_state
def classify_regions(
    view: ModelView,
    data: Dataset | str,
    *,
    size: int | None = None,
    template: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
    top: Sequence[int] = TOP,
    masks: MaskRule = "share",
) -> RegionResult:
    """Measure how well a model classifies boxes and masks: mAcc by the protocol of CLIPSelf.

    The longer side of each image is resized to ``size``, and the rest is padded. Each patch gets
    a feature from the last block without its attention. Box features are pooled by RoIAlign, mask
    features are averaged, and the prediction is the class with the largest cosine. Wu et al., ICLR
    2024 (arXiv 2310.01403), section 4.1 and the released code.

    Args:
        view: the model.
        data: a dataset, or its specification for :func:`whyclip.datasets.open_dataset`.
        size: side of the input in pixels; the model's native input by default.
        template: prompt template of the classes; see :func:`whyclip.regions.class_embeddings`.
        limit: number of images, chosen at random; all by default.
        seed: random seed of that choice and of the intervals.
        batch_size: number of images in memory at once.
        top: a region counts as correct if its class is among the k best, for each k here.
        masks: weights of patches under a mask: ``"share"``, or ``"clipself"`` as in CLIPSelf's
            code; see :class:`whyclip.regions.canvas.Canvas`.

    Raises:
        InputError: the dataset cannot be read, or has no regions.
        OptionError: an option is out of range.
        UnsupportedModelError: the model has no dense features or no text encoder.

    Example:
        >>> import whyclip
        >>> result = classify_regions(whyclip.load("mini"), "scenes:8", template="{}")
        >>> result.n_images, result.counts["boxes"].macc(5) > 0.5
        (8, True)
    """
    if batch_size < 1:
        raise OptionError(f"batch_size={batch_size}; give at least 1")
    begun = time.perf_counter()
    check_state(view)
    canvas = canvas_of(view, size, masks)
    spec = data if isinstance(data, str) else data.name
    dataset = open_dataset(data) if isinstance(data, str) else data
    if not len(dataset):
        raise InputError(f"{spec} has no images; give a dataset with at least one")
    if limit is not None:
        dataset = Subset(dataset, limit, seed)
    directions = class_embeddings(view, dataset, template)
    parts = prepare_parts(canvas, dataset, batch_size)
    total = -(-len(dataset) // batch_size)
    with warnings.catch_warnings():
        # Warnings about single images would be repeated for every image.
        warnings.simplefilter("ignore", WhyclipWarning)
        result = _classified(
            view, track(parts, "classifying regions", total), dataset, directions, top, seed
        )
    return result.described(
        data=spec,
        size=(canvas.height, canvas.width),
        template=template,
        masks=masks,
        seconds=time.perf_counter() - begun,
    )


@in_plain_state
def classify(
    view: ModelView,
    prepared: Prepared,
    *,
    directions: Tensor | None = None,
    template: str | None = None,
    batch_size: int = BATCH,
    top: Sequence[int] = TOP,
    seed: int = 0,
) -> RegionResult:
    """Classify regions that were prepared once, for example for several models.

    Args:
        view: the model.
        prepared: from :func:`whyclip.regions.prepare_regions`.
        directions: ``[C, e]`` class embeddings; by default those of the dataset's classes.
        template: their prompt template; see :func:`whyclip.regions.class_embeddings`.
        batch_size: batch size of the model.
        top: as for :func:`classify_regions`.
        seed: random seed of the intervals.

    Raises:
        UnsupportedModelError: the model has no dense features or no text encoder.
    """
    check_tower(view)
    check_state(view)
    if directions is None:
        directions = class_embeddings(view, prepared.dataset, template)
    check_any(prepared)
    check_fits(view, prepared)
    result = _classified(
        view, [prepared], prepared.dataset, directions, top, seed, batch_size=batch_size
    )
    return result.described(
        data=prepared.dataset.name,
        size=tuple(prepared.pixels.shape[-2:]),
        template=template,
    )


def region_accuracy(
    view: ModelView,
    prepared: Prepared,
    *,
    directions: Tensor | None = None,
    template: str | None = None,
    batch_size: int = BATCH,
    top: Sequence[int] = TOP,
) -> Mapping[Kind, Counts]:
    """Count correct regions per image and class, for training experiments.

    To compare two models, use :func:`whyclip.regions.macc_difference`. The arguments are those of
    :func:`classify`.

    Returns:
        Counts by kind (``"boxes"``, ``"thing masks"``, ``"stuff masks"``), for kinds that occur.
    """
    return classify(
        view,
        prepared,
        directions=directions,
        template=template,
        batch_size=batch_size,
        top=top,
    ).counts


def _classified(
    view: ModelView,
    parts: Iterable[Prepared],
    dataset: Dataset,
    directions: Tensor,
    top: Sequence[int],
    seed: int,
    *,
    batch_size: int | None = None,
) -> RegionResult:
    places = _places(top, len(directions))
    outcomes: list[Outcome] = []
    left_out: Counter[str] = Counter()
    failed: dict[int, str] = {}
    ids: list[str] = []
    numbers: list[int] = []
    last: Prepared | None = None
    for part in parts:
        left_out += Counter(part.left_out)
        failed |= part.failed
        last = part
        if len(part.labels):
            outcomes.append(_outcome(view, part, directions, batch_size, len(ids), max(places)))
        ids += part.ids
        numbers += part.numbers
    if not outcomes and last is not None:
        check_any(Prepared(**{**vars(last), "failed": failed}))
    return RegionResult(
        model=view.name,
        classes=dataset.classes,
        outcome=Outcome.joined(outcomes),
        top=places,
        ids=tuple(ids),
        numbers=tuple(numbers),
        left_out=dict(left_out),
        failed=failed,
        dataset=dataset,
        seed=seed,
    )


def _places(top: Sequence[int], classes: int) -> tuple[int, ...]:
    """Sort the values of k; drop those that cover all classes, except 1."""
    if not top or min(top) < 1:
        raise OptionError(f"top={tuple(top)!r}; give whole numbers of at least 1")
    return tuple(sorted({k for k in top if k < classes} | ({1} if 1 in top else set()))) or (1,)


def _outcome(
    view: ModelView,
    part: Prepared,
    directions: Tensor,
    batch_size: int | None,
    before: int,
    best: int,
) -> Outcome:
    """Classify the regions of some images; row numbers start at ``before``."""
    step = batch_size or len(part)
    boxes = torch.zeros(len(part.labels), len(directions))
    masks = torch.zeros_like(boxes)
    for start in range(0, len(part), step):
        features = feature_map(view.image, part.pixels[start : start + step], part.grid)
        to = directions.to(features)
        here = (part.image >= start) & (part.image < start + step)
        row = part.image[here] - start
        pooled = box_features(features, part.boxes[here], row)
        boxes[here] = (F.normalize(pooled, dim=-1) @ to.T).cpu()
        under = here & part.masked
        row = part.image[under] - start
        pooled = mask_features(features, part.weights[under], row)
        masks[under] = (F.normalize(pooled, dim=-1) @ to.T).cpu()
    if not (boxes.isfinite().all() and masks.isfinite().all()):
        raise UnsupportedModelError(
            f"{view.name} gives NaN or infinite features; check its weights"
        )
    box_rank, box_best = _ranked(boxes, part.labels, best)
    mask_rank, mask_best = _ranked(masks, part.labels, best)
    mask_rank[~part.masked.numpy()] = -1
    return Outcome(
        image=part.image.numpy() + before,
        labels=part.labels.numpy(),
        stuff=part.stuff.numpy(),
        pixel_boxes=np.array(part.pixel_boxes).reshape(-1, 4),
        box_rank=box_rank,
        mask_rank=mask_rank,
        box_best=box_best,
        mask_best=mask_best,
    )


def _ranked(scores: Tensor, labels: Tensor, best: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the rank of each label by score, from 0, and the best classes."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    rank = (order == labels[:, None]).int().argmax(1)
    return rank.numpy().astype(np.int64), order[:, :best].numpy()
