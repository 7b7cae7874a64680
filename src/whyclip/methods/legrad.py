"""LeGrad: gradients of each layer's score with respect to its attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.full_attention import portions, pull_back, run_block
from whyclip.methods.method import Method, Relevance, first_layer
from whyclip.models.tower import Tower

MEAN_TOKEN = "score of the mean token after each layer, not of the readout token"
EARLY_POOL = "scores of earlier layers' tokens, pooled as if they were the last"


def legrad(forward_pass: ForwardPass, *, start_layer: int | None = None) -> Relevance:
    """Sum the positive gradients of each layer's score with respect to its attention.

    ``S_l = cos(proj(norm(mean_t Z_l)), target)`` with Z_l the tokens after layer l, and
    ``H_i = Σ_l mean_{h,q} (∂S_l/∂A^h_l,qi)₊``: the gradient itself is the relevance, without
    attention weights. With a pooling head, S_l is the score of the tokens that enter layer l,
    pooled directly, and A_l the pooling head's attention to them. Bousselham et al., ICCV 2025
    (arXiv 2404.03214), section 3; the released code sums over layers and scales maps to 0..1, which
    whyclip does only in rendering.

    Means are over the tokens that the readout token can attend to. For an image these are all
    tokens, CLS included, as published. For a text (whyclip's choice, as the paper has only images)
    they are BOS, words and EOS, without masked padding. The same tokens are the queries q, so
    masked padding has no effect. Masked weights are excluded, and the mean is over the queries that
    can attend to i; a sum would favour the first words, which more queries can attend to.

    Args:
        forward_pass: the encoder's forward pass.
        start_layer: first layer; counted from the end if negative. By default the last two layers,
            as in the released code.

    Raises:
        OptionError: the encoder does not have that layer.
    """
    first, tower = _first(forward_pass.tower, start_layer), forward_pass.tower
    b, t = forward_pass.content_mask.shape
    values = torch.zeros(b, len(forward_pass.targets), t, device=forward_pass.content_mask.device)
    inputs, targets = portions(forward_pass)
    embeddings = []
    for rows in inputs:
        embedding = torch.empty(0)
        for end, probe, shares in _ends(forward_pass, first, rows):
            embedding = end.detach().float()
            upstream = forward_pass.targets.gradient(embedding)
            for part in targets:
                [at_weights] = pull_back(end, upstream[part], probe)
                over_heads = at_weights.float().relu_().mean(2)
                values[rows, part] += torch.einsum("bqt,nbqt->bnt", shares, over_heads)
        embeddings.append(embedding)
    changes: tuple[str, ...] = (MEAN_TOKEN,)
    if tower.has_pooling_head:
        changes = (EARLY_POOL,) if first < len(tower.blocks) - 1 else ()
    return Relevance(values, torch.cat(embeddings), changes)


def _ends(
    forward_pass: ForwardPass, first: int, rows: slice
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield each layer's embedding ``[b, e]``, attention probe and query shares ``[b, q, t]``."""
    tower, mask = forward_pass.tower, forward_pass.stream.mask
    weights = _share_in_mean(forward_pass)[rows]
    shares = weights[..., None]
    if mask is not None:
        shares = shares * _allowed(mask[:, 0] if len(mask) == 1 else mask[rows, 0])
        # None of these queries attends to tokens after the readout token.
        shares = shares / shares.sum(1, keepdim=True).clamp_min(1e-9)
    for index in range(first, len(tower.blocks)):
        run = run_block(
            forward_pass, index, rows, tower.blocks[-1] if tower.has_pooling_head else None
        )
        with torch.enable_grad():
            if tower.has_pooling_head:
                yield tower.project(run.output[:, 0]), run.probe, torch.ones_like(shares[:, :1, :1])
            else:
                mean = (run.output * weights[..., None].to(run.output.dtype)).sum(1)
                yield tower.project(mean), run.probe, shares


def _share_in_mean(forward_pass: ForwardPass) -> Tensor:
    """``[b, t]``: 1 / n for the n tokens that the readout token attends to, else 0."""
    stream = forward_pass.stream
    b = len(stream.readout_index)
    visible = torch.ones_like(stream.content_mask)
    if stream.mask is not None:
        every = torch.arange(b, device=stream.readout_index.device)
        visible = _allowed(stream.mask.expand(b, -1, -1, -1)[every, 0, stream.readout_index])
    return visible.float() / visible.sum(-1, keepdim=True)


def _allowed(mask: Tensor) -> Tensor:
    """Find unmasked positions; libraries mask with -inf or the smallest finite number."""
    return mask > -1e4


def _first(tower: Tower, start_layer: int | None) -> int:
    if start_layer is None:
        return max(len(tower.blocks) - 2, 0)
    return first_layer(tower, start_layer)


def _reach(tower: Tower, options: Mapping[str, Any]) -> int:
    return max(len(tower.blocks) - _first(tower, options["start_layer"]), 1)


METHOD = Method(
    name="legrad",
    title="LeGrad",
    source="Bousselham et al., ICCV 2025, arXiv 2404.03214",
    relevance=legrad,
    text_specific=True,
    signed=False,
    cost="1 + (1 + n) × share of layers used",
    scope="features",
    explains="scores of each layer's mean token, not the model's own",
    blocks_needed=_reach,
)
