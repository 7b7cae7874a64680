"""Dense features: one embedding for each patch of an image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import UnsupportedModelError
from whyclip.models.tower import ImageTower, join_heads


def dense_features(tower: ImageTower, x: Tensor, patches: int) -> Tensor:
    """Embed each patch as if it attended only to itself in the last block.

    ``F_i = P(norm(finish(x_i, merge(v_i))))``, divided by its length. Zhou et al., ECCV 2022
    (arXiv 2112.01071), section 3.2; Zhao et al., ICML 2024 (arXiv 2502.18816), as the dense
    features of their fine-tuning. Gradients flow through it.

    Args:
        tower: the image encoder.
        x: ``[b, t, w]`` input of the last block.
        patches: number of patches; they are the last tokens.

    Returns:
        ``[b, patches, e]``, each of length 1.

    Raises:
        UnsupportedModelError: the encoder has no attention over its patches.
    """
    if tower.opaque:
        raise UnsupportedModelError(
            f"dense features need a last attention over patches, but {tower.opaque}"
        )
    block = tower.blocks[-1]
    x = x.to(block.dtype)
    value = join_heads(block.qkv(x)[2])[:, -patches:]
    features = tower.project(block.finish(x[:, -patches:], block.merge(value)))
    return F.normalize(features.float(), dim=-1)
