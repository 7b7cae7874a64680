"""GAME: positive parts of attention times gradient, propagated through the layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.full_attention import portions, pull_back, run_block
from whyclip.methods.method import Method, Relevance, every_block, first_layer


def game(forward_pass: ForwardPass, *, start_layer: int = -1) -> Relevance:
    """Propagate relevance through attention, weighted by the positive part of its gradient.

    ``R = I``; for each layer ``R ← R + Ā R`` with ``Ā = mean_h (A ⊙ ∂y/∂A)₊``; the result is the
    readout token's row. y is the logit (the score times the model's own scale). Generic attention
    explainability: Chefer et al., ICCV 2021 (arXiv 2103.15679), eqs. 5 and 6. A pooling head
    has no token, so its row is that of ``Ā`` (their cross-attention).

    Args:
        forward_pass: the encoder's forward pass.
        start_layer: first layer; counted from the end if negative. -1 uses only the last layer, as
            the authors do for CLIP, and needs only the readout row; 0 uses all layers.

    Raises:
        OptionError: the encoder does not have that layer.
    """
    first = first_layer(forward_pass.tower, start_layer)
    if first == len(forward_pass.tower.blocks) - 1:
        return _last_layer(forward_pass)
    inputs, _ = portions(forward_pass)
    results = [_propagate(forward_pass, first, part) for part in inputs]
    return Relevance(torch.cat([row for row, _ in results]), torch.cat([end for _, end in results]))


def _last_layer(forward_pass: ForwardPass) -> Relevance:
    readout = forward_pass.readout(1)
    [at_weights] = forward_pass.gradient(readout, "a")
    shared = readout.layers[0].a.float()[:, None] * at_weights * forward_pass.targets.scale
    values = shared.relu().mean(2)
    if not forward_pass.tower.has_pooling_head:
        values = values + F.one_hot(forward_pass.stream.readout_index, values.shape[-1])[:, None]
    return Relevance(values, readout.embedding)


def _propagate(forward_pass: ForwardPass, first: int, inputs: slice) -> tuple[Tensor, Tensor]:
    """Propagate only the readout row, from the last layer down: ``row ← row + row Ā``.

    Returns the row ``[b, n, t]`` and the embedding ``[b, e]`` of some inputs.
    """
    tower, targets, readout = (
        forward_pass.tower,
        forward_pass.targets,
        forward_pass.stream.readout_index[inputs],
    )
    every, last = torch.arange(len(readout), device=readout.device), len(tower.blocks) - 1
    _, parts = portions(forward_pass)
    row = F.one_hot(readout, forward_pass.content_mask.shape[1]).float().repeat(len(targets), 1, 1)
    embedding, upstream = torch.empty(0), torch.empty(0)
    for index in range(last, first - 1, -1):
        run = run_block(forward_pass, index, inputs)
        forward_pass.follow(index, run.output.detach(), inputs)
        if index == last:
            with torch.enable_grad():
                end = tower.project(run.output[every, readout])
            embedding = end.detach().float()
            [upstream] = pull_back(end, targets.gradient(embedding) * targets.scale, run.output)
        below = upstream.new_empty(len(targets), *run.x.shape)
        for part in parts:
            at_weights, below[part] = pull_back(run.output, upstream[part], run.probe, run.x)
            weighed = (at_weights.float() * run.a).relu_().mean(2)
            if tower.blocks[index].is_pooling_head:
                row[part] = weighed[:, :, 0]
            else:
                row[part] += (row[part][:, :, None] @ weighed)[:, :, 0]
        upstream = below
    return row.transpose(0, 1), embedding


METHOD = Method(
    name="game",
    title="GAME",
    source="Chefer et al., ICCV 2021, arXiv 2103.15679",
    relevance=game,
    text_specific=True,
    signed=False,
    cost="1 + n readout gradients; start_layer=0: 2 + 2n",
    scope="score",
    explains="the model itself",
    blocks_needed=every_block,
)
