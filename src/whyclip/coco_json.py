"""Boxes and masks of explanations as COCO JSON, for segmenters and annotation tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyclip.ambient import in_plain_state
from whyclip.areas import Area, areas, check_share
from whyclip.errors import InputError, OutputError, quoted
from whyclip.files import path_of, write_atomic

if TYPE_CHECKING:
    from whyclip.explanation import Explanation

COCO = ".coco.json"
# Attributes that only an explanation has; importing its class here would be circular.
_PARTS = ("geometry", "maps", "labels", "heatmap")


@in_plain_state
def save_coco(
    path: str | Path,
    explanations: Mapping[str, Explanation],
    *,
    threshold: float = 0.5,
    masks: bool = True,
) -> Path:
    """Write boxes and masks of explanations as COCO object annotations.

    Each connected area of :meth:`Explanation.mask` is one annotation, and each prompt a category.
    ``score`` is the explained match score of image and prompt, ``relevance`` the sum of the heat
    over the area. Masks are uncompressed run lengths, which pycocotools and annotation tools can
    read.

    Args:
        path: ``.json`` file to write, atomically.
        explanations: mapping from each image's file name to its explanation.
        threshold: share of each map's largest value, above 0 and at most 1.
        masks: whether to write masks in addition to boxes.

    Returns:
        The path written.

    Raises:
        InputError: there is no explanation, or one of another kind.
        OutputError: an explanation has no map, or the file cannot be written.
        OptionError: the threshold is out of its range.
    """
    path = path_of(path)
    name = quoted(str(path))
    if path.suffix.lower() != ".json":
        raise OutputError(f"cannot write {name}: end it in .json")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {name}: no such folder: {quoted(str(path.parent))}")
    record = coco_record(explanations, threshold=threshold, masks=masks)
    # ASCII only, so that an unpaired surrogate can be written.
    write_atomic(path, lambda: json.dumps(record, allow_nan=False).encode())
    return path


def coco_record(
    explanations: Mapping[str, Explanation], *, threshold: float = 0.5, masks: bool = True
) -> dict[str, Any]:
    """Describe explanations as COCO JSON; see :func:`save_coco`."""
    share = check_share(threshold)
    if not isinstance(explanations, Mapping) or not explanations:
        raise InputError(
            f"explanations {quoted(explanations)}: give a mapping from file names to explanations"
        )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    for name, explanation in explanations.items():
        if not isinstance(name, str) or not name:
            raise InputError(f"file name {quoted(name)}: give the image's file name as a string")
        if not all(hasattr(explanation, part) for part in _PARTS):
            raise InputError(
                f"{quoted(name)} has {quoted(explanation)}; give the result of whyclip.explain"
            )
        if explanation.maps is None:
            raise OutputError(
                f"the explanation of {quoted(name)} has no map; explain with sides='image'"
            )
        geometry = explanation.geometry
        size = {"width": geometry.width, "height": geometry.height}
        images.append({"id": len(images) + 1, "file_name": name, **size})
        for index, label in enumerate(explanation.labels):
            category = categories.setdefault(label, len(categories) + 1)
            for area in areas(explanation[index].heatmap()[0].numpy(), share):
                annotation = {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": category,
                    **_shape(area, geometry.height, geometry.width, masks),
                    "iscrowd": 0,
                    "score": float(explanation.scores[index]),
                    "relevance": area.relevance,
                }
                annotations.append(annotation)
    methods = sorted({explanation.method for explanation in explanations.values()})
    return {
        "info": {
            "description": f"heat maps by {', '.join(methods)} at {share:g} of their peak",
            "contributor": "whyclip",
        },
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }


def _shape(area: Area, height: int, width: int, masks: bool) -> dict[str, Any]:
    left, top, right, bottom = area.box
    shape: dict[str, Any] = {
        "bbox": [left, top, right - left, bottom - top],
        "area": area.pixels,
    }
    if masks:
        full = np.zeros((height, width), bool)
        full[int(top) : int(bottom), int(left) : int(right)] = area.mask
        shape["segmentation"] = {"size": [height, width], "counts": run_lengths(full)}
    return shape


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Count runs of equal pixels down the columns; the first run is of unmarked pixels."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    lengths: list[int] = np.diff([0, *changes.tolist(), flat.size]).tolist()
    return [0, *lengths] if flat.size and flat[0] else lengths
