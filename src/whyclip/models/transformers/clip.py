"""CLIP of transformers as encoders, and models with the same parts, such as MetaCLIP 2."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.inputs import written
from whyclip.models.frozen import Affine, chain, residual
from whyclip.models.patch_tokens import layout_of, read_at_first, with_class_token
from whyclip.models.tower import (
    Block,
    ImageTower,
    Stream,
    TextTower,
    split_heads,
)
from whyclip.models.view import ModelView

# transformers released CLIP configs with this wrong id before fixing it in 4.31; such models are
# pooled at the largest id instead, as in the library.
LEGACY_EOS = 2


class HFBlock(Block):
    """``CLIPEncoderLayer`` of transformers 4 and 5, and the similar layers of SigLIP."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.attn = layer.self_attn
        self.heads = self.attn.num_heads
        self.scale = float(self.attn.scale)
        # transformers 4 takes the causal and the padding mask separately, and no mask for some
        # vision encoders; 5 takes one mask.
        names = inspect.signature(layer.forward).parameters
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in names.values())
        self.masked = "attention_mask" in names or takes_any
        self.extra = {"causal_attention_mask": None} if "causal_attention_mask" in names else {}

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.out_proj.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.layer

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        masks = {"attention_mask": mask, **self.extra} if self.masked else {}
        out = self.layer(x, **masks)
        return out[0] if isinstance(out, tuple) else out

    def first_norm(self, x: Tensor) -> Tensor:
        return self.layer.layer_norm1(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn, heads = self.attn, self.heads
        return (
            split_heads(attn.q_proj(x), heads),
            split_heads(attn.k_proj(x), heads),
            split_heads(attn.v_proj(x), heads),
        )

    def merge(self, o: Tensor) -> Tensor:
        return self.attn.out_proj(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        return x + self.layer.mlp(self.layer.layer_norm2(x))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.attn.out_proj(z)

    def frozen_value(self, x: Tensor) -> Affine:
        return chain(x, self.layer.layer_norm1, self.attn.v_proj)

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.attn.out_proj)

    def frozen_finish(self, s: Tensor) -> Affine:
        return residual(s, self.layer.layer_norm2, self.layer.mlp)


def pooled(output: Any) -> Tensor:
    """Return the tensor of ``get_*_features``, which is an output object in transformers 5."""
    return output if isinstance(output, Tensor) else output.pooler_output


class HFImageTower(ImageTower):
    """``CLIPVisionModel`` with its projection."""

    block: type[Block] = HFBlock

    def __init__(self, model: Any) -> None:
        self.model, self.vision = model, model.vision_model
        self.blocks = tuple(self.block(layer) for layer in self.vision.encoder.layers)  # type: ignore[call-arg]
        self.patch, self.native_grid, self.native_size = layout_of(model.config.vision_config)

    @property
    def device(self) -> torch.device:
        return self.vision.embeddings.class_embedding.device

    def embed(self, inputs: Tensor) -> Stream:
        parts = self.vision.embeddings
        features = parts.patch_embedding(inputs.to(parts.patch_embedding.weight.dtype))
        x = with_class_token(parts.class_embedding, features, self.positions, self.native_grid)
        return read_at_first(self.first_norm(x), features.shape[-2:])

    @property
    def positions(self) -> Tensor:
        """Position embeddings ``[1 + gh·gw, w]`` of the native grid."""
        return self.vision.embeddings.position_embedding.weight

    def first_norm(self, x: Tensor) -> Tensor:
        """Normalise the tokens before the first block."""
        return self.vision.pre_layrnorm(x)

    @property
    def norm(self) -> nn.Module:
        return self.vision.post_layernorm

    def head(self, x: Tensor) -> Tensor:
        return self.model.visual_projection(x)

    def encode(self, inputs: Tensor) -> Tensor:
        dtype = self.vision.embeddings.patch_embedding.weight.dtype
        return pooled(self.model.get_image_features(pixel_values=inputs.to(dtype)))


class HFTextTower(TextTower):
    """``CLIPTextModel`` with its projection."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.text, self.tokenizer = model, model.text_model, tokenizer
        self.blocks = tuple(HFBlock(layer) for layer in self.text.encoder.layers)
        config = model.config.text_config
        self.context = int(config.max_position_embeddings)
        self.eos = config.eos_token_id
        # CLIP's first configurations have a wrong id; the same number is correct for MetaCLIP 2.
        self.by_largest = self.eos == LEGACY_EOS and model.config.model_type == "clip"
        self.causal = True

    @property
    def device(self) -> torch.device:
        return self.text.embeddings.token_embedding.weight.device

    def embed(self, inputs: Tensor) -> Stream:
        x = self.text.embeddings(input_ids=inputs)
        t = x.shape[1]
        mask = torch.full((t, t), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
        row = self.readout_index(inputs)
        content = written(self.tokenizer, inputs, row)
        return Stream(x, mask[None, None], row, content)

    def readout_index(self, ids: Tensor) -> Tensor:
        ends = ids if self.by_largest else (ids == self.eos).int()
        return ends.argmax(-1)

    @property
    def norm(self) -> nn.Module:
        return self.text.final_layer_norm

    def head(self, x: Tensor) -> Tensor:
        return self.model.text_projection(x)

    def encode(self, inputs: Tensor) -> Tensor:
        return pooled(self.model.get_text_features(input_ids=inputs))


def clip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a transformers ``CLIPModel`` or ``MetaClip2Model``."""
    image, text = HFImageTower(model), HFTextTower(model, tokenizer)
    width = int(model.projection_dim)
    return ModelView(name, image, text, preprocess, tokenizer, width, module=model)
