"""Patch–text cosine: similarity of the last layer's patches and the prompt."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance
from whyclip.models.tower import join_heads

BY_POOLING_HEAD = "each patch pooled alone by the pooling head"


@torch.no_grad()
def patch_text(forward_pass: ForwardPass) -> Relevance:
    """Compare each projected token of the last layer with the target.

    ``H_i = cos(proj(norm(x_i)), t)``, −1 to 1; the "RAW similarity" of Li et al. 2023
    (arXiv 2304.05653), section 3. The model was trained to project only the CLS token, so a patch's
    projection need not describe its content, and is often anticorrelated with it. With a pooling
    head, each patch is pooled separately.

    Args:
        forward_pass: the encoder's forward pass.
    """
    tower = forward_pass.tower
    block = tower.blocks[-1]
    x = forward_pass.states[len(tower.blocks) - 1].to(block.dtype)
    if block.is_pooling_head:
        features = alone(forward_pass, block.qkv(x)[2], x)
        return Relevance(
            cosines(forward_pass, features), forward_pass.embedding, (BY_POOLING_HEAD,)
        )
    features = tower.project(block.forward(x, forward_pass.stream.mask))
    return Relevance(cosines(forward_pass, features), forward_pass.embedding)


def alone(forward_pass: ForwardPass, v: Tensor, x: Tensor) -> Tensor:
    """Embed each token as if it attended only to itself in the last block: ``[b, t, e]``.

    Args:
        forward_pass: the encoder's forward pass.
        v: ``[b, h, t, d]`` values of the last block.
        x: ``[b, t, w]`` input of the last block.
    """
    block = forward_pass.tower.blocks[-1]
    return forward_pass.tower.project(block.finish(x, block.merge(join_heads(v))))


def cosines(forward_pass: ForwardPass, features: Tensor) -> Tensor:
    """Score features ``[b, t, e]`` against every target: ``[b, n, t]``."""
    return forward_pass.targets.score(features).transpose(1, 2)


METHOD = Method(
    name="patch_text",
    title="Patch–text cosine",
    source="Li et al. 2023, arXiv 2304.05653, as a baseline",
    relevance=patch_text,
    text_specific=True,
    by_image=True,
    signed=True,
    cost="1 + the last block",
    scope="features",
    explains="the model's patch tokens, not its score",
    sides=("image",),
)
