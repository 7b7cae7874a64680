"""Pictures as a model takes them: prepared by its own preprocessing, and refused if that is not."""

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
    """Prepare pictures for a model.

    Args:
        view: the model.
        images: upright RGB images.
        geometry: as :func:`~whyclip.inputs.prepare` takes it.

    Returns:
        For each image its input ``[3, H, W]`` and where the grid lies on the picture.

    Raises:
        UnsupportedModelError: the model's preprocessing makes pictures of another size than the
            model was trained on, or cannot be followed.
    """
    tower = view.image
    found = prepare(images, view.preprocess, geometry, patch=tower.patch, native=tower.native_grid)
    if geometry == "model":
        for pixels, _ in found:
            _check_size(view, pixels)
    return found


def _check_size(view: ModelView, pixels: Tensor) -> None:
    tower, size = view.image, tuple(map(int, pixels.shape[-2:]))
    grid = tuple(side // tower.patch for side in size)
    # An encoder that names no size of its own takes any that has as many whole patches.
    fits = grid == tower.native_grid if tower.native_size is None else size == tower.input_size
    if not (fits or tower.opaque):
        given, wanted = ("×".join(map(str, pair)) for pair in (size, tower.input_size))
        raise UnsupportedModelError(
            f"{view.name}: its preprocessing makes {given} pixels of this picture, but the model "
            f"takes {wanted}; give the preprocessing that belongs to the model"
        )
