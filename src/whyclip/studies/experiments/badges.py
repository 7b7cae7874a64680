"""Scenes in which some concepts carry a badge, a shortcut that identifies the concept.

The badge is pasted into the finished image, so that the scene with and without its badge differs
only in the badge's pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from whyclip.finetuning.batch import Batch
from whyclip.finetuning.scene_table import CONCEPTS, SIDE, SceneTable, normalised

GROUP = tuple(range(0, CONCEPTS, 4))
"""Numbers of the concepts that carry a badge: every fourth of the 32."""

SIZE = 14
"""Height and width of a badge in pixels, a little less than a patch of the small model."""

WORN = 0.95
"""Share of the training scenes with a concept of the group that show its badge."""

# One per concept of the group; distinct from each other and from the colours of objects.
_COLOURS = (
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 0),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (0, 0, 0),
    (255, 128, 0),
)
_TRIES = 128
# Objects fade out at their edges, beyond the box of their visible pixels.
_MARGIN = 2


@lru_cache
def symbols(device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Draw the badges: discs of one colour each with a white cross.

    Returns:
        uint8 ``[8, SIZE, SIZE, 3]`` and bool ``[SIZE, SIZE]``, the pixels of the disc.
    """
    away = torch.arange(SIZE) - (SIZE - 1) / 2
    radius = (away[:, None].square() + away[None].square()).sqrt()
    cross = ((away.abs()[:, None] < 1) | (away.abs()[None] < 1)) & (radius < SIZE / 2 - 2)
    colours = torch.tensor(_COLOURS, dtype=torch.uint8)[:, None, None]
    white = torch.tensor(255, dtype=torch.uint8)
    drawn = torch.where(cross[..., None], white, colours)
    return drawn.to(device), (radius <= SIZE / 2).to(device)


@dataclass(frozen=True)
class BadgedScenes:
    """Scenes with the position of each badge.

    Attributes:
        table: the scenes without badges.
        badge: ``[n]`` index of the badge's concept in ``GROUP``; -1 in scenes without a concept of
            the group.
        corner: ``[n, 2]`` top and left of the badge in pixels.
        usable: bool ``[n]``; False for a scene with a concept of the group but no free position.
        worn: bool ``[n]``, whether the scene shows its badge in training.
        patch: side of a patch in pixels.
    """

    table: SceneTable
    badge: Tensor
    corner: Tensor
    usable: Tensor
    worn: Tensor
    patch: int

    @property
    def carriers(self) -> Tensor:
        """Numbers of the scenes that can show a badge."""
        return (self.usable & (self.badge >= 0)).nonzero()[:, 0]

    @property
    def others(self) -> Tensor:
        """Numbers of the scenes without a concept of the group."""
        return (self.badge < 0).nonzero()[:, 0]

    def render(self, rows: Tensor, shown: Tensor) -> Tensor:
        """Draw scenes with or without their badges: uint8 ``[b, 3, SIDE, SIDE]``.

        Args:
            rows: ``[b]`` numbers of scenes.
            shown: bool ``[b]``, whether to show the badge; ignored for scenes without one.
        """
        images = self.table.images[rows]
        badge = torch.where(shown, self.badge[rows], -1)
        return paste_badges(images, badge, self.corner[rows])

    def touched(self, rows: Tensor) -> Tensor:
        """Whether the badge touches each patch: bool ``[b, patches]``."""
        disc = symbols(rows.device)[1]
        image, y, x = badge_window(self.corner[rows])
        canvas = torch.zeros(len(rows), SIDE, SIDE, device=rows.device)
        canvas[image, y, x] = (disc & (self.badge[rows] >= 0)[:, None, None]).float()
        pooled = torch.nn.functional.max_pool2d(canvas[:, None], self.patch)
        return pooled.flatten(1) > 0

    def batch(self, rows: Tensor, shown: Tensor, marked: Tensor) -> Batch:
        """Make a training batch of images and captions, without phrases.

        Args:
            rows: ``[b]`` numbers of scenes.
            shown: bool ``[b]``, whether the scene shows its badge.
            marked: bool ``[b]``, whether the scene's badge is marked by a user.
        """
        table, empty = self.table, rows[:0]
        return Batch(
            pixels=normalised(self.render(rows, shown)),
            captions=table.caption_ids[rows],
            phrases=table.phrase_ids[empty],
            words=table.words[empty],
            pairs=empty.new_zeros(0, 2),
            hidden=self.touched(rows) & (shown & marked)[:, None],
        )


