"""The spatial weights λ that Grad-ECLIP and Attention-ECLIP share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.readout import ReadoutAttention

Spatial = Literal["loosened", "none", "softmax"]
QK = Literal["raw", "out_proj"]
NormOver = Literal["words", "context"]


def spatial_weights(
    attention: ReadoutAttention, over: Tensor, *, spatial: Spatial, qk: QK
) -> Tensor:
    """Compute the spatial weights λ of the tokens of one layer.

    ``"loosened"`` is λ of Grad-ECLIP, eq. 7: the cosine of query and key over the full width,
    min–max-normalised to 0..1; ``"none"`` is 1 everywhere (the
    paper's ablation without it); ``"softmax"`` is the attention weights, averaged over heads.

    Args:
        attention: the readout row of one layer.
        over: ``[b, t]`` tokens whose cosines set the range.
        spatial: kind of weights.
        qk: whether query and key are compared directly, or after ``out_proj`` with its bias, as in
            the released evaluation script.

    Returns:
        ``[b, t]``; 1 if all cosines are equal.
    """
    if spatial == "none":
        return torch.ones_like(attention.a[:, 0])
    if spatial == "softmax":
        return attention.a.float().mean(1)
    q = attention.q.flatten(1)[:, None]
    k = attention.k.transpose(1, 2).flatten(2)
    if qk == "out_proj":
        with torch.no_grad():
            q, k = attention.block.out_proj(q), attention.block.out_proj(k)
    likeness = F.cosine_similarity(q.float(), k.float(), dim=-1)
    low = likeness.masked_fill(~over, float("inf")).amin(-1, keepdim=True)
    high = likeness.masked_fill(~over, float("-inf")).amax(-1, keepdim=True)
    flat = high <= low
    stretched = (likeness - low) / torch.where(flat, 1.0, high - low)
    return torch.where(flat, torch.ones_like(stretched), stretched)


def readout_weights(forward_pass: ForwardPass, options: Mapping[str, Any]) -> Tensor | None:
    """Return spatial weights λ of the last layer's content tokens ``[b, t]``; None if all are 1."""
    if options["spatial"] == "none":
        return None
    [attention] = forward_pass.readout(1, options["heads"]).layers
    over = normalised_over(forward_pass.content_mask, forward_pass.side, options["norm_over"])
    weights = spatial_weights(attention, over, spatial=options["spatial"], qk=options["qk"])
    return weights * forward_pass.content_mask


def normalised_over(content: Tensor, side: str, norm_over: NormOver) -> Tensor:
    """Select the tokens that set the range of λ: patches or words, or a text's whole context."""
    if side == "text" and norm_over == "context":
        return torch.ones_like(content)
    return content


def sum_layers(maps: list[Tensor], side: str, relu: bool) -> Tensor:
    """Combine the maps of several layers as the published code does.

    Images: ReLU for each layer, then the sum. Texts: the sum, then ReLU.
    """
    stacked = torch.stack(maps)
    if not relu:
        return stacked.sum(0)
    return stacked.relu().sum(0) if side == "image" else stacked.sum(0).relu()
