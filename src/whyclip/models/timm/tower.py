"""timm's vision transformers inside OpenCLIP as encoders: SigLIP, SigLIP 2, EVA-CLIP, PE-Core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.models.frozen import Affine, chain
from whyclip.models.opaque import Encode, OpaqueImageTower
from whyclip.models.timm.block import AttentionPoolBlock, TimmBlock
from whyclip.models.tower import Block, ImageTower, Stream, interpolate_positions

BLOCKS = ("Block", "EvaBlock")
POOLS = "AttentionPoolLatent"


@dataclass(frozen=True)
class Rotary:
    """The rotary embedding of the native grid at one layer of a backbone.

    Attributes:
        trunk: timm's vision transformer (the backbone).
        layer: index of the block; some backbones vary the embedding by layer.
        native: rows and columns of the native grid.
    """

    trunk: Any
    layer: int
    native: tuple[int, int]

    def __call__(self) -> Tensor | None:
        """Compute the embedding ``[t, 2·d]``."""
        rope = self.trunk.rope
        held = hasattr(rope, "feat_shape")
        embedding = rope.get_embed() if held else rope.get_embed(shape=self.native)
        return embedding[self.layer] if getattr(self.trunk, "rope_mixed", False) else embedding


class TimmTower(ImageTower):
    """A ``VisionTransformer`` or ``Eva`` of timm, pooled at a class token or by a pooling head."""

    def __init__(self, visual: Any, encode: Encode) -> None:
        self.visual, self.trunk, self._encode = visual, visual.trunk, encode
        trunk = self.trunk
        rope = getattr(trunk, "rope", None)
        rows, columns = trunk.patch_embed.grid_size
        self.native_grid = (int(rows), int(columns))
        blocks: tuple[Block, ...] = tuple(
            TimmBlock(block, None if rope is None else Rotary(trunk, index, self.native_grid))
            for index, block in enumerate(trunk.blocks)
        )
        if trunk.attn_pool is not None:
            blocks += (AttentionPoolBlock(trunk.attn_pool, trunk.norm),)
        self.blocks = blocks
        height, width = map(int, trunk.patch_embed.img_size)
        self.native_size, self.patch = (height, width), height // self.native_grid[0]
        if rope is not None:
            self.fixed_grid_reason = "its rotary positions are fixed to the native grid"
        elif not isinstance(getattr(trunk.patch_embed, "proj", None), nn.Conv2d):
            self.fixed_grid_reason = "its patches are embedded by more than one convolution"

    @property
    def device(self) -> torch.device:
        return next(self.trunk.parameters()).device

    def embed(self, inputs: Tensor) -> Stream:
        trunk = self.trunk
        inputs = inputs.to(next(trunk.parameters()).dtype)
        grid = (inputs.shape[-2] // self.patch, inputs.shape[-1] // self.patch)
        is_native = tuple(inputs.shape[-2:]) == self.input_size
        x = self._native(inputs) if is_native else self._resampled(inputs, grid)
        x = trunk.norm_pre(x)
        content = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        content[:, : trunk.num_prefix_tokens] = False
        row = torch.zeros(len(x), dtype=torch.long, device=x.device)
        return Stream(x, None, row, content, grid)

    def _native(self, inputs: Tensor) -> Tensor:
        tokens = self.trunk._pos_embed(self.trunk.patch_embed(inputs))
        return tokens[0] if isinstance(tokens, tuple) else tokens

    def _resampled(self, inputs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Embed another grid, with resampled positions; the library accepts only the native one."""
        trunk = self.trunk
        x = trunk.patch_embed.norm(trunk.patch_embed.proj(inputs).flatten(2).transpose(1, 2))
        tokens = [part for part in (trunk.cls_token, trunk.reg_token) if part is not None]
        first = [part.expand(len(x), -1, -1) for part in tokens]
        prefix = 0 if trunk.no_embed_class else trunk.num_prefix_tokens
        positions = interpolate_positions(trunk.pos_embed[0], self.native_grid, grid, prefix)
        if trunk.no_embed_class:
            return torch.cat([*first, x + positions], dim=1)
        return torch.cat([*first, x], dim=1) + positions

    @property
    def norm(self) -> nn.Module:
        if self.has_pooling_head or isinstance(self.trunk.norm, nn.Identity):
            return self.trunk.fc_norm
        return self.trunk.norm

    def head(self, x: Tensor) -> Tensor:
        return self.visual.head(self.trunk.head(x))

    def frozen_project(self, x: Tensor) -> Affine:
        # The head may be an MLP, which is frozen like those of the blocks.
        return chain(x, self.norm, self.trunk.head, self.visual.head)

    def encode(self, inputs: Tensor) -> Tensor:
        return self._encode(inputs.to(next(self.trunk.parameters()).dtype))


def _unread(trunk: Any) -> str:
    """Return why a backbone has no attention pooling of patches; empty if it has."""
    kind = type(trunk).__name__
    blocks = list(getattr(trunk, "blocks", ()))
    if not blocks or not hasattr(trunk, "patch_embed") or not hasattr(trunk, "norm_pre"):
        return f"{kind} is not a plain vision transformer"
    for block in blocks:
        attn = getattr(block, "attn", None)
        if type(block).__name__ not in BLOCKS or not hasattr(attn, "qkv"):
            return f"{kind} has blocks of type {type(block).__name__}"
        if getattr(attn, "gate", None) is not None:
            return f"the attention of {kind} is gated"
        if getattr(attn, "num_kv_groups", 1) != 1:
            return f"heads of {kind} share keys and values"
    return _unpooled(trunk)


def _unpooled(trunk: Any) -> str:
    pool = trunk.attn_pool
    if pool is not None:
        if type(pool).__name__ != POOLS or pool.pool != "token":
            return f"its pooling head {type(pool).__name__} averages or refines tokens"
        without_prefix = not getattr(trunk, "pool_include_prefix", True)
        if type(trunk).__name__ != "Eva" and trunk.num_prefix_tokens and without_prefix:
            return "its pooling head ignores the class token of its blocks"
    elif trunk.global_pool != "token":
        return f"it pools its patches by {trunk.global_pool or 'nothing'!r}, not by attention"
    elif not any(isinstance(part, nn.Identity) for part in (trunk.norm, trunk.fc_norm)):
        return "it normalises its readout twice"
    return ""


def timm_tower(visual: Any, encode: Encode) -> ImageTower:
    """Wrap OpenCLIP's ``TimmModel``, as an opaque encoder if its attention is not supported."""
    why = _unread(visual.trunk)
    if why:
        return OpaqueImageTower(encode, visual, tuple(visual.image_size), why)
    return TimmTower(visual, encode)
