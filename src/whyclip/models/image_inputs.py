"""Images as model input, prepared and checked."""

from __future__ import annotations

from collections.abc import Sequence

from PIL.Image import Image
from torch import Tensor

from whyclip.errors import UnsupportedModelError
from whyclip.inputs import prepare
from whyclip.models.view import ModelView
from whyclip.types import Geometry, GeometryName


def model_inputs(
    view: ModelView, images: Sequence[Image], geometry: GeometryName = "model"
) -> list[tuple[Tensor, Geometry]]:
    """Prepare images for a model.

    Args:
        view: the model.
        images: upright RGB images.
        geometry: as in :func:`~whyclip.inputs.prepare`.

    Returns:
        For each image, its input ``[3, H, W]`` and the position of the grid on it.

    Raises:
        UnsupportedModelError: the preprocessing gives a size that the model does not accept, or
            cannot be reproduced.
    """
    tower = view.image
    inputs = prepare(images, view.preprocess, geometry, patch=tower.patch, native=tower.native_grid)
    if geometry == "model":
        for pixels, _ in inputs:
            _check_size(view, pixels)
    return inputs


def _check_size(view: ModelView, pixels: Tensor) -> None:
    tower, size = view.image, tuple(map(int, pixels.shape[-2:]))
    grid = tuple(side // tower.patch for side in size)
    # An encoder without a declared size takes any with the same number of whole patches.
    fits = grid == tower.native_grid if tower.native_size is None else size == tower.input_size
    if not (fits or tower.opaque):
        actual, expected = ("×".join(map(str, pair)) for pair in (size, tower.input_size))
        raise UnsupportedModelError(
            f"{view.name}: its preprocessing gives {actual} pixels of this image, but the model "
            f"takes {expected}; give the preprocessing that belongs to the model"
        )
