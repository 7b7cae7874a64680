"""OpenCLIP's CLIP-ResNet as an encoder: convolutions, then attention that pools their cells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from whyclip.models.frozen import Affine, chain, identity
from whyclip.models.opaque import Encode
from whyclip.models.patch_tokens import read_at_first
from whyclip.models.tower import Block, ImageTower, Stream, split_heads


class AttentionPool2dBlock(Block):
    """``AttentionPool2d``: the mean of all cells is the query and an additional token.

    Its input is ``[b, 1 + gh·gw, w]``, with the mean first; positions are added inside.
    """

    is_pooling_head = True

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.heads = pool.num_heads
        self.scale = float((pool.q_proj.out_features // pool.num_heads) ** -0.5)

    @property
    def dtype(self) -> torch.dtype:
        return self.pool.c_proj.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.pool

    def hooked_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        cells = super().hooked_input(args, kwargs)
        return None if cells is None else with_mean(cells)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        # The library flattens rows and columns, so a single column with all cells works.
        return self.pool(x[:, 1:].transpose(1, 2).unsqueeze(-1))[:, None]

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = x + self.pool.positional_embedding.to(x.dtype)
        return (
            split_heads(self.pool.q_proj(x[:, :1]), self.heads),
            split_heads(self.pool.k_proj(x), self.heads),
            split_heads(self.pool.v_proj(x), self.heads),
        )

    def merge(self, o: Tensor) -> Tensor:
        return self.pool.c_proj(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        del x
        return update

    def out_proj(self, z: Tensor) -> Tensor:
        return self.pool.c_proj(z)

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.pool.c_proj)

    def frozen_finish(self, s: Tensor) -> Affine:
        return identity(s)


class ResNetTower(ImageTower):
    """``ModifiedResNet``; a "patch" is one cell of its last layer, 32 pixels wide."""

    patch = 32
    fixed_grid_reason = "its pooling head has one position for each cell of the native grid"

    def __init__(self, visual: Any, encode: Encode) -> None:
        self.visual, self._encode = visual, encode
        self.blocks = (AttentionPool2dBlock(visual.attnpool),)
        cells = len(visual.attnpool.positional_embedding) - 1
        side = round(cells**0.5)
        self.native_grid = (side, side)

    @property
    def device(self) -> torch.device:
        return self.visual.conv1.weight.device

    def stem(self, pixels: Tensor) -> Tensor:
        """Run the convolutions before the first layer."""
        return self.visual.stem(pixels)

    def embed(self, inputs: Tensor) -> Stream:
        visual = self.visual
        x = self.stem(inputs.to(visual.conv1.weight.dtype))
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        return read_at_first(with_mean(x), x.shape[-2:])

    @property
    def norm(self) -> nn.Module:
        return nn.Identity()

    def head(self, x: Tensor) -> Tensor:
        return x

    def encode(self, inputs: Tensor) -> Tensor:
        return self._encode(inputs.to(self.visual.conv1.weight.dtype))


def with_mean(features: Tensor) -> Tensor:
    """Flatten features ``[b, w, gh, gw]`` to tokens ``[b, 1 + gh·gw, w]``, their mean first."""
    cells = features.flatten(2).transpose(1, 2)
    return torch.cat([cells.mean(1, keepdim=True), cells], dim=1)
