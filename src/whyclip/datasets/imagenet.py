"""ImageNet's validation images, in folders by synset or in one folder with a list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from whyclip.datasets.annotation_files import file_at, folder_at, stamp
from whyclip.datasets.dataset import TEMPLATE, Dataset, Sample, filled_in
from whyclip.datasets.kind import DatasetKind
from whyclip.datasets.tables import inside, read_table, read_text, shown
from whyclip.errors import InputError

SYNSET = re.compile(r"n\d{8}")
ENDINGS = {".jpeg", ".jpg", ".png"}
LISTS = ("val.txt", "LOC_val_solution.csv")


@lru_cache(maxsize=1)
def synset_names() -> Mapping[str, str]:
    """The 1000 synsets in class order, with the names used by OpenAI's CLIP.

    The names "missile" and "sunglasses" each belong to two synsets.

    Example:
        >>> synset_names()["n01440764"]
        'tench'
    """
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    return dict(zip(ImageNetInfo("imagenet-1k").label_names(), IMAGENET_CLASSNAMES, strict=True))


def imagenet_prompts(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Fill OpenAI's 80 ImageNet templates with each name.

    Source: Radford et al., ICML 2021 (arXiv 2103.00020), section 3.1.4, as in OpenCLIP.
    """
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    return tuple(tuple(fill(name) for fill in OPENAI_IMAGENET_TEMPLATES) for name in names)


def images_by_synset(folder: Path, synsets: Sequence[str]) -> list[tuple[Path, str]]:
    """List the images of each synset's folder, sorted by name within it."""
    return [
        (path, synset)
        for synset in synsets
        for path in sorted((folder / synset).iterdir())
        if path.suffix.lower() in ENDINGS
    ]


def synset_folders(folder: Path) -> list[str]:
    """List the synsets with a folder, sorted, in class order."""
    return sorted(p.name for p in folder.iterdir() if SYNSET.fullmatch(p.name) and p.is_dir())


class SynsetImages(Dataset):
    """Images with one synset each, listed by ``items``."""

    items: list[tuple[Path, str]]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def state_of(self, index: int) -> list[Any]:
        """The image's name and class, with size and time of its file."""
        path, synset = self.items[index]
        return [path.name, synset, stamp(path)]

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        """Each class in OpenAI's 80 templates, whatever the template of the prompts."""
        return imagenet_prompts(self.names)


class ImageNet(SynsetImages):
    """Images with one of 1000 classes each, their synsets; no masks.

    Source: Russakovsky et al., IJCV 2015 (arXiv 1409.0575).
    """

    name = "imagenet"

    def __init__(
        self,
        folder: str | Path,
        *,
        labels: str | Path | None = None,
        template: str = TEMPLATE,
        outside: bool = False,
    ) -> None:
        """Read the list of images.

        Args:
            folder: contains folders ``n01440764`` … of images, or the images themselves.
            labels: list of classes for a folder of images: lines
                ``ILSVRC2012_val_00000001.JPEG 65`` with the class (0 to 999 in the order of the
                synsets) or the synset, or a CSV file ``ImageId,PredictionString``. By default
                ``val.txt`` or ``LOC_val_solution.csv`` in the folder or its parent.
            template: template of the prompts.
            outside: whether the list may name files outside the folder.

        Raises:
            InputError: there are no images, or the list cannot be used.
        """
        place = folder_at(folder, "the folder of ImageNet's validation images")
        synsets = synset_folders(place)
        if labels is None and not synsets:
            labels = _list_near(place)
        if labels is None:
            self.items = images_by_synset(place, _known(synsets))
        else:
            file = file_at(labels, "the list of validation images and classes")
            self.items = [
                (_image(place, name, file, outside), synset) for name, synset in _read_list(file)
            ]
        if not self.items:
            raise InputError(f"no images below {str(folder)!r}; known extensions: .JPEG .jpg .png")
        self.template = template
        self.classes, self.names = tuple(synset_names()), tuple(synset_names().values())

    def sample(self, index: int) -> Sample:
        """Describe one image and its class."""
        path, synset = self.items[index]
        prompts = filled_in(self.template, [synset_names()[synset]])
        return Sample(path.stem, path, (synset,), prompts)


def _known(synsets: Sequence[str]) -> Sequence[str]:
    strange = [synset for synset in synsets if synset not in synset_names()]
    if strange:
        raise InputError(f"folder {strange[0]!r} is not one of ImageNet's 1000 synsets")
    return synsets


def _list_near(folder: Path) -> Path:
    for place in (folder, folder.parent):
        for name in LISTS:
            if (place / name).is_file():
                return place / name
    raise InputError(
        f"folder {str(folder)!r} has no folders n01440764 …, and neither it nor the folder above "
        f"has {' or '.join(LISTS)}; give the list of classes"
    )


def _read_list(file: Path) -> list[tuple[str, str]]:
    if file.suffix == ".csv":
        rows = [row for _, row in read_table(file)[1]]
        cells = [[r.get("ImageId", ""), *r.get("PredictionString", "").split()[:1]] for r in rows]
    else:
        cells = [line.split() for line in read_text(file).splitlines() if line.strip()]
    return [_entry(row, file, number) for number, row in enumerate(cells, 1)]


def _entry(row: Sequence[str], file: Path, number: int) -> tuple[str, str]:
    synsets = synset_names()
    if len(row) == 2:
        name, label = row
        if label in synsets:
            return name, label
        if label.isdecimal() and int(label) < len(synsets):
            return name, list(synsets)[int(label)]
    # The development kit numbers its classes 1 to 1000 in another order.
    raise InputError(
        f"{file.name!r}, entry {number}: {shown(' '.join(row))}; give an image and its class, "
        "0 to 999 in the order of the synsets or as a synset (not the development kit's "
        "numbers)"
    )


def _image(folder: Path, name: str, table: Path, outside: bool) -> Path:
    named = name if Path(name).suffix else f"{name}.JPEG"
    return inside(folder, named, table, outside=outside)


KINDS = (
    DatasetKind(
        name="imagenet",
        title="ImageNet, validation",
        source="Russakovsky et al., IJCV 2015, arXiv 1409.0575",
        form="FOLDER",
        layout="folders n01440764 … of images; or images, with val.txt or LOC_val_solution.csv",
        has_masks=False,
        open=ImageNet,
        names_files=True,
    ),
)
