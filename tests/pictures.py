"""A dataset in memory, of noise: what is true of it is decided here, not by whyclip."""

from __future__ import annotations

import numpy as np
from PIL import Image

from whyclip.datasets import Dataset, Sample

CLASSES = ("dog", "cat", "red car", "apple", "tree", "boat")


class Pictures(Dataset):
    """Five pictures of 48 by 40 pixels, with two labels each but for the last; one of them has
    an open part, one no mask."""

    name = "pictures"

    def __init__(self, templates: tuple[str, ...] = ("a photo of a {}.",)) -> None:
        self.classes = self.names = CLASSES
        self.templates = templates
        self.looked_at: list[int] = []

    def __len__(self) -> int:
        return 5

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(t.format(name) for t in self.templates) for name in self.names)

    def sample(self, index: int) -> Sample:
        self.looked_at.append(index)
        rng = np.random.default_rng(index)
        noise = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        labels = tuple(rng.choice(CLASSES, 2 if index < 4 else 1, replace=False).tolist())
        masks = {}
        for label in labels:
            mask = np.zeros((40, 48), dtype=bool)
            top, left = rng.integers(0, 20, 2)
            mask[top : top + 17, left : left + 19] = True
            masks[label] = mask
        open_part = np.zeros((40, 48), dtype=bool)
        open_part[10:14] = True
        return Sample(
            f"picture {index}",
            Image.fromarray(noise),
            labels,
            tuple(f"one big {label}, seen twice" for label in labels),
            None if index == 3 else masks,
            (lambda: open_part) if index == 1 else None,
        )
