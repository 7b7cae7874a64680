"""Synthetic scenes as tensors, drawn once for many short training runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from whyclip.finetuning.batch import Batch, token_ids, word_hashes
from whyclip.models import ModelView
from whyclip.progress import track
from whyclip.scenes.captions import Writer, phrase
from whyclip.scenes.drawing import COLOURS, draw
from whyclip.scenes.layout import Layout, Split, keys_of, sample_layouts
from whyclip.scenes.sprites import load_atlas

SIDE = 112
CONCEPTS = 32
PHRASE_TEMPLATE = "a photo of {}"
_DRAWN_AT_ONCE = 256
_SLOTS = 4


@dataclass(frozen=True)
class SceneTable:
    """Scenes with their captions, and the objects that each caption names.

    Attributes:
        images: ``[n, 3, SIDE, SIDE]`` uint8.
        shares: ``[n, 4, patches]`` float16, the share of each patch that each object covers.
        boxes: ``[n, 4, 4]`` left, top, right, bottom in pixels; zeros if nothing is visible.
        concepts: ``[n, 4]`` index of each object's class; -1 if there is no object.
        captions: n sentences.
        caption_ids: ``[n, t]`` their token ids.
        phrases: the p distinct phrases of the captions.
        phrase_ids: ``[p, t]`` token ids of the phrases in their template.
        words: ``[p, 8]`` hashes of each phrase's words.
        named: ``[n, 4]`` row of each object's phrase; -1 if the caption does not name it.
    """

    images: Tensor
    shares: Tensor
    boxes: Tensor
    concepts: Tensor
    captions: tuple[str, ...]
    caption_ids: Tensor
    phrases: tuple[str, ...]
    phrase_ids: Tensor
    words: Tensor
    named: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> SceneTable:
        """Copy all tensors to a device."""
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def pixels(self, rows: Tensor) -> Tensor:
        """Normalise images like the small model's preprocessing: ``[b, 3, SIDE, SIDE]``."""
        return normalised(self.images[rows])

    def batch(self, rows: Tensor) -> Batch:
        """Build the batch of a training step from scenes by index ``[b]``."""
        named = self.named[rows]
        image, slot = (named >= 0).nonzero(as_tuple=True)
        distinct, phrase_row = named[image, slot].unique(return_inverse=True)
        return Batch(
            pixels=self.pixels(rows),
            captions=self.caption_ids[rows],
            phrases=self.phrase_ids[distinct],
            words=self.words[distinct],
            pairs=torch.stack([image, phrase_row], 1),
            true_maps=self.shares[rows][image, slot].float(),
        )


def normalised(images: Tensor) -> Tensor:
    """Normalise uint8 images like the small model's preprocessing, to between -1 and 1."""
    return images.float().div_(127.5).sub_(1)


def draw_table(
    view: ModelView,
    n: int,
    *,
    split: Split,
    seed: int = 0,
    objects: tuple[int, int] = (1, _SLOTS),
    concepts: int = CONCEPTS,
    edit: Callable[[Layout], Layout] | None = None,
    device: torch.device | str = "cpu",
) -> SceneTable:
    """Draw scenes with up to four objects, and tokenise their captions.

    Args:
        view: the model whose tokenizer and patches are used.
        n: number of scenes.
        split: splits share no scene.
        seed: of the scenes.
        objects: minimum and maximum number of objects in a scene, 1 to 4.
        concepts: number of object classes; the first ones of the atlas are used.
        edit: function that changes the layouts before they are drawn; captions describe its result.
        device: device of the drawing and of the tensors; pixels differ by rounding.
    """
    atlas, patch = load_atlas(), view.image.patch
    keys = keys_of(np.arange(n) + seed * 10**6, split)
    starts = range(0, n, _DRAWN_AT_ONCE)
    # One preallocated tensor: large tables take gigabytes, and concatenation would need twice that.
    images = torch.empty(n, 3, SIDE, SIDE, dtype=torch.uint8, device=device)
    shares, boxes, layouts = [], [], []
    for start in track(starts, "drawing scenes", len(starts)):
        layout = sample_layouts(
            atlas,
            keys[start : start + _DRAWN_AT_ONCE],
            side=SIDE,
            objects=objects,
            concepts=concepts,
        )
        layout = layout if edit is None else edit(layout)
        pixels, masks = draw(atlas, layout, SIDE, SIDE, masks=True, device=device)
        visible = cast(Tensor, masks)
        images[start : start + len(pixels)] = (pixels * 255).round().byte()
        shares.append(torch.nn.functional.avg_pool2d(visible.float(), patch).flatten(2).half())
        boxes.append(boxes_of(visible))
        layouts.append(layout)
    captions, phrases_of = _captions(layouts)
    phrases = tuple(sorted({text for row in phrases_of for text in row if text}))
    number = {text: row for row, text in enumerate(phrases)}
    drawn = np.concatenate([layout.concept for layout in layouts])
    return SceneTable(
        images=images,
        shares=torch.cat(shares),
        boxes=torch.cat(boxes),
        concepts=torch.from_numpy(drawn),
        captions=captions,
        caption_ids=token_ids(view, captions),
        phrases=phrases,
        phrase_ids=token_ids(view, [PHRASE_TEMPLATE.format(text) for text in phrases]),
        words=torch.tensor([word_hashes(text) for text in phrases]),
        named=torch.tensor([[number[text] if text else -1 for text in row] for row in phrases_of]),
    ).to(device)


def _captions(layouts: list[Layout]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Write each scene's caption, and the phrase of each of its objects that it names."""
    atlas = load_atlas()
    writer, colours = Writer(atlas), tuple(COLOURS)
    captions, phrases = [], []
    for layout in layouts:
        for row in range(len(layout)):
            caption, claim = writer.caption(layout, row)
            named = {
                concept: phrase(atlas.names[concept], colours[colour] if colour >= 0 else None)
                for concept, colour in claim.objects
            }
            captions.append(caption)
            phrases.append([named.get(int(concept), "") for concept in layout.concept[row]])
    return tuple(captions), phrases


def boxes_of(masks: Tensor) -> Tensor:
    """Bounding boxes of masks ``[b, k, h, w]``: ``[b, k, 4]``, right and bottom exclusive."""
    edges = []
    for axis in (2, 3):
        line = masks.any(axis)
        size = line.shape[-1]
        first = line.int().argmax(-1)
        last = size - line.flip(-1).int().argmax(-1)
        there = line.any(-1)
        edges.append((torch.where(there, first, 0), torch.where(there, last, 0)))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], -1)
