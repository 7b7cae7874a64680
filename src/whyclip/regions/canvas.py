"""Fit images, boxes and masks into the model input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from whyclip.datasets.annotation_files import Mask
from whyclip.errors import OptionError, check_choice
from whyclip.inputs import Normalisation, keep_tensor, normalisation_of
from whyclip.models import ModelView
from whyclip.regions.features import check_tower
from whyclip.regions.region import Box
from whyclip.types import MaskRule


@dataclass(frozen=True)
class Canvas:
    """A model input in which images are placed at the top left.

    Attributes:
        height: in pixels.
        width: in pixels.
        patch: side of a patch in pixels.
        norm: the model's own normalisation.
        masks: ``"share"`` weights each patch by the share that a mask covers.
            ``"clipself"`` is the rule of CLIPSelf's released code: the mask is resized to the
            grid bicubically without anti-aliasing, and all patches above 0 have weight 1. If no
            patch is above 0, shares are used.
    """

    height: int
    width: int
    patch: int
    norm: Normalisation
    masks: MaskRule = "share"

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of whole patches."""
        return self.height // self.patch, self.width // self.patch

    def fitted(self, image: Image.Image) -> tuple[int, int]:
        """Height and width of an image whose longer side fills the canvas."""
        return _fitted(image, self.height, self.width)

    def pixels(self, image: Image.Image) -> Tensor:
        """Resize, normalise and pad an image with black: ``[3, H, W]``.

        Black pixels are added right and below, before the normalisation, as in CLIPSelf's
        released code.
        """
        height, width = self.fitted(image)
        black = self.norm.apply(torch.zeros(3, 1, 1))
        canvas = black.expand(3, self.height, self.width).clone()
        canvas[:, :height, :width] = keep_tensor(image, (height, width), self.norm)
        return canvas

    def box(self, box: Box, image: Image.Image) -> tuple[float, ...]:
        """Scale a box from pixels of the image to patches."""
        height, width = self.fitted(image)
        across = width / image.width / self.patch
        down = height / image.height / self.patch
        left, top, right, bottom = box
        return left * across, top * down, right * across, bottom * down

    def weights(self, mask: Mask | None, image: Image.Image) -> Tensor:
        """Weight the patches under a mask: ``[gh·gw]``, 0 to 1; zeros without a mask."""
        gh, gw = self.grid
        if mask is None:
            return torch.zeros(gh * gw)
        if self.masks == "clipself":
            resized = F.interpolate(
                torch.from_numpy(mask)[None, None].float(),
                size=_fitted(image, gh, gw),
                mode="bicubic",
                align_corners=False,
            )[0, 0]
            grid = torch.zeros(gh, gw)
            grid[: resized.shape[0], : resized.shape[1]] = (resized > 0).float()
            if grid.any():
                return grid.flatten()
        height, width = self.fitted(image)
        # The rectangle that the grid covers, in pixels of the image.
        right = gw * self.patch * image.width / width
        bottom = gh * self.patch * image.height / height
        more = max(0, math.ceil(bottom) - image.height), max(0, math.ceil(right) - image.width)
        padded = np.pad(mask.astype(np.float32), ((0, more[0]), (0, more[1])))
        shares = Image.fromarray(padded).resize(
            (gw, gh), Image.Resampling.BOX, box=(0, 0, right, bottom)
        )
        return torch.from_numpy(np.array(shares)).flatten()


def _fitted(image: Image.Image, height: int, width: int) -> tuple[int, int]:
    scale = min(height / image.height, width / image.width)
    return max(1, round(image.height * scale)), max(1, round(image.width * scale))


def canvas_of(view: ModelView, size: int | None = None, masks: MaskRule = "share") -> Canvas:
    """Choose the input of a model.

    Args:
        view: the model.
        size: height and width in pixels; the model's native input by default.
        masks: as in :class:`Canvas`.

    Raises:
        OptionError: the size is not a multiple of the patch size, or the model takes only
            its own grid.
        UnsupportedModelError: the model has no dense features.
    """
    check_tower(view)
    tower = view.image
    height, width = tower.input_size
    check_choice("masks", masks, get_args(MaskRule))
    if size is not None and (size, size) != (height, width):
        if tower.fixed_grid_reason:
            raise OptionError(
                f"size={size}: {view.name} takes only {height}×{width} pixels because "
                f"{tower.fixed_grid_reason}"
            )
        if size < tower.patch or size % tower.patch:
            near = max(1, round(size / tower.patch)) * tower.patch
            raise OptionError(
                f"size={size} is not a multiple of the {tower.patch}-pixel patches of "
                f"{view.name}; give {near}"
            )
        height = width = size
    return Canvas(height, width, tower.patch, normalisation_of(view.preprocess), masks)
