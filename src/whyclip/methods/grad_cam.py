"""Grad-CAM, channels of a layer weighted by the score's mean gradient; HiResCAM and LayerCAM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.products import vector_jacobian_products
from whyclip.methods.method import Method, Relevance, layer_index
from whyclip.methods.readout import mask_of_readout, read_out
from whyclip.models.tower import Block, Stream, Tower, join_heads

# Backward passes (targets × images) that share their matrix products; each needs the memory of one
# image's queries, keys and values.
BACKWARDS_AT_ONCE = 64

Node = Literal["block", "ln_1"]
Elementwise = Literal["off", "hirescam", "layercam"]


def grad_cam(
    forward_pass: ForwardPass,
    *,
    relu: bool = True,
    node: Node = "block",
    layer: int = -1,
    elementwise: Elementwise = "off",
) -> Relevance:
    """Weight the channels of each token by the score's gradient, averaged over all tokens.

    ``H_i = ReLU(Σ_c w_c F_ic)`` with F the tokens that enter the last block and
    ``w_c = (1/T) Σ_t ∂S/∂F_tc`` over all T tokens, CLS included. Selvaraju et al., ICCV 2017 (arXiv
    1610.02391), eqs. 1 and 2, adapted to transformers as in the comparison of Zhao et al., ICML
    2024. The sum of the gradients over tokens is the gradient at one vector added to all of them,
    so gradients of single tokens are not stored.

    Users of the library ``pytorch-grad-cam`` take F from the first norm of the last block
    (``node="ln_1"``) and average only over the patches, which its ``reshape_transform`` keeps.

    Args:
        forward_pass: the encoder's forward pass.
        relu: keep only positive relevance.
        node: ``"block"`` takes F at the block's input; ``"ln_1"`` after the block's first norm,
            with the gradient averaged over patches.
        layer: the block, counted from the start, or from the end if negative.
        elementwise: instead of averaging, multiply each token by its own gradient: HiResCAM,
            ``Σ_c g_ic F_ic`` (Draelos & Carin, arXiv 2011.08891), or LayerCAM,
            ``Σ_c ReLU(g_ic) F_ic`` (Jiang et al., IEEE TIP 2021). HiResCAM of patches that enter
            the last block is zero, because its norm ignores their length.

    Raises:
        OptionError: the encoder does not have that layer, or no norm before that attention.
    """
    first = _node_of(forward_pass.tower, node, layer)
    features = _features(forward_pass, first, node)
    b, t, width = features.shape
    every, patches = elementwise != "off", forward_pass.content_mask[..., None].to(features)
    averaged = patches if node == "ln_1" else torch.ones_like(patches)
    with torch.enable_grad():
        probe = features.new_zeros(b, t if every else 1, width).requires_grad_()
        shown = features + (probe if every else probe * averaged)
        output = _read_on(forward_pass, first, node, shown)
    embedding = output.detach().float()
    values = torch.empty(b, len(forward_pass.targets), t, device=features.device)
    at_once = max(BACKWARDS_AT_ONCE // (b * (t if every else 1)), 1)
    for start in range(0, len(forward_pass.targets), at_once):
        part = slice(start, start + at_once)
        upstream = forward_pass.targets[part].gradient(embedding)
        [gradient] = vector_jacobian_products(output, (probe,), upstream)
        gradient = gradient.float()
        if elementwise == "layercam":
            gradient = gradient.relu()
        if not every:
            gradient = gradient / averaged.float().sum(1, keepdim=True)
        values[:, part] = (gradient * features.float()).sum(-1).transpose(0, 1)
    return Relevance(values.relu() if relu else values, embedding)


def _node_of(tower: Tower, node: Node, layer: int) -> int:
    """Return the index of the block.

    Raises:
        OptionError: there is no such block, or no norm before its attention.
    """
    first = layer_index(tower, "layer", layer)
    if node == "ln_1" and type(tower.blocks[first]).first_norm is Block.first_norm:
        raise OptionError(
            f"node='ln_1': no norm precedes the attention of {tower.side} block {first}; "
            "use node='block'"
        )
    return first


def _features(forward_pass: ForwardPass, first: int, node: Node) -> Tensor:
    block = forward_pass.tower.blocks[first]
    x = forward_pass.states[first].to(block.dtype).detach()
    with torch.no_grad():
        return block.first_norm(x) if node == "ln_1" else x


def _read_on(forward_pass: ForwardPass, first: int, node: Node, features: Tensor) -> Tensor:
    """Run the encoder from the node to the embeddings ``[b, e]``; differentiable."""
    tower, stream = forward_pass.tower, forward_pass.stream
    x = forward_pass.states[first].to(tower.blocks[first].dtype).detach()
    for index in range(first, len(tower.blocks) - 1):
        block = tower.blocks[index]
        if index == first and node == "ln_1":
            x = _whole_block(block, x, features, stream)
        else:
            start = features if index == first else x
            x = _whole_block(block, start, block.first_norm(start), stream)
    last = len(tower.blocks) - 1
    mask = mask_of_readout(stream)
    if first == last and node == "ln_1":
        return read_out(tower, x, stream.readout_index, mask, normed=features)
    return read_out(tower, features if first == last else x, stream.readout_index, mask)


def _whole_block(block: Block, x: Tensor, normed: Tensor, stream: Stream) -> Tensor:
    q, k, v = block.qkv_of(normed)
    logits = q @ k.transpose(-1, -2) * block.scale
    weights = (logits if stream.mask is None else logits + stream.mask).softmax(-1)
    return block.finish(x, block.merge(join_heads(weights @ v)))


def _reach(tower: Tower, options: Mapping[str, Any]) -> int:
    first = _node_of(tower, options.get("node", "block"), options.get("layer", -1))
    return len(tower.blocks) - first


METHOD = Method(
    name="grad_cam",
    title="Grad-CAM",
    source="Selvaraju et al., ICCV 2017, arXiv 1610.02391",
    relevance=grad_cam,
    text_specific=True,
    by_image=True,
    signed=False,
    cost="1 + n gradients of the last block",
    scope="score",
    explains="the model itself",
    sides=("image",),
    blocks_needed=_reach,
)
