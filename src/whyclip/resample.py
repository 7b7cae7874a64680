"""Maps on the original image, and images at display size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.errors import check_choice
from whyclip.types import Geometry

if TYPE_CHECKING:
    from PIL.Image import Image

Interpolation = Literal["catmull-rom", "nearest", "bilinear"]

DISPLAY_SIDE = 1400
"""Longest side, in pixels, of an explanation's copy of the image."""


def display_copy(image: Image) -> Image:
    """Reduce an image to display size; smaller images are returned unchanged."""
    factor = DISPLAY_SIDE / max(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    # Reducing by an integer factor first is several times faster, with no visible difference.
    return image.resize((width, height), reducing_gap=3.0)


@in_plain_state
def resample_to_image(
    maps: Tensor,
    geometry: Geometry,
    size: tuple[int, int] | None = None,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Resample maps ``[n, gh, gw]`` onto the original image.

    Args:
        maps: relevance of each patch.
        geometry: position of the grid on the image.
        size: height and width of the result; the size of the original image by default.
        interpolation: see :meth:`whyclip.Explanation.heatmap`.

    Returns:
        ``[n, height, width]``, NaN outside ``geometry.box``.

    Raises:
        OptionError: the interpolation is unknown.
    """
    check_choice("interpolation", interpolation, get_args(Interpolation))
    height, width = size or (geometry.height, geometry.width)
    box = geometry.box
    x = (torch.arange(width) + 0.5) * (geometry.width / width)
    y = (torch.arange(height) + 0.5) * (geometry.height / height)
    u = (x - box.left) / (box.right - box.left)
    v = (y - box.top) / (box.bottom - box.top)
    if interpolation == "bilinear":
        resampled = _bilinear(maps, u, v)
    elif interpolation == "nearest":
        rows, columns = (
            _patches(at, length) for at, length in zip((v, u), maps.shape[1:], strict=True)
        )
        resampled = maps[:, rows][:, :, columns]
    else:
        resampled = _catmull_rom(maps, u, v)
    inside = ((v >= 0) & (v <= 1))[:, None] & ((u >= 0) & (u <= 1))[None, :]
    return resampled.masked_fill(~inside, float("nan"))


def _bilinear(maps: Tensor, u: Tensor, v: Tensor) -> Tensor:
    grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None] * 2 - 1
    return F.grid_sample(
        maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]


def _patches(share: Tensor, patches: int) -> Tensor:
    return (share * patches).floor().clamp(0, patches - 1).long()


def _catmull_rom(maps: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Interpolate by a cubic through the patch centres, clamped to the four nearest patches."""
    top, down = _taps(v, maps.shape[1])
    left, across = _taps(u, maps.shape[2])
    resampled = []
    for values in maps:
        # A NaN patch makes only its neighbourhood NaN, not the whole map.
        finite = values.nan_to_num(0.0, 0.0, 0.0)
        lowest = _over_next(values, torch.minimum)[:, left][top]
        highest = _over_next(values, torch.maximum)[:, left][top]
        resampled.append((down @ (finite @ across.T)).clamp_(lowest, highest))
    return torch.stack(resampled)


def _over_next(values: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Reduce each patch with its neighbours to the right, below, and below right."""
    below = pick(values, torch.cat([values[1:], values[-1:]]))
    return pick(below, torch.cat([below[:, 1:], below[:, -1:]], 1))


def _taps(share: Tensor, patches: int) -> tuple[Tensor, Tensor]:
    """Return each pixel's preceding patch, and the weights of all patches ``[pixels, patches]``."""
    at = (share.double() * patches - 0.5).clamp(0, patches - 1)
    first = at.floor()
    t = at - first
    four = torch.stack(
        [
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        ],
        1,
    )
    taps = (first.long()[:, None] + torch.arange(-1, 3)).clamp(0, patches - 1)
    weights = torch.zeros(len(share), patches, dtype=torch.double).scatter_add_(1, taps, four)
    return first.long(), weights.float()
