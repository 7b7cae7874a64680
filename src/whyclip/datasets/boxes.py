"""Your own boxes: a CSV file with one box per row."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from whyclip.datasets.annotation_files import Mask, file_at, stamp
from whyclip.datasets.dataset import TEMPLATE, Dataset, Masks, Sample, filled_in
from whyclip.datasets.kind import DatasetKind
from whyclip.datasets.tables import inside, read_table, shown
from whyclip.errors import InputError

COLUMNS = ("image", "left", "top", "right", "bottom", "label")
EDGES = COLUMNS[1:5]
FORM = f"a CSV file with the columns {', '.join(COLUMNS)}"
# Annotation tools round edges; boxes that end up to this many pixels outside are clipped.
TOLERANCE = 1.0
# EXIF orientations that exchange width and height.
_ORIENTATION, _TURNED = 0x0112, {5, 6, 7, 8}


class LabelledBox(NamedTuple):
    """One row: edges in pixels of the upright image, right and bottom exclusive."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


class Boxes(Dataset):
    """One sample per image, with all of its boxes.

    Image paths start at the folder of the CSV file. The mask of a label is the union of its
    boxes.
    """

    name = "boxes"

    def __init__(
        self, file: str | Path, *, template: str = TEMPLATE, outside: bool = False
    ) -> None:
        """Read the rows.

        Args:
            file: the CSV file, in UTF-8, or UTF-16 with a byte order mark.
            template: template of the prompts.
            outside: whether rows may name files outside the folder, by absolute paths or ``..``.

        Raises:
            InputError: a column is missing or unknown; a box is empty, invalid or outside its
                image; or a row names a file outside the folder.
        """
        self.file = file_at(file, FORM)
        self.root, self.template = self.file.parent, template
        columns, rows = read_table(self.file)
        if sorted(columns) != sorted(COLUMNS):
            wrong = sorted(set(columns) - set(COLUMNS)) or sorted(set(COLUMNS) - set(columns))
            kind = "unknown" if set(columns) - set(COLUMNS) else "missing or repeated"
            raise InputError(f"{shown(self.file)} has {kind} columns {wrong!r:.80}; give {FORM}")
        boxes: dict[str, list[LabelledBox]] = defaultdict(list)
        sizes: dict[str, tuple[int, int] | None] = {}
        for line, row in rows:
            where = f"{shown(self.file)}, line {line}"
            if not row["image"] or not row["label"]:
                raise InputError(f"{where}: give an image and a label")
            path = inside(self.root, row["image"], self.file, outside=outside)
            if row["image"] not in sizes:
                sizes[row["image"]] = _upright_size(path)
            boxes[row["image"]].append(_box(row, where, sizes[row["image"]]))
        if not boxes:
            raise InputError(f"{shown(self.file)} has no row below its header")
        self.items = list(boxes.items())
        labels = sorted({box.label for group in boxes.values() for box in group})
        self.classes = self.names = tuple(labels)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def has_masks(self) -> bool:
        """Return True."""
        return True

    def state_of(self, index: int) -> list[Any]:
        """The boxes, with size and time of the image file."""
        name, boxes = self.items[index]
        return [name, boxes, stamp(self.root / name)]

    def sample(self, index: int) -> Sample:
        """Describe one image."""
        name, boxes = self.items[index]
        labels = tuple(dict.fromkeys(box.label for box in boxes))

        def masks() -> Mapping[str, Mask]:
            size = _upright_size(self.root / name)
            if size is None:
                raise InputError(f"image {shown(name)} of {shown(self.file)} cannot be read")
            by_label = {label: np.zeros(size[::-1], bool) for label in labels}
            for box in boxes:
                rows = slice(math.floor(box.top), math.ceil(box.bottom))
                by_label[box.label][rows, math.floor(box.left) : math.ceil(box.right)] = True
            return by_label

        return Sample(
            id=name,
            source=self.root / name,
            labels=labels,
            prompts=filled_in(self.template, labels),
            masks=Masks(masks),
        )


def _upright_size(path: Path) -> tuple[int, int] | None:
    """Read width and height from a file's header; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
            return (image.height, image.width) if turned else image.size
    except Exception:  # noqa: BLE001  a decoder may raise anything on a damaged file
        return None


def _box(row: Mapping[str, str], where: str, size: tuple[int, int] | None) -> LabelledBox:
    try:
        left, top, right, bottom = (float(row[edge]) for edge in EDGES)
    except ValueError:
        left = top = right = bottom = math.nan
    said = "({})".format(", ".join(row[edge] for edge in EDGES))
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise InputError(f"{where}: box {said:.80} is not four numbers of pixels")
    if right <= left or bottom <= top:
        raise InputError(
            f"{where}: box {said:.80} is empty; give left < right and top < bottom, in pixels"
        )
    if size is not None:
        width, height = size
        if min(left, top) < -TOLERANCE or right > width + TOLERANCE or bottom > height + TOLERANCE:
            raise InputError(
                f"{where}: box {said:.80} lies outside its image of {width}x{height} pixels; "
                "give left, top, right, bottom in pixels of the upright image"
            )
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if right <= left or bottom <= top:
            raise InputError(f"{where}: box {said:.80} lies outside its image; correct it")
    return LabelledBox(row["label"], left, top, right, bottom)


KINDS = (
    DatasetKind(
        name="boxes",
        title="Your own boxes",
        source="a CSV file",
        form="FILE.csv",
        layout=FORM,
        has_masks=True,
        open=Boxes,
        names_files=True,
    ),
)
