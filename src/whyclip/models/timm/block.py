"""timm's attention blocks and pooling head, split at their attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.models.frozen import Affine, Step, chain, identity, matrix, residual, scaled
from whyclip.models.tower import Block, split_heads

Rotary = Callable[[], Tensor | None]


class TimmBlock(Block):
    """``Block`` of timm's ``VisionTransformer`` and ``EvaBlock`` of its ``Eva``.

    Args:
        module: the block.
        rotary: function that returns the rotary embedding ``[t, 2·d]`` of the patches, or None.
    """

    def __init__(self, module: Any, rotary: Rotary | None = None) -> None:
        self.module, self.attn, self.rotary = module, module.attn, rotary
        self.heads = self.attn.num_heads
        self.scale = float(self.attn.scale)

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.proj.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.module

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        return self.module(x) if self.rotary is None else self.module(x, rope=self.rotary())

    def first_norm(self, x: Tensor) -> Tensor:
        return self.module.norm1(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = self.attn
        if attn.qkv is None:
            parts = [attn.q_proj(x), attn.k_proj(x), attn.v_proj(x)]
        elif getattr(attn, "q_bias", None) is not None:
            bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
            parts = list(F.linear(x, attn.qkv.weight, bias).chunk(3, dim=-1))
        else:
            parts = list(attn.qkv(x).chunk(3, dim=-1))
        q, k, v = (split_heads(part, self.heads) for part in parts)
        q, k = attn.q_norm(q), attn.k_norm(k)
        rope = None if self.rotary is None else self.rotary()
        if rope is None:
            return q, k, v
        return self._turn(q, rope).type_as(v), self._turn(k, rope).type_as(v), v

    def _turn(self, x: Tensor, rope: Tensor) -> Tensor:
        """Rotate queries or keys of patches by their position; prefix tokens are not rotated."""
        from timm.layers import apply_rot_embed_cat

        prefix = self.attn.num_prefix_tokens
        half = {"half": True} if getattr(self.attn, "rotate_half", False) else {}
        turned = apply_rot_embed_cat(x[:, :, prefix:], rope, **half)
        return torch.cat([x[:, :, :prefix], turned], dim=2)

    def merge(self, o: Tensor) -> Tensor:
        norm = getattr(self.attn, "norm", None)
        update = self.attn.proj(o if norm is None else norm(o))
        return self._scaled(update, "ls1", "gamma_1")

    def _scaled(self, update: Tensor, layer: str, vector: str) -> Tensor:
        """Apply a block's layer scale, which is a module or a vector."""
        scale = getattr(self.module, layer, None)
        if scale is not None:
            return scale(update)
        gamma = getattr(self.module, vector, None)
        return update if gamma is None else gamma * update

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        return x + self._scaled(self.module.mlp(self.module.norm2(x)), "ls2", "gamma_2")

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.proj(z)

    def frozen_value(self, x: Tensor) -> Affine:
        attn = self.attn
        if attn.qkv is None:
            return chain(x, self.module.norm1, attn.v_proj)
        bias = attn.qkv.bias
        if getattr(attn, "q_bias", None) is not None:
            bias = attn.v_bias
        elif bias is not None:
            bias = bias.chunk(3)[2]
        return chain(x, self.module.norm1, matrix(attn.qkv.weight.chunk(3)[2], bias))

    def frozen_merge(self, o: Tensor) -> Affine:
        norm = getattr(self.attn, "norm", None)
        return chain(o, norm, self.attn.proj, self._scale("ls1", "gamma_1"))

    def frozen_finish(self, s: Tensor) -> Affine:
        module = self.module
        return residual(s, module.norm2, module.mlp, self._scale("ls2", "gamma_2"))

    def _scale(self, layer: str, vector: str) -> Step:
        scale: Step = getattr(self.module, layer, None)
        gamma = getattr(self.module, vector, None)
        return scaled(gamma) if scale is None and gamma is not None else scale


class AttentionPoolBlock(Block):
    """The first query of ``AttentionPoolLatent``, with the backbone's final norm before it."""

    is_pooling_head = True

    def __init__(self, pool: Any, norm: nn.Module) -> None:
        self.pool, self.norm = pool, norm
        self.heads = pool.num_heads
        self.scale = float(pool.scale)

    @property
    def dtype(self) -> torch.dtype:
        return self.pool.kv.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.norm

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        return self.pool(self.norm(x))[:, None]

    def first_norm(self, x: Tensor) -> Tensor:
        return self.norm(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pool = self.pool
        if pool.pos_embed is not None:
            x = x + pool.pos_embed.to(x.dtype)
        k, v = (split_heads(part, self.heads) for part in pool.kv(x).chunk(2, dim=-1))
        q = split_heads(pool.q(pool.latent[:, :1].expand(len(x), -1, -1)), self.heads)
        return pool.q_norm(q), pool.k_norm(k), v

    def merge(self, o: Tensor) -> Tensor:
        return self.pool.proj(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        del x
        return update if self.pool.mlp is None else update + self.pool.mlp(self.pool.norm(update))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.pool.proj(z)

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.pool.proj)

    def frozen_finish(self, s: Tensor) -> Affine:
        pool = self.pool
        return identity(s) if pool.mlp is None else residual(s, pool.norm, pool.mlp)
