"""OpenCLIP's attentional pooler (the pooling head of CoCa) as a block."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.models.frozen import Affine, chain, identity
from whyclip.models.tower import Block, split_heads


class AttentionalPoolerBlock(Block):
    """The first query of ``AttentionalPooler``, with an optional norm before it.

    Keys and values may differ in width from the queries, so there are three projection matrices
    instead of one.
    """

    is_pooling_head = True

    def __init__(self, pooler: Any, norm: nn.Module | None = None) -> None:
        self.pooler, self.norm = pooler, norm or nn.Identity()
        self.first = norm or pooler
        self.attn = pooler.attn
        self.heads = self.attn.num_heads
        self.scale = float(self.attn.head_dim**-0.5)

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.out_proj.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.first

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        return self.pooler(self.norm(x))[:, :1]

    def first_norm(self, x: Tensor) -> Tensor:
        return self.pooler.ln_k(self.norm(x))

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query = self.pooler.ln_q(self.pooler.query)[:1].expand(len(x), -1, -1)
        attn = self.attn
        if attn.in_proj_weight is None:
            weights = (attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight)
        else:
            weights = attn.in_proj_weight.chunk(3)
        q, k, v = (
            split_heads(F.linear(source, weight, bias), self.heads)
            for source, weight, bias in zip(
                (query, x, x), weights, attn.in_proj_bias.chunk(3), strict=True
            )
        )
        return q, k, v

    def merge(self, o: Tensor) -> Tensor:
        return self.attn.out_proj(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        del x
        return update

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.out_proj(z)

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.attn.out_proj)

    def frozen_finish(self, s: Tensor) -> Affine:
        return identity(s)