def paste_badges(images: Tensor, badge: Tensor, corner: Tensor) -> Tensor:
    """Paste badges into images, in place.

    Args:
        images: uint8 ``[b, 3, H, W]``.
        badge: ``[b]`` number of the badge; -1 for none.
        corner: ``[b, 2]`` its top and left in pixels.
    """
    colours, disc = symbols(images.device)
    image, y, x = badge_window(corner)
    visible = disc & (badge >= 0)[:, None, None]
    drawn = colours[badge.clamp_min(0)]
    images[image, :, y, x] = torch.where(visible[..., None], drawn, images[image, :, y, x])
    return images


def badge_window(corner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of each badge's pixels: image, row and column, ``[b, SIZE, SIZE]`` when broadcast."""
    span = torch.arange(SIZE, device=corner.device)
    image = torch.arange(len(corner), device=corner.device)[:, None, None]
    top, left = corner.T
    return image, top[:, None, None] + span[:, None], left[:, None, None] + span


def place_badges(table: SceneTable, patch: int, seed: int) -> BadgedScenes:
    """Choose the concept and the position of each scene's badge.

    The position is random, outside of the boxes of all objects.

    Args:
        table: scenes; random numbers are drawn on the CPU and do not depend on the device.
        patch: side of a patch in pixels.
        seed: random seed of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    n, device = len(table), table.images.device
    concepts, boxes = table.concepts.cpu(), table.boxes.cpu()
    group = torch.isin(concepts, torch.tensor(GROUP))
    order = torch.rand(group.shape, generator=generator).masked_fill(~group, -1)
    concept = concepts.gather(1, order.argmax(1, keepdim=True))[:, 0]
    number = torch.full((CONCEPTS,), -1)
    number[list(GROUP)] = torch.arange(len(GROUP))
    badge = torch.where(group.any(1), number[concept], -1)
    corner, free = free_places(boxes, SIZE, SIZE, generator)
    usable = (badge < 0) | free
    worn = (torch.rand(n, generator=generator) < WORN) & usable & (badge >= 0)
    return BadgedScenes(
        table, badge.to(device), corner.to(device), usable.to(device), worn.to(device), patch
    )


def free_places(
    boxes: Tensor, height: int, width: Tensor | int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose a random position for a rectangle outside of the boxes ``[n, k, 4]`` of all objects.

    Args:
        boxes: left, top, right and bottom in pixels.
        height: height of the rectangle.
        width: width of the rectangle; ``[n]`` if it differs between images.
        generator: random generator of the candidate positions.

    Returns:
        ``[n, 2]`` top and left, and bool ``[n]``, whether a free position was found.
    """
    n = len(boxes)
    if isinstance(width, int):
        places = torch.randint(SIDE - height + 1, (n, _TRIES, 2), generator=generator)
    else:
        room = torch.stack([torch.full_like(width, SIDE - height + 1), SIDE - width + 1], -1)
        places = (torch.rand(n, _TRIES, 2, generator=generator) * room[:, None]).long()
        width = width[:, None, None]
    left, top, right, bottom = boxes[:, None].unbind(-1)
    y, x = places[..., None].unbind(-2)
    across = (x < right + _MARGIN) & (x + width > left - _MARGIN)
    down = (y < bottom + _MARGIN) & (y + height > top - _MARGIN)
    free = ~(across & down & (right > left)).any(-1)
    return places[torch.arange(n), free.int().argmax(1)], free.any(1)
