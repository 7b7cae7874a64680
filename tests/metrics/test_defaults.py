"""Published numbers are those of these defaults; who changes one changes the numbers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from PIL import Image

from whyclip.errors import ImageError
from whyclip.metrics.removal import removal_edits
from whyclip.perturbation.fills import as_pixels

DEFAULTS = {"n": 20, "samples": 50, "grid": 14, "fill": "mean", "seed": 0}


def test_the_sets_of_removal_are_those_of_the_published_numbers() -> None:
    parameters = inspect.signature(removal_edits).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert defaults == DEFAULTS
    edits = removal_edits(np.zeros((28, 28, 3), np.uint8), np.ones((28, 28)))
    assert len(edits) == 1 + DEFAULTS["samples"]
    assert edits.amounts.tolist() == [0.0] + [DEFAULTS["n"]] * DEFAULTS["samples"]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=lambda image: f"{image.shape}-{image.dtype}",
)
def test_arrays_that_are_not_rgb_are_refused_by_their_shape(image: np.ndarray) -> None:
    with pytest.raises(ImageError, match="give uint8") as caught:
        removal_edits(image, np.zeros((4, 4)))
    assert str(image.shape) in str(caught.value)


def test_pil_images_of_any_mode_are_read_as_rgb() -> None:
    for mode in ("RGBA", "L", "P", "1", "CMYK"):
        pixels, _ = as_pixels(Image.new(mode, (4, 3)), np.zeros((3, 4)))
        assert pixels.shape == (3, 4, 3)
