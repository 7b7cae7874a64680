"""COCO: photographs with masks of things, and of stuff."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whyclip.datasets.annotation_files import Mask, digest, file_at, folder_at, read_codes, stamp
from whyclip.datasets.coco_masks import decode_region, decode_segments, pycocotools_mask
from whyclip.datasets.dataset import TEMPLATE, Dataset, Masks, Sample, filled_in
from whyclip.datasets.kind import DatasetKind
from whyclip.datasets.tables import inside, shown
from whyclip.errors import InputError

SPLIT = "val2017"


class Coco(Dataset):
    """Common base of instance and panoptic annotations.

    The regions of all objects of a category are one mask; images without any are skipped.
    Source: Lin et al., ECCV 2014 (arXiv 1405.0312).
    """

    def __init__(
        self,
        images: str | Path,
        annotations: str | Path,
        *,
        template: str = TEMPLATE,
        outside: bool = False,
    ) -> None:
        """Read the annotations; images and regions are read on access.

        Args:
            images: the folder of the images.
            annotations: the JSON file.
            template: template of the prompts.
            outside: whether the annotations may name files outside their folders.

        Raises:
            InputError: a file is missing or has another format.
        """
        self.images = folder_at(images, "COCO's images, such as val2017")
        self.file = file_at(annotations, "COCO's annotations, such as instances_val2017.json")
        self.template, self.outside = template, outside
        try:
            self._index(_read(self.file))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{shown(self.file)} is not in COCO's format: {error!r:.60}") from None
        if not self.items:
            raise InputError(f"{shown(self.file)} has no image with a region")

    def _index(self, content: Mapping[str, Any]) -> None:
        categories = sorted(content["categories"], key=lambda category: category["id"])
        self.classes = tuple(category["name"] for category in categories)
        for name in self.classes:
            if not _is_text(name):
                raise InputError(f"{shown(self.file)} has category {name!a:.60}; give it a name")
        self.names = tuple(map(readable, self.classes))
        self.labels = dict(zip((c["id"] for c in categories), self.classes, strict=True))
        # Only panoptic annotations mark things and stuff; all instance categories are things.
        self.things = {c["id"] for c in categories if c.get("isthing", 1)}
        regions: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            if self._check(annotation):
                regions[annotation["image_id"]].append(annotation)
        known = {image["id"]: image for image in content["images"]}
        if regions.keys() - known.keys():
            raise InputError(
                f"{str(self.file)!r} annotates image {min(regions.keys() - known.keys())}, "
                "which it does not list"
            )
        self.items = [(known[number], regions[number]) for number in sorted(regions)]
        for image, _ in self.items:
            inside(self.images, image["file_name"], self.file, outside=self.outside)

    def __len__(self) -> int:
        """Return the number of images that have regions."""
        return len(self.items)

    def contents(self) -> list[Any]:
        """The kind of annotation."""
        return [self.name]

    def state_of(self, index: int) -> list[Any]:
        """The image's annotations, with size and time of its file."""
        image, annotations = self.items[index]
        return [image, digest(annotations), stamp(self.images / image["file_name"])]

    def sample(self, index: int) -> Sample:
        """Describe one image and its categories."""
        try:
            return self._sample(index)
        except (KeyError, TypeError) as error:
            name = self.items[index][0]["id"]
            raise InputError(f"image {name} of {shown(self.file)} lacks {error!s:.60}") from None

    @abstractmethod
    def _sample(self, index: int) -> Sample: ...

    @abstractmethod
    def _check(self, annotation: Mapping[str, Any]) -> bool:
        """Whether an annotation has regions; InputError if it is of another kind."""

    @abstractmethod
    def _categories(self, annotations: Sequence[Mapping[str, Any]]) -> set[int]: ...

    def _described(
        self, image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]
    ) -> tuple[str, Path, tuple[str, ...], tuple[str, ...]]:
        numbers = sorted(self._categories(annotations))
        if not self.labels.keys() >= set(numbers):
            raise InputError(f"image {image['id']} of {str(self.file)!r} has an unknown category")
        labels = tuple(self.labels[number] for number in numbers)
        prompts = filled_in(self.template, [readable(label) for label in labels])
        return str(image["id"]), self.images / image["file_name"], labels, prompts


class CocoInstances(Coco):
    """Things as polygons or run lengths, including crowds; needs pycocotools."""

    name = "coco"

    def _index(self, content: Mapping[str, Any]) -> None:
        pycocotools_mask()  # so that a missing package is one error, not one for each sample
        super()._index(content)

    def _check(self, annotation: Mapping[str, Any]) -> bool:
        if "segmentation" not in annotation or "category_id" not in annotation:
            raise InputError(
                f"{str(self.file)!r} has annotations without segmentation and category_id; "
                "give instances_….json"
            )
        return True

    def _categories(self, annotations: Sequence[Mapping[str, Any]]) -> set[int]:
        return {annotation["category_id"] for annotation in annotations}

    def _sample(self, index: int) -> Sample:
        image, annotations = self.items[index]
        size = image["height"], image["width"]

        def masks() -> Mapping[str, Mask]:
            by_label: dict[str, Mask] = {}
            for annotation in annotations:
                label = self.labels[annotation["category_id"]]
                region = decode_region(annotation["segmentation"], *size)
                by_label[label] = by_label[label] | region if label in by_label else region
            return by_label

        return Sample(*self._described(image, annotations), Masks(masks))


