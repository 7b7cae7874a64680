"""Forward passes with gradients, for training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from whyclip.models.tower import Block, ImageTower, Stream, Tower, after_attention


@dataclass(frozen=True)
class TrainingPass:
    """One encoder's forward pass with gradients.

    Attributes:
        stream: the tokens that entered the first block.
        inputs: ``[b, t, w]`` input of each block.
        embedding: ``[b, e]``, not normalised.
    """

    stream: Stream
    inputs: tuple[Tensor, ...]
    embedding: Tensor

    @property
    def unit(self) -> Tensor:
        """The embedding, float32 and divided by its length."""
        return F.normalize(self.embedding.float(), dim=-1)


def run_with_gradients(
    tower: Tower, inputs: Tensor, *, checkpoint_blocks: bool = False
) -> TrainingPass:
    """Run an encoder's own blocks, one after another.

    Args:
        tower: the encoder; one without known blocks is called as a whole.
        inputs: pixels ``[b, 3, H, W]`` or token ids ``[b, t]``, on the encoder's device.
        checkpoint_blocks: recompute each block in the backward pass instead of keeping its
            activations; this needs less memory and more time.
    """
    if tower.opaque:
        return TrainingPass(tower.embed(inputs), (), tower.encode(inputs))
    stream = tower.embed(tower.trim(inputs))
    x, kept = stream.x, []
    for block in tower.blocks:
        kept.append(x)
        if checkpoint_blocks and torch.is_grad_enabled():
            x = checkpoint(
                block.forward,
                x,
                stream.mask,
                use_reentrant=False,
                # The backward pass recomputes the block outside the caller's context.
                context_fn=lambda: (nullcontext(), attention_for_training(inputs.device)),
            )
        else:
            x = block.forward(x, stream.mask)
    return TrainingPass(stream, tuple(kept), tower.project(_readout(x, stream.readout_index)))


def attention_for_training(device: torch.device) -> AbstractContextManager[object]:
    """Choose the attention kernel with the fastest backward pass.

    On a CPU this is the plain kernel; a step takes three quarters of the default's time.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def embed_without(tower: ImageTower, stream: Stream, hidden: Tensor) -> Tensor:
    """Embed images with some patches removed: ``[b, e]``, not normalised.

    No token attends to a removed patch in any block, so it has no effect on the embedding.

    Args:
        tower: an image encoder with blocks.
        stream: the tokens that entered its first block.
        hidden: bool ``[b, patches]``; at least one token of each image must remain.
    """
    x = stream.x
    columns = F.pad(hidden, (x.shape[1] - hidden.shape[1], 0))[:, None, None]
    lowest = torch.finfo(x.dtype).min
    mask = torch.zeros(columns.shape, dtype=x.dtype, device=x.device).masked_fill(columns, lowest)
    mask = mask.expand(-1, -1, x.shape[1], -1)
    for block in tower.blocks:
        x = _pool_without(block, x, columns) if block.is_pooling_head else block.forward(x, mask)
    return tower.project(_readout(x, stream.readout_index))


def _pool_without(block: Block, x: Tensor, columns: Tensor) -> Tensor:
    q, k, v = block.qkv(x.to(block.dtype))
    logits = q @ k.transpose(-1, -2) * block.scale
    weights = logits.masked_fill(columns, torch.finfo(logits.dtype).min).softmax(-1)
    return after_attention(block, x, weights, v)


def readout_contribution(
    tower: ImageTower, stream: Stream, x: Tensor, texts: Tensor, patches: int
) -> Tensor:
    """Compute the ``contribution`` map of each image's own match score, differentiably.

    ``H_i = Σ_h A^h_i (g^h · v^h_i)`` with ``g = ∂S/∂o`` at the last block's pooled (CLS) token.

    Args:
        tower: an image encoder with blocks.
        stream: the tokens that entered its first block.
        x: ``[b, t, w]`` input of the last block.
        texts: ``[b, e]`` of length 1, one for each image.
        patches: number of patches; they are the last tokens.

    Returns:
        ``[b, patches]``, signed; its gradient reaches the parameters.
    """
    block, every = tower.blocks[-1], torch.arange(len(x), device=x.device)
    q, k, v = block.qkv(x.to(block.dtype))
    logits = torch.einsum("bhd,bhtd->bht", q[every, :, stream.readout_index], k) * block.scale
    weights = logits.softmax(-1)
    output = torch.einsum("bht,bhtd->bhd", weights, v).flatten(1)
    with torch.enable_grad():
        end = tower.project(block.finish(x[every, stream.readout_index], block.merge(output)))
        scores = (F.normalize(end.float(), dim=-1) * texts).sum()
        [gradient] = torch.autograd.grad(scores, output, create_graph=True)
    per_head = gradient.unflatten(-1, (weights.shape[1], -1))
    relevance = torch.einsum("bhd,bhtd->bht", per_head, v) * weights
    return relevance.sum(1)[:, -patches:].float()


def _readout(x: Tensor, row: Tensor) -> Tensor:
    return x[torch.arange(len(x), device=x.device), row]
