"""timm's attention blocks and pooling head, taken apart at their attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.models.tower import Block, split_heads

Rotary = Callable[[], Tensor | None]


class TimmBlock(Block):
    """``Block`` of timm's ``VisionTransformer`` and ``EvaBlock`` of its ``Eva``.

    Args:
        module: the block.
        rotary: gives the rotary embedding ``[t, 2·d]`` of the patches, or None.
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

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn, normed = self.attn, self.module.norm1(x)
        if attn.qkv is None:
            parts = [attn.q_proj(normed), attn.k_proj(normed), attn.v_proj(normed)]
        elif getattr(attn, "q_bias", None) is not None:
            bias = torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
            parts = list(F.linear(normed, attn.qkv.weight, bias).chunk(3, dim=-1))
        else:
            parts = list(attn.qkv(normed).chunk(3, dim=-1))
        q, k, v = (split_heads(part, self.heads) for part in parts)
        q, k = attn.q_norm(q), attn.k_norm(k)
        rope = None if self.rotary is None else self.rotary()
        if rope is None:
            return q, k, v
        return self._turn(q, rope).type_as(v), self._turn(k, rope).type_as(v), v

    def _turn(self, x: Tensor, rope: Tensor) -> Tensor:
        """Rotate queries or keys of patches by their place; prefix tokens have none."""
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
        """Apply a block's layer scale, a module in one class and a bare vector in the other."""
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


class AttentionPoolBlock(Block):
    """The first query of ``AttentionPoolLatent``, with the trunk's final norm before it."""

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

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pool, x = self.pool, self.norm(x)
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
