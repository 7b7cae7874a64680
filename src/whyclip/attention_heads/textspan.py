"""TextSpan: describe the heads of an image encoder by texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.batches import batches
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import ImageError, OptionError, PromptError, UnsupportedModelError, quoted
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.image_files import EXTENSIONS
from whyclip.inputs import ImageSource
from whyclip.methods.head_paths import head_vectors
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state
from whyclip.progress import track

# With fewer images, there is no variance to describe.
LEAST = 2


@dataclass(frozen=True)
class HeadTexts:
    """Texts along which a head's output varies.

    Attributes:
        layer: index of the layer, from 0.
        head: index of the head, from 0.
        texts: the texts, in the order in which they were found.
        shares: for each text, the share of the head's variance over the images along it and not
            along earlier texts, 0 to 1.
    """

    layer: int
    head: int
    texts: tuple[str, ...]
    shares: tuple[float, ...]


@in_plain_state
def describe_heads(
    model: ModelView,
    images: str | Path | Sequence[ImageSource],
    texts: Sequence[str],
    *,
    layers: int = 4,
    texts_per_head: int = 5,
    rank: int = 80,
) -> tuple[HeadTexts, ...]:
    """Describe the last layers' heads by the texts along which their outputs vary.

    TextSpan: for each head, the direct contributions to the embeddings of many images are centred.
    Each step takes the text along which they vary most, and removes its direction from
    contributions and texts. Gandelsman et al., ICLR 2024 (arXiv 2310.05916), section 4.1, algorithm
    1. Texts are first projected on the span of the contributions' ``rank`` largest singular
    vectors, as in the authors' code.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        images: a folder, or a list of images in the forms that :func:`whyclip.explain` accepts. The
            authors used several thousand.
        texts: a list of texts, such as general image descriptions. The authors used several
            thousand.
        layers: number of last layers to describe.
        texts_per_head: maximum number of texts for each head.
        rank: maximum number of dimensions of a head's output to use.

    Returns:
        One entry for each head, by layer and head.

    Raises:
        InputError: fewer than two images, no text, or an option out of its range; the image encoder
            is not a sum of its layers.
        UnsupportedModelError: the image encoder exposes no attention, or the model is in training
            mode.
    """
    check_asked(model, "model", "fp32")
    check_state(model)
    tower = model.image
    if tower.opaque:
        raise UnsupportedModelError(f"the image encoder exposes no heads: {tower.opaque}")
    _counts(layers=layers, texts_per_head=texts_per_head, rank=rank)
    if layers > len(tower.blocks):
        raise OptionError(f"layers={layers}: the image encoder has {len(tower.blocks)}")
    sources = _sources(images)
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise PromptError(f"texts={quoted(texts)}: give a list of texts")
    texts = tuple(texts)
    if not texts:
        raise PromptError("texts: the list is empty; give some texts")
    directions = _directions(model, list(texts))
    by_batch = []
    nothing = Targets(torch.empty(0, 0))
    for batch in track(batches(model, sources, "model"), "describing", None):
        forward_pass = run_tower(tower, batch.pixels, nothing, keep=len(tower.blocks))
        by_batch.append(head_vectors(forward_pass)[:, -layers:].cpu())
    outputs = torch.cat(by_batch)
    first = len(tower.blocks) - outputs.shape[1]
    return tuple(
        HeadTexts(first + layer, head, *text_span(vectors, directions, texts, texts_per_head, rank))
        for layer, by_head in enumerate(outputs.unbind(1))
        for head, vectors in enumerate(by_head.unbind(1))
    )


def text_span(
    outputs: Tensor, directions: Tensor, texts: Sequence[str], count: int, rank: int
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Find the texts of one head; see :func:`describe_heads`.

    Args:
        outputs: ``[images, e]`` the head's contributions.
        directions: ``[texts, e]`` unit directions.
        texts: their texts.
        count: maximum number of texts.
        rank: maximum number of dimensions of the outputs to use.

    Returns:
        The texts and the shares of the variance along each.
    """
    outputs, directions = outputs.double(), directions.double()
    _, values, basis = torch.linalg.svd(outputs, full_matrices=False)
    # Not more than the actual rank, because other directions are rounding errors.
    basis = basis[: min(rank, int((values > 1e-6 * values[0]).sum()))]
    directions = directions @ basis.T @ basis
    before = float(outputs.square().sum())
    outputs = outputs - outputs.mean(0)
    whole = float(outputs.square().sum())
    # Outputs of equal images differ only by rounding errors, which texts cannot describe.
    if whole < 1e-10 * before:
        whole = 0.0
    chosen: list[str] = []
    shares: list[float] = []
    while len(chosen) < min(count, len(texts)) and whole > 0:
        lengths = directions.square().sum(-1)
        best = int((outputs @ directions.T).square().sum(0).argmax())
        # The remaining outputs have no component along the remaining texts.
        if float(lengths[best]) < 1e-12:
            break
        unit = directions[best] / lengths[best].sqrt()
        along = outputs @ unit
        chosen.append(texts[best])
        shares.append(float(along.square().sum()) / whole)
        outputs = outputs - along[:, None] * unit
        directions = directions - (directions @ unit)[:, None] * unit
    return tuple(chosen), tuple(shares)


def _counts(**options: Any) -> None:
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise OptionError(f"{name}={quoted(value)}: give a whole number, 1 or more")


def _directions(model: ModelView, texts: list[str]) -> Tensor:
    """Embed the texts as unit directions ``[texts, e]``."""
    return encode_prompts(model, texts).targets().directions.cpu()


def _sources(images: Any) -> list[ImageSource]:
    """Return the images of a folder in the order of their names, or those of a list."""
    if isinstance(images, str | Path):
        folder = Path(images)
        if not folder.is_dir():
            raise ImageError(f"images={quoted(str(images))}: no such folder")
        images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    elif isinstance(images, Tensor) or not isinstance(images, Iterable):
        raise ImageError(f"images={quoted(images)}: give a folder or a list of images")
    # A sample of a dataset has its image as an attribute.
    sources = [getattr(image, "source", image) for image in images]
    if len(sources) < LEAST:
        raise ImageError(
            f"images has {len(sources)}; give two or more, because heads are described by "
            "their variation over images"
        )
    return sources
