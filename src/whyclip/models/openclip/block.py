"""OpenCLIP's residual attention blocks, split at their attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.models.frozen import Affine, chain, matrix, residual, scaled
from whyclip.models.tower import Block, split_heads


class OpenCLIPBlock(Block):
    """``ResidualAttentionBlock`` and ``CustomResidualAttentionBlock``."""

    def __init__(self, module: Any, batch_first: bool) -> None:
        self.module = module
        self.attn = module.attn
        self.heads = self.attn.num_heads
        width = self.attn.out_proj.weight.shape[0]
        self.scale = float((width // self.heads) ** -0.5)
        self.batch_first = batch_first
        if getattr(self.attn, "scaled_cosine", False):
            raise UnsupportedModelError(
                "scaled-cosine attention has no plain softmax(q·k) weights; use a black-box method"
            )

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.out_proj.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.module

    def hooked_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        x = super().hooked_input(args, kwargs)
        return x if x is None or self.batch_first else x.transpose(0, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            shared = mask.shape[:2] == (1, 1)
            t = mask.shape[-1]
            mask = mask[0, 0] if shared else mask.expand(len(x), self.heads, t, t).flatten(0, 1)
        if self.batch_first:
            return self.module(x, attn_mask=mask)
        return self.module(x.transpose(0, 1), attn_mask=mask).transpose(0, 1)

    def first_norm(self, x: Tensor) -> Tensor:
        return self.module.ln_1(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        joint = F.linear(x, self.attn.in_proj_weight, self.attn.in_proj_bias)
        q, k, v = (split_heads(part, self.heads) for part in joint.chunk(3, dim=-1))
        if hasattr(self.attn, "ln_q"):
            q, k = self.attn.ln_q(q), self.attn.ln_k(k)
        return q, k, v

    def merge(self, o: Tensor) -> Tensor:
        scales = getattr(self.attn, "head_scale", None)
        if scales is not None:
            o = (o.unflatten(-1, (self.heads, -1)) * scales[:, 0]).flatten(-2)
        if hasattr(self.attn, "ln_inner"):
            o = self.attn.ln_inner(o)
        update = self.attn.out_proj(o)
        if hasattr(self.module, "ln_attn"):
            update = self.module.ln_attn(update)
        return self.module.ls_1(update)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        return x + self.module.ls_2(self.module.mlp(self.module.ln_2(x)))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.out_proj(z)

    def frozen_value(self, x: Tensor) -> Affine:
        bias = self.attn.in_proj_bias
        value = matrix(
            self.attn.in_proj_weight.chunk(3)[2], None if bias is None else bias.chunk(3)[2]
        )
        return chain(x, self.module.ln_1, value)

    def frozen_merge(self, o: Tensor) -> Affine:
        scales, by_head = getattr(self.attn, "head_scale", None), None
        if scales is not None:
            by_head = scaled(scales[:, 0].expand(-1, o.shape[-1] // self.heads).flatten())
        inner, outer = getattr(self.attn, "ln_inner", None), getattr(self.module, "ln_attn", None)
        scale = getattr(self.module, "ls_1", None)
        return chain(o, by_head, inner, self.attn.out_proj, outer, scale)

    def frozen_finish(self, s: Tensor) -> Affine:
        module = self.module
        return residual(s, module.ln_2, module.mlp, getattr(module, "ls_2", None))


def transformer_blocks(transformer: Any) -> tuple[OpenCLIPBlock, ...]:
    """Wrap the blocks of an OpenCLIP ``Transformer``, first to last."""
    batch_first = getattr(transformer, "batch_first", True)
    return tuple(OpenCLIPBlock(block, batch_first) for block in transformer.resblocks)
