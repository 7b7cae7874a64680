"""Compute one feature per region: dense features, RoIAlign for boxes and means under masks."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.errors import UnsupportedModelError
from whyclip.models import ImageTower, ModelView
from whyclip.regions.dense import dense_features


def check_tower(view: ModelView) -> None:
    """Check that a model has dense features and a text encoder.

    Raises:
        UnsupportedModelError: one of them is missing.
    """
    if view.image.opaque:
        raise UnsupportedModelError(
            f"{view.name} has no dense features to classify regions with: {view.image.opaque}"
        )
    if view.classes is not None:
        raise UnsupportedModelError(
            f"{view.name} is a plain classifier; region classification needs a text encoder"
        )


@torch.no_grad()
def feature_map(tower: ImageTower, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Compute dense features of images, without attention in the last block.

    Args:
        tower: the image encoder.
        pixels: ``[b, 3, H, W]``, normalised, on any device.
        grid: rows and columns of patches of such an input.

    Returns:
        ``[b, e, gh, gw]`` float32, of length 1 along ``e``.

    Raises:
        UnsupportedModelError: the encoder has no such features.
    """
    if tower.opaque:
        raise UnsupportedModelError(f"regions need dense features, but {tower.opaque}")
    stream = tower.embed(pixels.to(tower.device))
    x = stream.x
    for block in tower.blocks[:-1]:
        x = block.forward(x, stream.mask)
    features = dense_features(tower, x, grid[0] * grid[1])
    return features.transpose(1, 2).unflatten(2, grid)


def box_features(features: Tensor, boxes: Tensor, image: Tensor) -> Tensor:
    """Pool a feature map over boxes by RoIAlign with one bin.

    Mean of bilinear samples, one per started patch in each direction, with pixel centres at .5
    (``aligned=True``). He et al., ICCV 2017 (arXiv 1703.06870), as CLIPSelf uses it.

    Args:
        features: ``[b, e, gh, gw]``.
        boxes: ``[r, 4]`` left, top, right, bottom in units of patches.
        image: ``[r]`` row of the image of each box.

    Returns:
        ``[r, e]``, not normalised.
    """
    from torchvision.ops import roi_align

    rows = torch.cat([image[:, None].to(features), boxes.to(features)], 1)
    return roi_align(features, rows, output_size=1, aligned=True)[:, :, 0, 0]


def mask_features(features: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    """Average a feature map under masks.

    Args:
        features: ``[b, e, gh, gw]``.
        weights: ``[r, gh·gw]`` weight of each patch, not all 0 in a row.
        image: ``[r]`` row of the image of each mask.

    Returns:
        ``[r, e]``, not normalised.
    """
    weights, image = weights.to(features), image.to(features.device)
    pooled = features.new_zeros(len(weights), features.shape[1])
    for number in image.unique().tolist():
        rows = image == number
        pooled[rows] = weights[rows] @ features[number].flatten(1).T
    return pooled / weights.sum(1, keepdim=True)