class CocoPanoptic(Coco):
    """Things and stuff as coloured segments; black pixels are unlabelled.

    Source: Kirillov et al., CVPR 2019 (arXiv 1801.00868).
    """

    name = "coco-panoptic"

    def __init__(
        self,
        images: str | Path,
        annotations: str | Path,
        segments: str | Path | None = None,
        *,
        template: str = TEMPLATE,
        outside: bool = False,
    ) -> None:
        """Read the annotations.

        Args:
            images: the folder of the images.
            annotations: the JSON file.
            segments: the folder of the PNGs; by default next to the JSON file and with its name.
            template: template of the prompts.
            outside: whether the annotations may name files outside their folders.

        Raises:
            InputError: a file is missing or has another format.
        """
        super().__init__(images, annotations, template=template, outside=outside)
        self.segments = folder_at(
            segments or Path(annotations).with_suffix(""), "the folder of the panoptic PNGs"
        )
        for _, annotated in self.items:
            inside(self.segments, annotated[0]["file_name"], self.file, outside=outside)

    def state_of(self, index: int) -> list[Any]:
        """The image's annotations, with size and time of its two files."""
        segments = self.segments / self.items[index][1][0]["file_name"]
        return [*super().state_of(index), stamp(segments)]

    def _check(self, annotation: Mapping[str, Any]) -> bool:
        if "segments_info" not in annotation:
            raise InputError(
                f"{str(self.file)!r} has annotations without segments_info; give panoptic_….json"
            )
        return bool(annotation["segments_info"])

    def _categories(self, annotations: Sequence[Mapping[str, Any]]) -> set[int]:
        return {s["category_id"] for a in annotations for s in a["segments_info"]}

    def _sample(self, index: int) -> Sample:
        image, annotations = self.items[index]
        annotation = annotations[0]
        file = self.segments / annotation["file_name"]

        def masks() -> Mapping[str, Mask]:
            ids = decode_segments(read_codes(file, "RGB"))
            by_label: dict[str, list[int]] = defaultdict(list)
            for segment in annotation["segments_info"]:
                by_label[self.labels[segment["category_id"]]].append(segment["id"])
            return {label: np.isin(ids, numbers) for label, numbers in by_label.items()}

        return Sample(
            *self._described(image, annotations),
            Masks(masks),
            lambda: decode_segments(read_codes(file, "RGB")) == 0,
        )


def readable(name: str) -> str:
    """Turn a category's name into words.

    Example:
        >>> readable("wall-other-merged"), readable("floor-wood"), readable("stop sign")
        ('wall', 'wood floor', 'stop sign')
    """
    words = re.sub(r"(-other)?(-merged|-stuff)?$", "", name)
    return " ".join(reversed(words.split("-")))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{shown(file)} is not JSON: {error}") from None
    missing = {"images", "annotations", "categories"} - set(map(str, content))
    if missing:
        raise InputError(f"{str(file)!r} has no {', '.join(sorted(missing))}; is it COCO's?")
    return content


def _is_text(name: object) -> bool:
    """Whether a name can be encoded; JSON may contain unpaired surrogates."""
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _open_instances(root: str, outside: bool = False) -> CocoInstances:
    folder = folder_at(root, f"COCO: {SPLIT}/ and annotations/")
    file = folder / "annotations" / f"instances_{SPLIT}.json"
    return CocoInstances(folder / SPLIT, file, outside=outside)


def _open_panoptic(root: str, outside: bool = False) -> CocoPanoptic:
    folder = folder_at(root, f"COCO: {SPLIT}/ and annotations/")
    file = folder / "annotations" / f"panoptic_{SPLIT}.json"
    return CocoPanoptic(folder / SPLIT, file, outside=outside)


KINDS = (
    DatasetKind(
        name="coco",
        title="COCO 2017, instances",
        source="Lin et al., ECCV 2014, arXiv 1405.0312",
        form="FOLDER",
        layout="val2017/ and annotations/instances_val2017.json",
        has_masks=True,
        open=_open_instances,
        names_files=True,
    ),
    DatasetKind(
        name="coco-panoptic",
        title="COCO 2017, panoptic",
        source="Kirillov et al., CVPR 2019, arXiv 1801.00868",
        form="FOLDER",
        layout="val2017/, annotations/panoptic_val2017.json and the PNGs in a folder beside it",
        has_masks=True,
        open=_open_panoptic,
        names_files=True,
    ),
)
