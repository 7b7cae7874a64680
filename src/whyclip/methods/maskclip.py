"""MaskCLIP: dense features from the last block's values, without its attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance
from whyclip.methods.patch_text import alone, cosines
from whyclip.models.tower import join_heads

NO_ATTENTION = "in the last block each patch attends only to itself"


@torch.no_grad()
def maskclip(forward_pass: ForwardPass, *, key_weight: bool = False) -> Relevance:
    """Compare each patch's feature with the prompt, without attention in the last block.

    ``u_i = x_i + merge(v_i)``, then the block's MLP, the final norm and the projection give
    ``f_i``, and ``H_i = cos(f_i, t)``, −1 to 1. Zhou et al., ECCV 2022 (arXiv 2112.01071),
    section 3.2.

    Args:
        forward_pass: the encoder's forward pass.
        key_weight: multiply by ``cos(k_cls, k_i)`` over the full width, as in the comparison of
            Zhao et al. (ICML 2024). A pooling head has no key, so its query is used instead.
    """
    block = forward_pass.tower.blocks[-1]
    x = forward_pass.states[len(forward_pass.tower.blocks) - 1].to(block.dtype)
    q, k, v = block.qkv(x)
    values = cosines(forward_pass, alone(forward_pass, v, x))
    if key_weight:
        queries = join_heads(q if block.is_pooling_head else k)
        values = (
            values * _likeness(queries, join_heads(k), forward_pass.stream.readout_index)[:, None]
        )
    return Relevance(values, forward_pass.embedding, (NO_ATTENTION,))


def _likeness(queries: Tensor, keys: Tensor, row: Tensor) -> Tensor:
    """Return the cosine ``[b, t]`` of the readout's key (or query) with every key."""
    readout = queries[torch.arange(len(queries), device=queries.device), row][:, None]
    return F.cosine_similarity(readout.float(), keys.float(), dim=-1)


METHOD = Method(
    name="maskclip",
    title="MaskCLIP",
    source="Zhou et al., ECCV 2022, arXiv 2112.01071",
    relevance=maskclip,
    text_specific=True,
    by_image=True,
    signed=True,
    cost="1 + the last block",
    scope="features",
    explains="dense features of a modified last block",
    sides=("image",),
)
