"""Embedding of an image or a prompt, or mean embedding of several images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from whyclip.errors import ImageError, PromptError, quoted
from whyclip.image_files import EXTENSIONS, named_images
from whyclip.matching.encode import encode_images, image_sources, prompt_directions
from whyclip.models import ModelView
from whyclip.types import Check, GeometryName, Precision, Side


@dataclass(frozen=True)
class Source:
    """A mean unit embedding.

    Attributes:
        side: ``"image"`` or ``"text"``.
        label: description in results.
        embedding: ``[e]`` mean of the unit embeddings.
    """

    side: Side
    label: str
    embedding: Tensor


def source_of(
    model: ModelView, given: Any, geometry: GeometryName, precision: Precision, check: Check
) -> Source:
    """Embed an image, a prompt, or several images.

    A string is a prompt unless it names an image, a folder or a pattern of images.

    Raises:
        InputError: the source is none of these.
    """
    if isinstance(given, str) and not given.strip():
        raise PromptError(f"source {quoted(given)} is empty; give an image, a folder or a prompt")
    if isinstance(given, str) and not _names_images(given):
        return Source("text", given, prompt_directions(model, [given], precision, check)[0])
    if isinstance(given, (Image.Image, np.ndarray, Tensor)):
        sources, label = [given], "image"
    elif isinstance(given, (str, os.PathLike)):
        sources, names = image_sources(given)
        alone = len(names) == 1
        label = names[0] if alone else f"mean of {len(names)} images of {Path(given).name}"
    elif isinstance(given, Sequence):
        sources, names = image_sources(given)
        label = f"mean of {len(names)} images"
    else:
        raise ImageError(f"{quoted(given)}: give an image, a prompt, a folder or a list of images")
    rows = encode_images(model, sources, geometry, precision, check)
    return Source("image", label, rows.mean(0))


def _names_images(given: str) -> bool:
    """Whether a string names images.

    Raises:
        ImageError: the string looks like an image or a folder that does not exist.
    """
    if named_images(given) is not None:
        return True
    if Path(given).suffix.lower() in EXTENSIONS and len(given.split()) == 1:
        raise ImageError(f"no such image: {quoted(given)}")
    if given.endswith(("/", os.sep)):
        raise ImageError(f"no such folder: {quoted(given)}")
    return False
