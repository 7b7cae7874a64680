"""Explain any number of images in constant memory, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image
from torch import Tensor

from whyclip.ambient import in_plain_state, plain_state
from whyclip.api import Request, by_side, check_request, chosen_variants
from whyclip.batches import IMAGES_AT_ONCE
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.errors import ImageError, quoted, warn
from whyclip.explanation import Explanation
from whyclip.inputs import ImageSource
from whyclip.matching.evidence import (
    ReferenceLike,
    ReferenceScores,
    opened,
    reference_scores,
)
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state, naming_suspects
from whyclip.pipeline import run
from whyclip.preprocessed import Pixels, check_pixels
from whyclip.types import SIDES, Check, GeometryName, Precision, Side
from whyclip.variant import MethodLike, Variant, encode_for

# Keys of preprocessed pixels in data loaders of transformers.
PIXEL_KEYS = ("pixel_values", "pixels")


@in_plain_state
def explain_iter(
    model: ModelView,
    batches: Iterable[Any],
    prompts: Any,
    *,
    method: MethodLike | None = None,
    sides: Sequence[Side] = SIDES,
    against: Any = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
    reference: ReferenceLike | None = None,
    **method_options: Any,
) -> Iterator[Explanation]:
    """Explain many images, one explanation at a time, in constant memory.

    Prompts are encoded once. A batch is read when its first explanation is requested, and it
    is released after its last one. The model must not change in between.

    Args:
        model: as for :func:`whyclip.explain`, like all arguments without a description here.
        batches: images one by one; or batches of them; or preprocessed batches ``[b, 3, H, W]``;
            or a DataLoader's items: a tuple or list whose first element is such a batch, or a
            mapping with ``pixel_values``.
        prompts: the same for all images.
        method: a name, ``Method`` or ``Variant``.
        sides: ``"image"``, ``"text"`` or both.
        against: contrast prompts.
        geometry: how images are prepared.
        precision: of the forward pass.
        check: ``"auto"`` runs at least one image of each batch through the model's public entry
            point.
        reference: from :func:`whyclip.reference`, or its file.
        **method_options: options of the method.

    Returns:
        An iterator of explanations, in the order of the images.

    Raises:
        InputError: an argument is invalid (raised at once), or an image cannot be read (raised when
            its batch is reached).
        ScoreMismatchError: as for :func:`whyclip.explain`.
        UnsupportedModelError: as for :func:`whyclip.explain`.
    """
    check_asked(model, geometry, precision)
    if isinstance(batches, (str, bytes, Path, Image)) or not isinstance(batches, Iterable):
        raise ImageError(
            f"batches is {quoted(batches)} of type {type(batches).__name__}; give a DataLoader, or "
            "a list of images or of batches"
        )
    # Checked with a placeholder, because no image has been read yet.
    request = Request([""], prompts, against, geometry, precision, check, opened(reference))
    checked = check_request(model, request, sides)
    variants = chosen_variants(model, checked, method, method_options)
    with naming_suspects(model):
        encoded = encode_for(
            model, prompts, variants, against=against, precision=precision, check=check
        )
        scores = reference_scores(model, request.reference, encoded, geometry)
    return _each(model, batches, request, variants, encoded, scores)


def _each(
    model: ModelView,
    batches: Iterable[Any],
    request: Request,
    variants: Sequence[Variant],
    encoded: EncodedPrompts,
    scores: ReferenceScores | None,
) -> Iterator[Explanation]:
    warned = False
    for sources in _sources(model, batches, request.geometry):
        # Outside the yield, so that the caller's code runs in the caller's torch state.
        with plain_state("explain_iter"), naming_suspects(model):
            check_state(model)
            results = by_side(
                run(
                    model,
                    sources,
                    encoded,
                    variants,
                    request.geometry,
                    request.precision,
                    request.check,
                    scores,
                )
            )
        notes = [note for result in results for note in result.notes]
        if notes and not warned:
            warn(f"{notes[0]}; this may also apply to later images; see their notes")
            warned = True
        results.reverse()
        while results:
            yield results.pop()


def _sources(
    model: ModelView, batches: Iterable[Any], geometry: GeometryName
) -> Iterator[Sequence[ImageSource]]:
    """Group the user's items into batches."""
    single: list[ImageSource] = []
    for number, batch in enumerate(batches, 1):
        if _is_image(batch):
            single.append(batch)
            if len(single) < IMAGES_AT_ONCE:
                continue
            sources: Sequence[ImageSource] = single
            single = []
            yield sources
            continue
        if single:
            yield single
            single = []
        yield _batch(model, batch, geometry, f"batch #{number}")
    if single:
        yield single


def _batch(
    model: ModelView, batch: Any, geometry: GeometryName, name: str
) -> Sequence[ImageSource]:
    if isinstance(batch, Mapping):
        keys = [key for key in PIXEL_KEYS if key in batch]
        if not keys:
            raise ImageError(
                f"{name} is a mapping with {quoted(list(batch))}; it needs {PIXEL_KEYS[0]!r}"
            )
        batch = batch[keys[0]]
    if isinstance(batch, (list, tuple)) and batch and _is_batch(batch[0]):
        batch = batch[0]
    if isinstance(batch, (Tensor, np.ndarray)):
        try:
            return check_pixels(model, batch, geometry)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from None
    if isinstance(batch, (str, bytes)) or not isinstance(batch, Iterable):
        raise ImageError(
            f"{name} is {quoted(batch)} of type {type(batch).__name__}; give images, or a tensor "
            "[b, 3, height, width]"
        )
    images = list(batch)
    if not images:
        raise ImageError(f"{name} has no image ({quoted(batch)})")
    return images


def _is_image(value: object) -> bool:
    """Whether the value is one image, not a batch."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim < 4
    return isinstance(value, (str, Path, Image))


def _is_batch(value: object) -> bool:
    """Whether the value is a batch with extra items, such as labels."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim == 4
    return isinstance(value, (list, tuple, Pixels))
