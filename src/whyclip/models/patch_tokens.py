"""Convert patch features to the tokens that enter a vision transformer's first block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from whyclip.models.tower import Stream, interpolate_positions


def layout_of(config: Any) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Return patch size, grid and input size in pixels, from a vision configuration."""
    patch, size = int(config.patch_size), int(config.image_size)
    return patch, (size // patch,) * 2, (size,) * 2


def with_class_token(
    first: Tensor, features: Tensor, positions: Tensor, native: tuple[int, int]
) -> Tensor:
    """Convert features ``[b, w, gh, gw]`` to tokens ``[b, 1 + gh·gw, w]`` with positions.

    Args:
        first: the class token, ``[w]`` or broadcastable to ``[b, 1, w]``.
        features: one vector per patch.
        positions: ``[1 + rows·columns, w]`` of the native grid; resampled for other grids.
        native: rows and columns of the native grid.
    """
    tokens = features.flatten(2).transpose(1, 2)
    x = torch.cat([first.expand(len(tokens), 1, -1), tokens], dim=1)
    gh, gw = features.shape[-2:]
    return x + interpolate_positions(positions, native, (gh, gw))


def read_at_first(x: Tensor, grid: Sequence[int]) -> Stream:
    """Make a stream of tokens ``[b, 1 + gh·gw, w]`` that is pooled at the first one."""
    content = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    content[:, 0] = False
    row = torch.zeros(len(x), dtype=torch.long, device=x.device)
    rows, columns = grid
    return Stream(x, None, row, content, (rows, columns))
