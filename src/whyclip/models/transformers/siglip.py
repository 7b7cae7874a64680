"""SigLIP and fixed-resolution SigLIP 2 of transformers as encoders.

There is no class token; a pooling head with a learned query pools the patches. Texts have no causal
mask, are padded to 64 tokens (padding takes part in the attention), and are pooled at the last
position. The probability of a match is ``sigmoid(scale · cosine + bias)``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.inputs import written
from whyclip.models.frozen import Affine, chain, residual
from whyclip.models.patch_tokens import layout_of
from whyclip.models.tower import (
    Block,
    ImageTower,
    Stream,
    TextTower,
    interpolate_positions,
    split_heads,
)
from whyclip.models.transformers.clip import HFBlock, pooled
from whyclip.models.view import ModelView


class SiglipPoolBlock(Block):
    """``SiglipMultiheadAttentionPoolingHead`` with the norm before it."""

    is_pooling_head = True

    def __init__(self, head: Any, norm: nn.Module) -> None:
        self.pool, self.norm = head, norm
        self.attn = head.attention
        self.heads = self.attn.num_heads
        self.scale = float(self.attn.head_dim**-0.5)

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.out_proj.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.norm

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        return self.pool(self.norm(x))[:, None]

    def first_norm(self, x: Tensor) -> Tensor:
        return self.norm(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = self.attn.in_proj_weight.chunk(3)
        biases = self.attn.in_proj_bias.chunk(3)
        sources = (self.pool.probe.expand(len(x), -1, -1), x, x)
        q, k, v = (
            split_heads(F.linear(source, weight, bias), self.heads)
            for source, weight, bias in zip(sources, weights, biases, strict=True)
        )
        return q, k, v

    def merge(self, o: Tensor) -> Tensor:
        return self.attn.out_proj(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        del x
        return update + self.pool.mlp(self.pool.layernorm(update))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.out_proj(z)

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.attn.out_proj)

    def frozen_finish(self, s: Tensor) -> Affine:
        return residual(s, self.pool.layernorm, self.pool.mlp)


class SiglipImageTower(ImageTower):
    """``SiglipVisionModel``; it needs its head (``vision_use_head=True``)."""

    def __init__(self, model: Any) -> None:
        self.model, self.vision = model, model.vision_model
        layers = tuple(HFBlock(layer) for layer in self.vision.encoder.layers)
        self.blocks = (*layers, SiglipPoolBlock(self.vision.head, self.vision.post_layernorm))
        self.patch, self.native_grid, self.native_size = layout_of(model.config.vision_config)

    @property
    def device(self) -> torch.device:
        return self.vision.embeddings.patch_embedding.weight.device

    def embed(self, inputs: Tensor) -> Stream:
        parts = self.vision.embeddings
        features = parts.patch_embedding(inputs.to(parts.patch_embedding.weight.dtype))
        b, _, gh, gw = features.shape
        positions = parts.position_embedding.weight
        x = features.flatten(2).transpose(1, 2)
        x = x + interpolate_positions(positions, self.native_grid, (gh, gw), prefix=0)
        content = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        row = torch.zeros(b, dtype=torch.long, device=x.device)
        return Stream(x, None, row, content, (gh, gw))

    @property
    def norm(self) -> nn.Module:
        return nn.Identity()

    def head(self, x: Tensor) -> Tensor:
        return x

    def encode(self, inputs: Tensor) -> Tensor:
        dtype = self.vision.embeddings.patch_embedding.weight.dtype
        return pooled(self.model.get_image_features(pixel_values=inputs.to(dtype)))


class SiglipTextTower(TextTower):
    """``SiglipTextModel``: every token attends to every other token, including padding."""

    causal = False

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.text, self.tokenizer = model, model.text_model, tokenizer
        self.blocks = tuple(HFBlock(layer) for layer in self.text.encoder.layers)
        self.context = int(model.config.text_config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        return self.text.embeddings.token_embedding.weight.device

    def embed(self, inputs: Tensor) -> Stream:
        x = self.text.embeddings(input_ids=inputs)
        return Stream(x, None, self.readout_index(inputs), written(self.tokenizer, inputs))

    def readout_index(self, ids: Tensor) -> Tensor:
        return torch.full((len(ids),), ids.shape[1] - 1, device=ids.device)

    @property
    def norm(self) -> nn.Module:
        return self.text.final_layer_norm

    def head(self, x: Tensor) -> Tensor:
        return self.text.head(x)

    def encode(self, inputs: Tensor) -> Tensor:
        return pooled(self.model.get_text_features(input_ids=inputs))


def siglip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a transformers ``SiglipModel`` (also SigLIP 2 at fixed resolution)."""
    return ModelView(
        name,
        SiglipImageTower(model),
        SiglipTextTower(model, tokenizer),
        preprocess,
        tokenizer,
        width=int(model.config.vision_config.hidden_size),
        module=model,
    )
