"""OpenCLIP's text transformer as an encoder, with all poolings and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.inputs import written
from whyclip.models.opaque import OpaqueTextTower
from whyclip.models.openclip.block import transformer_blocks
from whyclip.models.tower import Stream, TextTower

# Position of the embedding: the largest id, the end token, or a fixed position.
BY_ID = ("argmax", "eos")
BY_PLACE = ("first", "last")


class OpenCLIPTextTower(TextTower):
    """The text transformer of ``CLIP`` (inline), ``CustomTextCLIP`` and ``CoCa`` (``model.text``).

    CoCa appends a class token and pools it, regardless of the configured pooling. SigLIP has no
    causal mask and pools the last position, even if it is padding.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        text = getattr(model, "text", model)
        self.model, self.text, self.tokenizer = model, text, tokenizer
        self.class_token = getattr(text, "cls_emb", None) is not None
        self.pool = getattr(text, "text_pool_type", getattr(text, "pool_type", "argmax"))
        if not self.class_token and self.pool not in BY_ID + BY_PLACE:
            raise UnsupportedModelError(
                f"text encoder pools by {self.pool!r}, which gives no single embedding"
            )
        eos = getattr(text, "text_eos_id", getattr(text, "eos_id", None))
        self.eos = -1 if eos is None else int(eos)
        self.blocks = transformer_blocks(text.transformer)
        self.context = int(text.context_length)
        masked = getattr(text, "attn_mask", None) is not None
        self.causal = masked and self.pool in BY_ID and not self.class_token

    @property
    def device(self) -> torch.device:
        return self.text.token_embedding.weight.device

    def embed(self, inputs: Tensor) -> Stream:
        if hasattr(self.text, "_embeds"):
            x, mask = self.text._embeds(inputs)
        else:
            dtype = self.text.transformer.get_cast_dtype()
            t = inputs.shape[1]
            x = self.text.token_embedding(inputs).to(dtype)
            x = x + self.text.positional_embedding[:t].to(dtype)
            mask = self.text.attn_mask
        row = self.readout_index(inputs) if self.causal else None
        content = written(self.tokenizer, inputs, row)
        if self.class_token:
            content = torch.cat([content, torch.zeros_like(content[:, :1])], dim=1)
        return Stream(x, self._mask(mask, x), self.readout_index(inputs), content)

    def _mask(self, mask: Tensor | None, x: Tensor) -> Tensor | None:
        """Convert the library's mask to ``[1 or b, 1, t, t]``."""
        if mask is None:
            return None
        b, t, _ = x.shape
        if mask.ndim == 2:
            mask = mask[None, None, :t, :t]
        else:
            # The library repeats each text's mask for every head.
            mask = mask.view(-1, len(mask) // b if len(mask) > 1 else 1, t, t)[:, :1]
        return mask.to(x.dtype)

    def readout_index(self, ids: Tensor) -> Tensor:
        if self.class_token:
            return torch.full((len(ids),), ids.shape[1], device=ids.device)
        if self.pool == "argmax":
            return ids.argmax(-1)
        if self.pool == "eos":
            return (ids == self.eos).int().argmax(-1)
        place = 0 if self.pool == "first" else ids.shape[1] - 1
        return torch.full((len(ids),), place, device=ids.device)

    @property
    def norm(self) -> nn.Module:
        return self.text.ln_final

    def head(self, x: Tensor) -> Tensor:
        projection = self.text.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Linear) else x @ projection

    def encode(self, inputs: Tensor) -> Tensor:
        return TextEncoder(self.model)(inputs)


@dataclass(frozen=True)
class TextEncoder:
    """The library's ``encode_text``; a copy calls its copy of the model."""

    model: Any

    def __call__(self, ids: Tensor) -> Tensor:
        """Embed token ids ``[b, t]``: ``[b, e]``."""
        output = self.model.encode_text(ids, normalize=False)
        # With output_tokens, the embedding is the first of two.
        return output[0] if isinstance(output, tuple) else output


def text_tower(model: Any, tokenizer: Any) -> TextTower:
    """Wrap the text encoder of an OpenCLIP model."""
    text = getattr(model, "text", model)
    if hasattr(text, "transformer") and hasattr(text.transformer, "resblocks"):
        return OpenCLIPTextTower(model, tokenizer)
    pooler = type(getattr(text, "pooler", text)).__name__
    return OpaqueTextTower(
        TextEncoder(model),
        text,
        # The tokenizer sets the limit; text encoders of transformers have a table of positions.
        int(getattr(tokenizer, "context_length", 0) or text.context_length),
        tokenizer,
        f"its tokens are pooled by {pooler} (sides=['image'] works)",
    )
