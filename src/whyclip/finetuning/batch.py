"""Input of one training step: examples, and the tensors made from them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyclip.errors import InputError
from whyclip.inputs.pieces import ids_of
from whyclip.models import ModelView, model_inputs
from whyclip.types import Geometry

Mask = np.ndarray

TEMPLATE = "This is a photo of the {}."
PHRASES_PER_CAPTION = 5
WORDS_PER_PHRASE = 8
# Words that do not distinguish two phrases.
_FUNCTION_WORDS = frozenset(
    ["a", "an", "the", "this", "that", "these", "those", "some", "of", "in", "on", "with", "and"]
)


@dataclass(frozen=True)
class Example:
    """One image with its caption.

    Attributes:
        id: identifies the example within its data.
        image: upright RGB image.
        caption: text that describes it.
        phrases: phrases of the caption; None to extract them from it.
        phrase_masks: bool ``[H, W]`` for each phrase, the pixels it describes.
        hidden: bool ``[H, W]``, the pixels the model must not use; None for an unmarked image.
    """

    id: str
    image: Image.Image
    caption: str
    phrases: tuple[str, ...] | None = None
    phrase_masks: tuple[Mask, ...] | None = None
    hidden: Mask | None = None


@dataclass(frozen=True)
class Batch:
    """The tensors of one step in one process, for b images, p phrases and m pairs.

    Attributes:
        pixels: ``[b, 3, H, W]``, preprocessed.
        captions: ``[b, t]`` token ids.
        phrases: ``[p, t]`` token ids of the distinct phrases, in their template.
        words: ``[p, 8]`` int64 hash of each phrase's words, 0 for padding.
        pairs: ``[m, 2]`` row of an image and row of a phrase of its caption.
        true_maps: ``[m, gh·gw]``, 0 to 1, the share of each patch that the true mask covers;
            None if the data has no masks.
        hidden: bool ``[b, gh·gw]``, patches that the user marked; None if there are none.
    """

    pixels: Tensor
    captions: Tensor
    phrases: Tensor
    words: Tensor
    pairs: Tensor
    true_maps: Tensor | None = None
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device | str) -> Batch:
        """Copy all tensors to a device."""
        present = ((field.name, getattr(self, field.name)) for field in fields(self))
        return replace(
            self,
            **{name: value.to(device) for name, value in present if value is not None},
        )


def make_batch(
    view: ModelView,
    examples: Sequence[Example],
    *,
    extract: Callable[[str], Sequence[str]],
    template: str = TEMPLATE,
    limit: int = PHRASES_PER_CAPTION,
) -> Batch:
    """Preprocess and tokenise examples.

    Args:
        view: the model whose preprocessing and tokenizer are used.
        examples: at least one.
        extract: extracts phrases from a caption, for examples without given phrases.
        template: sentence that contains the phrase, with ``{}`` in its place.
        limit: maximum number of phrases per caption.

    Raises:
        InputError: the template has no ``{}``, or a mask does not have the size of its image.
    """
    if "{}" not in template:
        raise InputError(f"template {template!r} has no {{}} for the phrase")
    if not examples:
        raise InputError("a batch needs at least one example, got none")
    inputs = model_inputs(view, [example.image for example in examples])
    pixels = torch.stack([tensor for tensor, _ in inputs])
    grid = (pixels.shape[-2] // view.image.patch, pixels.shape[-1] // view.image.patch)
    rows: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    true_maps: list[Tensor] = []
    hidden = torch.zeros(len(examples), grid[0] * grid[1], dtype=torch.bool)
    for number, (example, (_, geometry)) in enumerate(zip(examples, inputs, strict=True)):
        given = extract(example.caption) if example.phrases is None else example.phrases
        for place, phrase in enumerate(list(given)[:limit]):
            pairs.append((number, rows.setdefault(phrase.strip().lower(), len(rows))))
            if example.phrase_masks is not None:
                mask = example.phrase_masks[place]
                true_maps.append(patch_shares(mask, example, geometry, grid))
        if example.hidden is not None:
            hidden[number] = patch_shares(example.hidden, example, geometry, grid) > 0
    marked = any(example.hidden is not None for example in examples)
    masks_known = bool(pairs) and len(true_maps) == len(pairs)
    return Batch(
        pixels=pixels,
        captions=token_ids(view, [example.caption for example in examples]),
        phrases=token_ids(view, [template.replace("{}", phrase) for phrase in rows]),
        words=torch.tensor([word_hashes(phrase) for phrase in rows], dtype=torch.int64).reshape(
            -1, WORDS_PER_PHRASE
        ),
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        true_maps=torch.stack(true_maps) if masks_known else None,
        hidden=hidden if marked else None,
    )


def token_ids(view: ModelView, texts: Sequence[str]) -> Tensor:
    """Tokenise texts with the model's own tokenizer: ``[n, context]`` int64."""
    if not texts:
        return torch.zeros(0, view.text.context, dtype=torch.int64)
    return ids_of(view.tokenizer, list(texts), view.text.context).long()


def patch_shares(mask: Mask, example: Example, geometry: Geometry, grid: tuple[int, int]) -> Tensor:
    """Measure how much of each patch a mask of the image covers.

    Args:
        mask: bool ``[H, W]`` in pixels of the image.
        example: the image that it belongs to.
        geometry: rectangle of the image that the grid covers.
        grid: rows and columns of patches.

    Returns:
        ``[gh·gw]``, 0 to 1, row by row.

    Raises:
        InputError: the mask does not have the size of its image.
    """
    width, height = example.image.size
    if mask.shape != (height, width):
        size = "x".join(map(str, mask.shape[::-1]))
        raise InputError(
            f"{example.id}: a mask has {size} pixels and its image {width}x{height}; "
            "give a mask of the same size"
        )
    box = geometry.box
    # Pillow resizes only pixels inside the image, but a padded input extends beyond it.
    left, top = max(0, math.ceil(-box.left)), max(0, math.ceil(-box.top))
    right = max(0, math.ceil(box.right - width))
    bottom = max(0, math.ceil(box.bottom - height))
    padded = np.pad(mask.astype(np.float32), ((top, bottom), (left, right)))
    window = (box.left + left, box.top + top, box.right + left, box.bottom + top)
    shares = Image.fromarray(padded).resize(grid[::-1], Image.Resampling.BOX, box=window)
    return torch.from_numpy(np.array(shares)).flatten()


def word_hashes(phrase: str) -> list[int]:
    """Hash the distinguishing words of a phrase, padded with zeros to ``WORDS_PER_PHRASE``.

    The hashes are the same in every process, so that phrases can be compared across processes.
    """
    words = sorted(set(phrase.lower().split()))
    telling = [word for word in words if word not in _FUNCTION_WORDS] or words
    numbers = [
        int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") >> 1 or 1
        for word in telling[:WORDS_PER_PHRASE]
    ]
    return numbers + [0] * (WORDS_PER_PHRASE - len(numbers))
