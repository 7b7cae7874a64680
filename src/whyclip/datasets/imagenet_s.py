"""ImageNet-S: images of ImageNet with object masks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyclip.datasets.annotation_files import Mask, file_at, folder_at, read_codes, stamp
from whyclip.datasets.dataset import TEMPLATE, Masks, Sample, filled_in
from whyclip.datasets.imagenet import (
    SYNSET,
    SynsetImages,
    images_by_synset,
    synset_folders,
    synset_names,
)
from whyclip.datasets.kind import DatasetKind
from whyclip.datasets.tables import read_text, shown
from whyclip.errors import InputError

OTHER, IGNORED = 0, 1000
SIZES = (50, 300, 919)


def decode_ids(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Convert the colours of a segmentation to class ids.

    ``id = R + 256 G``: 0 is background, 1000 is ignored, and 1 … are the classes in the order of
    their synsets.

    Args:
        pixels: uint8 ``[H, W, 3]``.

    Returns:
        ``[H, W]``.

    Example:
        >>> decode_ids(np.array([[[44, 1, 0], [232, 3, 0]]], np.uint8)).tolist()
        [[300, 1000]]
    """
    codes = pixels.astype(np.int64)
    return codes[..., 0] + 256 * codes[..., 1]


class ImageNetS(SynsetImages):
    """Images with a class, masks and ignored pixels.

    There is a mask for every class in an image's segmentation. The label is the class of its
    folder. Source: Gao et al., TPAMI 2022 (arXiv 2106.03149).
    """

    name = "imagenet-s"

    def __init__(
        self,
        folder: str | Path,
        *,
        split: str = "validation",
        categories: str | Path | None = None,
        template: str = TEMPLATE,
    ) -> None:
        """Read the list of images.

        Args:
            folder: for example ``ImageNetS919``; it contains ``validation/n01440764/….JPEG`` and
                ``validation-segmentation/n01440764/….png``.
            split: the name of those two folders.
            categories: a file with one synset per line, in any order; needed if not all 50, 300 or
                919 classes have a folder, because their sorted order determines the ids.
            template: template of the prompts.

        Raises:
            InputError: folders are missing, or the ids are ambiguous.
        """
        place = folder_at(folder, "ImageNet-S, a folder such as ImageNetS919")
        self.images = folder_at(place / split, f"the folder {split!r} of ImageNet-S")
        self.segmentations = folder_at(
            place / f"{split}-segmentation", f"the segmentations of {split!r}"
        )
        present = synset_folders(self.images)
        synsets = _synsets(present, categories, self.images)
        self.classes = tuple(synsets)
        self.names = tuple(synset_names()[synset] for synset in synsets)
        self.items = images_by_synset(self.images, present)
        if not self.items:
            raise InputError(f"no images below {str(self.images)!r}")
        self.template = template

    def state_of(self, index: int) -> list[Any]:
        """The image's state, with size and time of its segmentation."""
        path, synset = self.items[index]
        segmentation = self.segmentations / synset / f"{path.stem}.png"
        return [*super().state_of(index), stamp(segmentation)]

    def sample(self, index: int) -> Sample:
        """Describe one image, its class and its segmentation."""
        path, synset = self.items[index]
        file = self.segmentations / synset / f"{path.stem}.png"

        def masks() -> Mapping[str, Mask]:
            ids = decode_ids(read_codes(file, "RGB"))
            present = set(np.unique(ids).tolist()) - {OTHER, IGNORED}
            if max(present, default=1) > len(self.classes):
                raise InputError(
                    f"segmentation {str(file)!r} has id {max(present)}, but there are "
                    f"{len(self.classes)} classes; check the list of categories"
                )
            return {self.classes[number - 1]: ids == number for number in sorted(present)}

        return Sample(
            path.stem,
            path,
            (synset,),
            filled_in(self.template, [synset_names()[synset]]),
            Masks(masks),
            lambda: decode_ids(read_codes(file, "RGB")) == IGNORED,
        )


def _synsets(present: list[str], categories: str | Path | None, folder: Path) -> list[str]:
    synsets = present
    if categories is not None:
        file = file_at(categories, "the list of ImageNet-S categories")
        synsets = sorted(read_text(file).split())
    elif len(present) not in SIZES:
        raise InputError(
            f"{len(present)} classes below {str(folder)!r}, not 50, 300 or 919; their ids depend "
            "on all classes: give categories, a file with one synset per line"
        )
    for synset in [*synsets, *(s for s in present if s not in synsets)]:
        if not SYNSET.fullmatch(synset) or synset not in synset_names():
            raise InputError(f"category {shown(synset)} is not one of ImageNet's synsets")
        if synset not in synsets:
            raise InputError(f"folder {synset!r} is not one of the {len(synsets)} categories")
    return synsets


KINDS = (
    DatasetKind(
        name="imagenet-s",
        title="ImageNet-S, validation",
        source="Gao et al., TPAMI 2022, arXiv 2106.03149",
        form="FOLDER",
        layout="ImageNetS919 with validation/ and validation-segmentation/",
        has_masks=True,
        open=ImageNetS,
    ),
)
