"""The model with the attention weights of its last block permuted over heads."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass, run_blocks
from whyclip.models.frozen import Affine
from whyclip.models.tower import Block, Tower, after_attention, attend
from whyclip.pipeline import attribute_text
from whyclip.studies.audit.cases import AuditCase, AuditSetup
from whyclip.studies.audit.evidence import relevance_of
from whyclip.types import Side


class ExchangedHeads(Block):
    """A block in which each head uses the attention weights of the next head."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self.heads, self.scale = block.heads, block.scale
        self.is_pooling_head, self.pre_norm = block.is_pooling_head, block.pre_norm

    def __getattr__(self, name: str) -> Any:
        """Forward attributes outside the interface to the original block."""
        return getattr(self._block, name)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the block's weights."""
        return self._block.dtype

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Run the block by its parts."""
        weights, v = attend(self, x.to(self.dtype), mask)
        return after_attention(self, x, weights, v)

    def first_norm(self, x: Tensor) -> Tensor:
        """Normalise the block's input before its attention."""
        return self._block.first_norm(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of the next head, values of the head itself."""
        q, k, v = self._block.qkv_of(x)
        return q.roll(1, 1), k.roll(1, 1), v

    def merge(self, o: Tensor) -> Tensor:
        """Map concatenated heads to the update of the residual stream."""
        return self._block.merge(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        """Add the update and run norms and MLP."""
        return self._block.finish(x, update)

    def out_proj(self, z: Tensor) -> Tensor:
        """The attention's output projection."""
        return self._block.out_proj(z)

    def frozen_value(self, x: Tensor) -> Affine:
        """Affine map from the residual stream to the values."""
        return self._block.frozen_value(x)

    def frozen_merge(self, o: Tensor) -> Affine:
        """``merge`` as an affine map."""
        return self._block.frozen_merge(o)

    def frozen_finish(self, s: Tensor) -> Affine:
        """``finish`` as an affine map."""
        return self._block.frozen_finish(s)


def with_exchanged_heads(tower: Tower) -> Tower:
    """Return an encoder over the same modules with exchanged heads in its last block."""
    changed = copy(tower)
    changed.blocks = [*tower.blocks[:-1], ExchangedHeads(tower.blocks[-1])]
    # Methods that run the encoder again must run the changed encoder.
    changed.encode = lambda inputs: run_blocks(changed, changed.embed(inputs))  # type: ignore[method-assign]
    return changed


@torch.no_grad()
def passed_again(forward_pass: ForwardPass) -> ForwardPass:
    """Repeat a forward pass with exchanged heads in the last block."""
    tower = with_exchanged_heads(forward_pass.tower)
    last = len(tower.blocks) - 1
    x = tower.blocks[last].forward(forward_pass.states[last], forward_pass.stream.mask)
    rows = torch.arange(len(x), device=x.device)
    embedding = tower.project(x[rows, forward_pass.stream.readout_index]).float()
    return replace(
        forward_pass,
        tower=tower,
        embedding=embedding,
        public_embedding=None,
        checked=0,
        _readouts={},
    )


def measure_exchanged_heads(setup: AuditSetup, case: AuditCase) -> None:
    """Compare each map and word relevance before and after the exchange of heads."""
    image = passed_again(case.forward_pass) if _has_heads(case.forward_pass) else None
    texts = None
    passes = case.encoded.forward_passes
    if passes and all(map(_has_heads, passes)):
        again = tuple(passed_again(forward_pass) for forward_pass in passes)
        texts = replace(case.encoded, forward_passes=again)
    for label, variant in setup.variants.items():
        if image is not None and "image" in variant.sides:
            values = variant.relevance(image).values.detach().float().cpu()
            _note(case, label, "image", list(values[0]))
        if texts is not None and "text" in variant.sides:
            result = attribute_text(variant, texts, case.forward_pass.embedding)
            assert result.words is not None, "the text side has words"
            _note(case, label, "text", [relevance_of(words) for words in result.words[0]])


def _has_heads(forward_pass: ForwardPass) -> bool:
    blocks = forward_pass.tower.blocks
    return bool(blocks) and blocks[-1].heads > 1 and len(blocks) - 1 in forward_pass.states


def _note(case: AuditCase, label: str, side: Side, changed: list[Tensor]) -> None:
    method, count = case.evidence.methods[label], case.evidence.true_count
    before = method.relevance(side)[:count]
    pairs = zip(before, changed[:count], strict=True)
    method.exchanged_heads[side] = [
        float((a - b).norm() / a.norm()) if float(a.norm()) else float("nan") for a, b in pairs
    ]
