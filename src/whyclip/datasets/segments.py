"""Single segments of COCO's annotations, without merging by category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whyclip.datasets.annotation_files import Mask, read_codes
from whyclip.datasets.coco import Coco, CocoPanoptic
from whyclip.datasets.coco_masks import decode_region, decode_segments
from whyclip.datasets.tables import shown
from whyclip.errors import InputError

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Segment:
    """One annotated segment.

    Attributes:
        label: its category, one of the dataset's classes.
        thing: whether the category is countable; False for stuff, such as sky.
        crowd: whether it covers a group of objects (``iscrowd``).
        box: left, top, right, bottom in pixels from its ``bbox``; None if the file has none.
        mask: bool ``[H, W]``.
    """

    label: str
    thing: bool
    crowd: bool
    box: Box | None
    mask: Mask


def segments_of(dataset: Coco, index: int) -> list[Segment]:
    """Read the segments of one image, in the order of the file.

    Args:
        dataset: instances or panoptic annotations.
        index: number of the image in the dataset.

    Raises:
        InputError: the annotation is incomplete, or its PNG cannot be read.
    """
    image, annotations = dataset.items[index]
    try:
        if not isinstance(dataset, CocoPanoptic):
            size = int(image["height"]), int(image["width"])
            return [
                _segment(dataset, annotation, decode_region(annotation["segmentation"], *size))
                for annotation in annotations
            ]
        ids = decode_segments(read_codes(dataset.segments / annotations[0]["file_name"], "RGB"))
        return [
            _segment(dataset, annotation, ids == annotation["id"])
            for annotation in annotations[0]["segments_info"]
        ]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"image {image['id']} of {shown(dataset.file)} lacks {error!s:.60}"
        ) from None


def _segment(dataset: Coco, info: Mapping[str, Any], mask: Mask) -> Segment:
    category = info["category_id"]
    if category not in dataset.labels:
        raise InputError(f"{shown(dataset.file)} has a segment of unknown category {category!r}")
    return Segment(
        label=dataset.labels[category],
        thing=category in dataset.things,
        crowd=bool(info.get("iscrowd", 0)),
        box=_corners(info["bbox"], dataset) if "bbox" in info else None,
        mask=mask,
    )


def _corners(bbox: Any, dataset: Coco) -> Box:
    """Convert left, top, width, height to left, top, right, bottom."""
    try:
        left, top, width, height = map(float, bbox)
    except (TypeError, ValueError):
        raise InputError(f"{shown(dataset.file)} has bbox {bbox!r:.60}; give 4 numbers") from None
    return left, top, left + width, top + height
