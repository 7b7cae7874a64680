"""BLIP's image-text retrieval of transformers: the contrastive path, a cosine of two embeddings.

The matching head, in which the text attends to the image, gives another score and is not supported.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from whyclip.models.frozen import Affine, chain, matrix, residual
from whyclip.models.tower import Block, split_heads
from whyclip.models.transformers.bert import FirstTokenBert
from whyclip.models.transformers.clip import HFImageTower
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
        # transformers 4 requires a mask argument, even if it is None.
        out = self.layer(x, attention_mask=mask)
        return out[0] if isinstance(out, tuple) else out

    def first_norm(self, x: Tensor) -> Tensor:
        return self.layer.layer_norm1(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        joint = self.attn.qkv(x).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.heads) for part in joint)
        return q, k, v

    def merge(self, o: Tensor) -> Tensor:
        return self.attn.projection(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        return x + self.layer.mlp(self.layer.layer_norm2(x))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.projection(z)

    def frozen_value(self, x: Tensor) -> Affine:
        joint = self.attn.qkv
        bias = None if joint.bias is None else joint.bias.chunk(3)[2]
        return chain(x, self.layer.layer_norm1, matrix(joint.weight.chunk(3)[2], bias))

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.attn.projection)

    def frozen_finish(self, s: Tensor) -> Affine:
        return residual(s, self.layer.layer_norm2, self.layer.mlp)


class BlipImageTower(HFImageTower):
    """``BlipVisionModel`` with the projection of ``BlipForImageTextRetrieval``."""

    block = BlipBlock

    @property
    def positions(self) -> Tensor:
        return self.vision.embeddings.position_embedding[0]

    def first_norm(self, x: Tensor) -> Tensor:
        return x

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
    """Wrap a transformers ``BlipForImageTextRetrieval``."""
    image, text = BlipImageTower(model), BlipTextTower(model, tokenizer)
    width = int(model.config.image_text_hidden_size)
    return ModelView(name, image, text, preprocess, tokenizer, width, module=model)
