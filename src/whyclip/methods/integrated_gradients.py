"""Integrated gradients: gradients along the path from a baseline to the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass, precision_context, run_blocks
from whyclip.methods.method import Method, Relevance
from whyclip.methods.perturb import at_least_one, chunks, count_of, grid_of, on_patches
from whyclip.models.tower import Tower
from whyclip.progress import track

# Each input keeps the graph of every block, so fewer inputs fit than without gradients.
AT_ONCE = 8


def integrated_gradients(
    forward_pass: ForwardPass, *, steps: int = 32, batch_size: int = AT_ONCE
) -> Relevance:
    """Integrate the score's gradient along the straight path from a baseline to the input.

    ``H_i = (x_i − x'_i) · ∫₀¹ ∂S/∂x_i (x' + α(x − x')) dα``, summed over the values of a patch or
    piece, with Gauss–Legendre quadrature. Sundararajan et al., ICML 2017 (arXiv 1703.01365), eq. 1.
    The baseline x' of an image is 0 after preprocessing, the mean colour. The baseline of a text
    has the end token's embedding in place of each piece; positions, start, end and padding are
    unchanged. (With zero vectors the path would not be smooth, because the first layer norm ignores
    a vector's length until it is almost zero.)

    The sum over tokens is ``S(x) − S(x')`` up to the quadrature's error, which is the diagnostic
    "completeness gap" and decreases with the number of steps.

    Args:
        forward_pass: the encoder's forward pass.
        steps: points of the quadrature.
        batch_size: inputs differentiated at a time.

    Raises:
        OptionError: an option is not a positive integer.
    """
    at_least_one(steps=steps, batch_size=batch_size)
    path = _Path(forward_pass)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    b, n = len(forward_pass.inputs), len(forward_pass.targets)
    jobs = [
        (i, (1 + float(node)) / 2, float(weight) / 2)
        for i in range(b)
        for node, weight in zip(nodes, weights, strict=True)
    ]
    total = torch.zeros_like(path.sums(path.away)[:, None]).repeat(1, n, 1)
    batches = chunks(jobs, batch_size)
    for part in track(batches, "integrating", count_of(jobs, batch_size)):
        rows = torch.tensor([i for i, _, _ in part])
        alpha, weight = torch.tensor([job[1:] for job in part], device=total.device).T
        gradients = _gradients(forward_pass, path, rows, alpha)
        total.index_add_(0, rows.to(total.device), gradients * weight[:, None, None])
    start = baseline(forward_pass)
    promised = forward_pass.targets.score(forward_pass.embedding) - forward_pass.targets.score(
        start
    )
    gap = (total.sum(-1) - promised).abs()
    if forward_pass.side == "image":
        values, end = on_patches(forward_pass, total), forward_pass.embedding
    else:
        with torch.no_grad():
            every = torch.arange(b).split(AT_ONCE)
            end = torch.cat([path.embed(part, part.new_ones(len(part))) for part in every])
        values = total
    return Relevance(values, end, diagnostics={"completeness gap": gap})


@torch.no_grad()
def baseline(forward_pass: ForwardPass) -> Tensor:
    """Embeddings ``[b, e]`` of the baselines: mean colour, or end tokens in place of pieces."""
    path, every = _Path(forward_pass), torch.arange(len(forward_pass.inputs)).split(AT_ONCE)
    return torch.cat([path.embed(part, part.new_zeros(len(part))) for part in every])


class _Path:
    """The path from the baseline to the inputs: ``baseline + alpha · away``."""

    def __init__(self, forward_pass: ForwardPass) -> None:
        self.forward_pass = forward_pass
        if forward_pass.side == "image":
            self.inputs = self.away = forward_pass.inputs.float()
        else:
            self.inputs = forward_pass.states[0].float()
            self.away = (self.inputs - _without_pieces(forward_pass)) * forward_pass.content_mask[
                ..., None
            ]

    def at(self, rows: Tensor, alpha: Tensor) -> Tensor:
        """Points on the paths of some of the inputs."""
        back = (1 - alpha.to(self.away)).view(-1, *[1] * (self.away.ndim - 1))
        rows = rows.to(self.away.device)
        return self.inputs[rows] - back * self.away[rows]

    def embed(self, rows: Tensor, alpha: Tensor) -> Tensor:
        """Embeddings ``[k, e]`` of points on the path."""
        return self.embed_points(self.at(rows, alpha), rows)

    def embed_points(self, x: Tensor, rows: Tensor) -> Tensor:
        """Embeddings ``[k, e]`` of pixels, or of inputs of the first block, with gradients."""
        forward_pass, stream = self.forward_pass, self.forward_pass.stream
        if forward_pass.side == "image":
            return forward_pass.encode_perturbed(x)
        mask = stream.mask
        if mask is not None and len(mask) > 1:
            mask = mask[rows.to(mask.device)]
        tower, row = forward_pass.tower, stream.readout_index[rows.to(stream.readout_index.device)]
        x = x.to(forward_pass.states[0].dtype)
        with precision_context(tower.device, forward_pass.precision):
            return run_blocks(tower, replace(stream, x=x, mask=mask, readout_index=row)).float()

    def sums(self, x: Tensor) -> Tensor:
        """Sum over the values of each patch or piece: ``[k, t]``."""
        if self.forward_pass.side == "text":
            return x.sum(-1)
        (gh, gw), side = grid_of(self.forward_pass), self.forward_pass.tower.patch  # type: ignore[attr-defined]
        over = x.sum(1)[:, : gh * side, : gw * side]
        return F.avg_pool2d(over, side, divisor_override=1).flatten(1)


@torch.no_grad()
def _without_pieces(forward_pass: ForwardPass) -> Tensor:
    """Input of the first block if every piece were the end token."""
    ids = forward_pass.inputs.clone()
    for row, content in zip(ids, forward_pass.content_mask[:, : ids.shape[1]], strict=True):
        pieces = content.nonzero()[:, 0]
        if len(pieces):
            row[pieces] = row[min(int(pieces[-1]) + 1, len(row) - 1)].clone()
    with precision_context(forward_pass.tower.device, forward_pass.precision):
        return forward_pass.tower.embed(ids).x[:, : forward_pass.content_mask.shape[1]].float()


@torch.enable_grad()
def _gradients(forward_pass: ForwardPass, path: _Path, rows: Tensor, alpha: Tensor) -> Tensor:
    """``(x − x') ∂S/∂x`` at points on the path, summed over each patch or piece: ``[k, n, t]``.

    One forward pass; then a backward pass for each target, or for each dimension of the
        embedding if there are fewer.
    """
    x = path.at(rows, alpha).requires_grad_()
    away = path.away[rows.to(x.device)]
    embedding = path.embed_points(x, rows)
    seeds = forward_pass.targets.gradient(embedding.detach())
    n, e = len(seeds), embedding.shape[1]
    if n > e:
        units = torch.eye(e, device=x.device)[:, None].expand(-1, len(x), -1)
        return torch.einsum("nke,ket->knt", seeds, _backward(path, embedding, x, units, away))
    return _backward(path, embedding, x, seeds, away)


def _backward(path: _Path, embedding: Tensor, x: Tensor, seeds: Tensor, away: Tensor) -> Tensor:
    sums = []
    for index, seed in enumerate(seeds):
        more = index < len(seeds) - 1
        [g] = torch.autograd.grad(embedding, x, seed.to(embedding), retain_graph=more)
        sums.append(path.sums(g * away))
    return torch.stack(sums, 1)


def _reach(tower: Tower, options: Mapping[str, Any]) -> int:
    """Texts need all blocks, because they start at token embeddings; images need none."""
    del options
    return 0 if tower.side == "image" else max(1, len(tower.blocks))


METHOD = Method(
    name="integrated_gradients",
    title="Integrated gradients",
    source="Sundararajan et al., ICML 2017, arXiv 1703.01365",
    relevance=integrated_gradients,
    text_specific=True,
    signed=True,
    cost="1 + steps (32), each with n backward passes",
    scope="score",
    explains="the model itself",
    sums_to="score − score of the baseline, up to the gap in the certificate",
    slow=True,
    blocks_needed=_reach,
    all_targets_at_once=True,
)
