"""BERT-like text encoders: post-norm blocks, masked padding, pooling at the first token.

Used by Chinese-CLIP, AltCLIP and BLIP's image-text retrieval.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.inputs import written
from whyclip.models.frozen import Affine, chain, residual
from whyclip.models.tower import Block, Stream, TextTower, split_heads

# Tokenizers without a limit report a huge number.
NO_LIMIT = 100_000


class BertBlock(Block):
    """``BertLayer`` and its copies, which are post-norm."""

    pre_norm = False

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.attn, self.output = layer.attention.self, layer.attention.output
        self.heads = self.attn.num_attention_heads
        self.scale = float(self.attn.attention_head_size**-0.5)

    @property
    def dtype(self) -> torch.dtype:
        return self.output.dense.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.layer

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        out = self.layer(x, attention_mask=mask)
        return out[0] if isinstance(out, tuple) else out

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn, heads = self.attn, self.heads
        return (
            split_heads(attn.query(x), heads),
            split_heads(attn.key(x), heads),
            split_heads(attn.value(x), heads),
        )

    def merge(self, o: Tensor) -> Tensor:
        return self.output.dense(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = self.output.LayerNorm(x + update)
        return self.layer.output(self.layer.intermediate(x), x)

    def out_proj(self, z: Tensor) -> Tensor:
        return self.output.dense(z)

    def frozen_value(self, x: Tensor) -> Affine:
        return chain(x, self.attn.value)

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.output.dense)

    def frozen_finish(self, s: Tensor) -> Affine:
        inner, outer = self.layer.intermediate, self.layer.output

        def mlp(x: Tensor) -> Affine:
            return residual(x, inner.dense, inner.intermediate_act_fn, outer.dense)

        return chain(s, self.output.LayerNorm, mlp, outer.LayerNorm)


class BertTextTower(TextTower):
    """A text encoder in which all tokens except padding attend to each other.

    Args:
        model: the whole model.
        text: its text encoder, with ``embeddings``.
        layers: its blocks, first to last.
        tokenizer: the library's own.
        pad: id of the padding.
        positions: number of position embeddings.
    """

    causal = False

    def __init__(
        self, model: Any, text: Any, layers: nn.ModuleList, tokenizer: Any, pad: int, positions: int
    ) -> None:
        self.model, self.text, self.tokenizer, self.pad = model, text, tokenizer, pad
        self.blocks = tuple(BertBlock(layer) for layer in layers)
        inner = getattr(tokenizer, "tokenizer", tokenizer)
        limit = int(inner.model_max_length)
        self.context = positions if limit > NO_LIMIT else min(limit, positions)

    @abstractmethod
    def encode_masked(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embed ids ``[b, t]`` with an attention mask by the library's own calls: ``[b, e]``."""

    @property
    def device(self) -> torch.device:
        return next(self.text.embeddings.parameters()).device

    def embed(self, inputs: Tensor) -> Stream:
        x = self.text.embeddings(input_ids=inputs)
        not_padding = inputs != self.pad
        mask = torch.zeros(not_padding.shape, dtype=x.dtype, device=x.device)
        mask = mask.masked_fill(~not_padding, float("-inf"))[:, None, None]
        t = inputs.shape[1]
        content = written(self.tokenizer, inputs)
        return Stream(x, mask.expand(-1, -1, t, -1), self.readout_index(inputs), content)

    def readout_index(self, ids: Tensor) -> Tensor:
        return torch.zeros(len(ids), dtype=torch.long, device=ids.device)

    def trim(self, inputs: Tensor) -> Tensor:
        """Cut the padding common to all texts; it is masked, so nothing attends to it."""
        used = (inputs != self.pad).any(0).nonzero()
        return inputs[:, : int(used.max()) + 1] if len(used) else inputs

    @property
    def norm(self) -> nn.Module:
        # Only AltCLIP normalises its readout outside the blocks.
        return nn.Identity()

    def encode(self, inputs: Tensor) -> Tensor:
        # Padding is masked, so running all 512 positions would only cost time.
        inputs = self.trim(inputs)
        return self.encode_masked(inputs, (inputs != self.pad).long())


class FirstTokenBert(BertTextTower):
    """A ``BertModel`` without pooler; the first token of its last block is projected.

    Args:
        model: the whole model.
        text: its text encoder.
        tokenizer: the library's own.
    """

    def __init__(self, model: Any, text: Any, tokenizer: Any) -> None:
        config = model.config.text_config
        pad, positions = int(config.pad_token_id), int(config.max_position_embeddings)
        super().__init__(model, text, text.encoder.layer, tokenizer, pad, positions)

    def encode_masked(self, ids: Tensor, mask: Tensor) -> Tensor:
        out = self.text(input_ids=ids, attention_mask=mask)
        return self.head(out.last_hidden_state[:, 0])
