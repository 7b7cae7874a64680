"""Dataset with large images downscaled, as in one released evaluation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PIL import Image

from whyclip.datasets import Dataset
from whyclip.datasets.dataset import Sample


class Resized(Dataset):
    """Samples with images of a maximum short side; downscaled images lose their masks."""

    name = "shrunk"

    def __init__(self, dataset: Dataset, short_side: int) -> None:
        """Wrap a dataset; ``short_side`` in pixels."""
        self.dataset, self.short_side = dataset, short_side
        self.classes, self.names = dataset.classes, dataset.names

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def sample(self, index: int) -> Sample:
        """Return a sample, with its image downscaled if its short side is too long."""
        sample = self.dataset[index]
        image = sample.image
        if min(image.size) <= self.short_side:
            return sample
        return replace(
            sample,
            source=shrink(image, self.short_side),
            masks=None,
            open_parts=None,
            interventions=None,
        )

    def has_interventions(self) -> bool:
        """Whether the dataset's samples can be drawn with one change."""
        return self.dataset.has_interventions()

    def contents(self) -> Any:
        """Return the dataset's contents and the short side."""
        return [self.dataset.contents(), self.short_side]

    def state_of(self, index: int) -> Any:
        """Return the dataset's state of a sample."""
        return self.dataset.state_of(index)

    def prompt_of(self, label: str) -> str:
        """Return the dataset's prompt of a class."""
        return self.dataset.prompt_of(label)

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        """The prompts of the dataset's classes."""
        return self.dataset.class_prompts


def shrink(image: Image.Image, short_side: int) -> Image.Image:
    """Downscale an image to a given short side, keeping its aspect ratio.

    Example:
        >>> shrink(Image.new("RGB", (1600, 1200)), 600).size
        (800, 600)
    """
    width, height = image.size
    scale = short_side / min(width, height)
    size = (round(width * scale), round(height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)
