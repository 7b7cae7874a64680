"""OpenCLIP's own vision and text transformers as towers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.model.view import (
    Block,
    ImageTower,
    ModelView,
    Stream,
    TextTower,
    interpolate_positions,
    split_heads,
)


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
                "scaled-cosine attention has no plain softmax(q·k) weights; "
                "white-box methods cannot read it, only black-box ones can"
            )

    @property
    def dtype(self) -> torch.dtype:
        return self.attn.out_proj.weight.dtype

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            shared = mask.shape[:2] == (1, 1)
            t = mask.shape[-1]
            mask = mask[0, 0] if shared else mask.expand(len(x), self.heads, t, t).flatten(0, 1)
        if self.batch_first:
            return self.module(x, attn_mask=mask)
        return self.module(x.transpose(0, 1), attn_mask=mask).transpose(0, 1)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normed = self.module.ln_1(x)
        joint = F.linear(normed, self.attn.in_proj_weight, self.attn.in_proj_bias)
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


def _blocks(transformer: Any) -> tuple[OpenCLIPBlock, ...]:
    batch_first = getattr(transformer, "batch_first", True)
    return tuple(OpenCLIPBlock(block, batch_first) for block in transformer.resblocks)


class OpenCLIPImageTower(ImageTower):
    """OpenCLIP's ``VisionTransformer`` with class-token pooling."""

    def __init__(self, model: Any) -> None:
        visual = model.visual
        if not hasattr(visual, "transformer") or not hasattr(visual, "class_embedding"):
            raise UnsupportedModelError(
                f"image tower {type(visual).__name__} is not OpenCLIP's VisionTransformer; "
                "use a ViT model such as ViT-B-16"
            )
        if visual.attn_pool is not None or visual.pool_type != "tok":
            pooling = "attentional" if visual.attn_pool is not None else visual.pool_type
            raise UnsupportedModelError(
                f"image tower pools its tokens by {pooling!r}; "
                "whyclip reads class-token pooling ('tok') so far"
            )
        self.model, self.visual = model, visual
        self.blocks = _blocks(visual.transformer)
        self.patch = int(visual.conv1.kernel_size[0])
        rows, columns = visual.grid_size
        self.native = (int(rows), int(columns))

    @property
    def device(self) -> torch.device:
        return self.visual.class_embedding.device

    def embed(self, inputs: Tensor) -> Stream:
        visual = self.visual
        features = visual.conv1(inputs.to(visual.conv1.weight.dtype))
        b, _, gh, gw = features.shape
        first = visual.class_embedding.to(features.dtype).expand(b, 1, -1)
        x = torch.cat([first, features.flatten(2).transpose(1, 2)], dim=1)
        x = x + interpolate_positions(
            visual.positional_embedding.to(x.dtype), self.native, (gh, gw)
        )
        x = visual.ln_pre(visual.patch_dropout(x))
        content = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        content[:, 0] = False
        row = torch.zeros(b, dtype=torch.long, device=x.device)
        return Stream(x, None, row, content, (gh, gw))

    @property
    def norm(self) -> nn.Module:
        return self.visual.ln_post

    def head(self, x: Tensor) -> Tensor:
        return x if self.visual.proj is None else x @ self.visual.proj

    def encode(self, inputs: Tensor) -> Tensor:
        return self.model.encode_image(inputs.to(self.visual.conv1.weight.dtype))


class OpenCLIPTextTower(TextTower):
    """The causal text transformer of ``CLIP`` (inline) and ``CustomTextCLIP`` (``model.text``)."""

    def __init__(self, model: Any) -> None:
        text = getattr(model, "text", model)
        if not hasattr(text, "transformer") or not hasattr(text.transformer, "resblocks"):
            raise UnsupportedModelError(
                f"text tower {type(text).__name__} is not OpenCLIP's text transformer"
            )
        self.pool = getattr(text, "text_pool_type", getattr(text, "pool_type", "argmax"))
        self.eos = int(getattr(text, "text_eos_id", getattr(text, "eos_id", None)) or -1)
        mask = getattr(text, "attn_mask", None)
        if self.pool not in ("argmax", "eos", "last") or mask is None:
            raise UnsupportedModelError(
                f"text tower pools by {self.pool!r} {'without' if mask is None else 'with'} a "
                "causal mask; whyclip reads causal towers pooled at their end token so far"
            )
        if getattr(text, "cls_emb", None) is not None:
            raise UnsupportedModelError(
                "text tower appends a class token (CoCa); whyclip does not read it yet"
            )
        self.model, self.text = model, text
        self.blocks = _blocks(text.transformer)
        self.context = int(text.context_length)
        self.causal = self.pool != "last"

    @property
    def device(self) -> torch.device:
        return self.text.token_embedding.weight.device

    def embed(self, inputs: Tensor) -> Stream:
        dtype = self.text.transformer.get_cast_dtype()
        x = self.text.token_embedding(inputs).to(dtype)
        t = x.shape[1]
        x = x + self.text.positional_embedding[:t].to(dtype)
        row = self.readout_row(inputs)
        place = torch.arange(t, device=x.device)
        content = (place > 0) & (place < row[:, None])
        return Stream(x, self.text.attn_mask[None, None, :t, :t].to(dtype), row, content)

    def readout_row(self, ids: Tensor) -> Tensor:
        if self.pool == "argmax":
            return ids.argmax(-1)
        if self.pool == "eos":
            return (ids == self.eos).int().argmax(-1)
        return torch.full((len(ids),), ids.shape[1] - 1, device=ids.device)

    @property
    def norm(self) -> nn.Module:
        return self.text.ln_final

    def head(self, x: Tensor) -> Tensor:
        projection = self.text.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def encode(self, inputs: Tensor) -> Tensor:
        return self.model.encode_text(inputs)


def openclip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Describe an OpenCLIP ``CLIP`` or ``CustomTextCLIP`` in memory.

    Raises:
        UnsupportedModelError: a tower is of a kind that cannot be followed.
    """
    image, text = OpenCLIPImageTower(model), OpenCLIPTextTower(model)
    bias = getattr(model, "logit_bias", None)
    return ModelView(
        name,
        image,
        text,
        preprocess,
        tokenizer,
        width=int(model.visual.output_dim),
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=None if bias is None else float(bias.detach()),
    )
