"""A small batch of fine-tuning, and small models to train on it."""

from __future__ import annotations

import numpy as np
from PIL import Image

import families
import tiny
import whyclip
from whyclip.finetuning.batch import Batch, Example, make_batch
from whyclip.models import ModelView

PATCHES = tiny.GRID[0] * tiny.GRID[1]
PHRASES = [("a red dog", "the tree"), (), ("dog", "car", "a tall house"), ("car",)]
FAMILIES = ("vit", "siglip", "transformers-clip")


def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    made = []
    for number, phrases in enumerate(PHRASES):
        pixels = rng.integers(0, 255, (tiny.IMAGE_SIZE, tiny.IMAGE_SIZE, 3), dtype=np.uint8)
        masks = rng.random((len(phrases), tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)) > 0.7
        hidden = None
        if number in (0, 3):
            hidden = np.zeros((tiny.IMAGE_SIZE, tiny.IMAGE_SIZE), dtype=bool)
            hidden[: tiny.PATCH, : 2 * tiny.PATCH] = True
        caption = "a photo of " + (" and ".join(phrases) or "it")
        image = Image.fromarray(pixels)
        made.append(Example(str(number), image, caption, phrases, tuple(masks), hidden))
    return made


def view_of(name: str = "vit") -> ModelView:
    if name == "vit":
        return whyclip.wrap(*tiny.openclip_parts())
    if name == "siglip":
        return whyclip.wrap(*families.siglip())
    model, processor, tokenizer = tiny.hf_parts()
    return whyclip.wrap(model, processor, tokenizer)


def batch_of(view: ModelView) -> Batch:
    return make_batch(view, examples(), extract=lambda caption: [caption])
