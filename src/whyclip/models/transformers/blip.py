"""BLIP's image-text retrieval of transformers: its contrastive path, the cosine of two towers.

The matching head, which lets the text attend to the image, is another score and not read here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from whyclip.models.patch_tokens import layout_of, read_at_first, with_class_token
from whyclip.models.tower import (
    Block,
    ImageTower,
    Stream,
    split_heads,
)
from whyclip.models.transformers.bert import FirstTokenBert
from whyclip.models.view import ModelView


class BlipBlock(Block):
    """``BlipEncoderLayer``."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.attn = layer, layer.self_attn
        self.heads = self.attn.num_heads
        self.scale = float(self.attn.scale)

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.projection.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.layer

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # transformers 4 wants a mask named, even if there is none.
        out = self.layer(x, attention_mask=mask)
        return out[0] if isinstance(out, tuple) else out

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        joint = self.attn.qkv(self.layer.layer_norm1(x)).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.heads) for part in joint)
        return q, k, v

    def merge(self, o: Tensor) -> Tensor:
        return self.attn.projection(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        return x + self.layer.mlp(self.layer.layer_norm2(x))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.projection(z)


class BlipImageTower(ImageTower):
    """``BlipVisionModel`` with the projection of ``BlipForImageTextRetrieval``."""

    def __init__(self, model: Any) -> None:
        self.model, self.vision = model, model.vision_model
        self.blocks = tuple(BlipBlock(layer) for layer in self.vision.encoder.layers)
        self.patch, self.native_grid, self.native_size = layout_of(model.config.vision_config)

    @property
    def device(self) -> torch.device:
        return self.vision.embeddings.class_embedding.device

    def embed(self, inputs: Tensor) -> Stream:
        parts = self.vision.embeddings
        features = parts.patch_embedding(inputs.to(parts.patch_embedding.weight.dtype))
        positions = parts.position_embedding[0]
        x = with_class_token(parts.class_embedding, features, positions, self.native_grid)
        return read_at_first(x, features.shape[-2:])

    @property
    def norm(self) -> nn.Module:
        return self.vision.post_layernorm

    def head(self, x: Tensor) -> Tensor:
        return self.model.vision_proj(x)

    def encode(self, inputs: Tensor) -> Tensor:
        dtype = self.vision.embeddings.patch_embedding.weight.dtype
        out = self.vision(pixel_values=inputs.to(dtype))
        return self.model.vision_proj(out.last_hidden_state[:, 0])


class BlipTextTower(FirstTokenBert):
    """``BlipTextModel`` with the projection of ``BlipForImageTextRetrieval``."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, model.text_encoder, tokenizer)

    def head(self, x: Tensor) -> Tensor:
        return self.model.text_proj(x)


def blip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Describe a transformers ``BlipForImageTextRetrieval`` in memory."""
    image, text = BlipImageTower(model), BlipTextTower(model, tokenizer)
    width = int(model.config.image_text_hidden_size)
    return ModelView(name, image, text, preprocess, tokenizer, width, module=model)
