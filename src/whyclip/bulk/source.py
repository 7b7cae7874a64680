"""A source of images in a fixed order, listed without decoding any image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import ImageError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Item:
    """One image of a source, not yet read.

    Attributes:
        number: position in the source, from 0.
        id: name of the image: path in the folder, path or number of its row, or key in a tar.
        image: input of `Source.load`; None if there is a `fault`.
        prompts: prompts of this image; None if all images share the prompts.
        fault: one line about why the image or its prompts cannot be used; empty if they can.
        box: left, top, right, bottom of an annotated object in pixels, or None.
    """

    number: int
    id: str
    image: Any
    prompts: tuple[str, ...] | None = None
    fault: str = ""
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Loaded:
    """Content of one item, read in a worker process.

    Attributes:
        image: image for `whyclip.explain`.
        prompts: the image's prompts, or None.
        masks: for each of these prompts, the pixels of its object or None; empty without prompts.
        mask: the pixels of an object that all prompts share, or None.
    """

    image: Path | Image.Image
    prompts: tuple[str, ...] | None = None
    masks: tuple[Mask | None, ...] = field(default=())


class Source(ABC):
    """Images in a fixed order.

    Attributes:
        name: as the user wrote it.
        length: number of images; None if it is unknown before the source is read.
    """

    name: str
    length: int | None = None

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """List the images in order, numbered from 0."""

    @abstractmethod
    def contents(self) -> str:
        """Digest that changes if images are added, removed, renamed or reordered."""

    def load(self, item: Item) -> Loaded:
        """Open one image; it runs in a worker process.

        Raises:
            InputError: it cannot be opened.
        """
        return Loaded(load_image(item.image), item.prompts)


@dataclass(frozen=True)
class Part:
    """Consecutive items, explained together and written to one file.

    Attributes:
        number: of the part, from 0.
        items: at least one.
    """

    number: int
    items: tuple[Item, ...]


def parts_of(source: Source, size: int, limit: int | None = None) -> Iterator[Part]:
    """Cut a source into parts of ``size`` items, the last one shorter."""
    items = islice(source.items(), limit)
    number = 0
    while part := tuple(islice(items, size)):
        yield Part(number, part)
        number += 1


def load_image(image: Any) -> Path | Image.Image:
    """Open an item's image: a path, encoded bytes, a part of a file, or a remote file.

    Raises:
        ImageError: it is missing or not an image.
    """
    if isinstance(image, (Path, Image.Image)):
        return image
    content = image if isinstance(image, bytes) else image.read()
    return decoded(content)


def decoded(content: bytes) -> Image.Image:
    """Open encoded bytes.

    Raises:
        ImageError: they are not an image.
    """
    from io import BytesIO

    if not content:
        raise ImageError("the image is empty (0 bytes)")
    try:
        return Image.open(BytesIO(content))
    except Exception:  # noqa: BLE001 - a decoder may raise anything on a damaged file
        raise ImageError(f"{len(content)} bytes that Pillow cannot read as an image") from None
