"""Unit embeddings of many prompts and many images, by the model's own forward pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.batches import IMAGES_AT_ONCE, batches
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import ImageError, UnsupportedModelError, quoted
from whyclip.forward.run import pass_check, run_tower
from whyclip.forward.targets import Targets
from whyclip.image_files import named_images
from whyclip.models import ModelView
from whyclip.models.state import is_altered
from whyclip.progress import track
from whyclip.types import Check, GeometryName, Precision


def check_text_model(model: ModelView, what: str) -> None:
    """Check that the model has a text encoder.

    Raises:
        UnsupportedModelError: the model is a plain classifier.
    """
    if model.classes is not None:
        raise UnsupportedModelError(
            f"{model.name} is a classifier without a text encoder; {what} needs a model of images "
            "and texts"
        )


def prompt_directions(
    model: ModelView, prompts: Sequence[Any], precision: Precision = "fp32", check: Check = "auto"
) -> Tensor:
    """Embed prompts as unit rows ``[n, e]`` float32 on the CPU.

    Raises:
        PromptError: a prompt cannot be used.
    """
    return (
        encode_prompts(model, list(prompts), precision=precision, check=check)
        .targets()
        .directions.cpu()
    )


def encode_images(
    model: ModelView,
    sources: Sequence[Any],
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
) -> Tensor:
    """Embed images as unit rows ``[m, e]`` float32 on the CPU.

    Raises:
        ImageError: an image cannot be read.
    """
    altered, rows = is_altered(model), []
    nothing = Targets(torch.empty(0, 0))
    at_once = 1 if geometry == "keep" else IMAGES_AT_ONCE
    total = -(-len(sources) // at_once)
    for number, batch in enumerate(track(batches(model, sources, geometry), "encoding", total)):
        how = pass_check(check, altered=altered, first=number == 0)
        seen = run_tower(model.image, batch.pixels, nothing, keep=0, precision=precision, check=how)
        rows.append(F.normalize(seen.embedding.float(), dim=-1).cpu())
    return torch.cat(rows) if rows else torch.empty(0, model.width)


def image_sources(images: Any) -> tuple[list[Any], tuple[str, ...]]:
    """List images and their names.

    Args:
        images: a folder, a pattern such as ``"photos/*.jpg"``, a file, a list of images, or a
            dataset.

    Raises:
        ImageError: there are no images, or the argument has another type.
    """
    if isinstance(images, (str, os.PathLike)):
        files = named_images(os.fspath(images))
        if files is None:
            raise ImageError(f"no image, folder or pattern of images: {quoted(str(images))}")
        return list(files), tuple(Path(file).name for file in files)
    if isinstance(images, Tensor) or not isinstance(images, Iterable):
        raise ImageError(
            f"images {quoted(images)}: give a folder, a pattern, a list of images or a dataset"
        )
    sources, names = [], []
    for number, item in enumerate(images, 1):
        # Samples of a dataset have a name.
        source = getattr(item, "source", item)
        sources.append(source)
        named = isinstance(source, (str, os.PathLike))
        label = Path(source).name if named else getattr(item, "id", f"image {number}")
        names.append(str(label))
    if not sources:
        raise ImageError(f"no image given ({quoted(images)})")
    return sources, tuple(names)
