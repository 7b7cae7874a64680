"""LeGrad: how each layer's attention moves the score of that layer's mean token."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.capture import Capture
from whyclip.methods.full_attention import portions, pull_back, run_block
from whyclip.methods.method import Method, Relevance, every_block, first_layer

MEAN_TOKEN = "score of the mean token after each layer, not of the readout token"


def legrad(capture: Capture, *, start_layer: int = -2) -> Relevance:
    """Sum the positive gradients at each layer's attention, of the layer's own score.

    ``S_l = cos(proj(norm(mean_t Z_l)), target)`` with Z_l the tokens after layer l, and
    ``H_i = Σ_l mean_{h,q} (∂S_l/∂A^h_l,qi)₊``: the gradient itself is the relevance, no attention
    weight enters. Bousselham et al., ICCV 2025 (arXiv 2404.03214), section 3; the released
    code sums over layers and stretches maps to 0..1, which here is left to rendering.

    Means are over the tokens that the readout token can see: for an image all, CLS included, as
    published; for a text (own choice, the paper has images only) BOS, words and EOS but no
    padding, and the same tokens are the queries q, so that padding changes nothing.

    Args:
        capture: the tower's forward pass.
        start_layer: the first layer, or from the end if negative; the released code takes the
            last two.

    Raises:
        OptionError: the tower does not have that layer.
    """
    first, depth = first_layer(capture.tower, start_layer), len(capture.tower.blocks)
    share = _share_in_mean(capture)
    b, t = share.shape
    values = torch.zeros(b, len(capture.targets), t, device=share.device)
    inputs, targets = portions(capture)
    ends = []
    for rows in inputs:
        weights = share[rows]
        for index in range(first, depth):
            run = run_block(capture, index, rows)
            with torch.enable_grad():
                mean = (run.output * weights[..., None].to(run.output.dtype)).sum(1)
                end = capture.tower.project(mean)
            upstream = capture.targets.gradient(end.detach())
            for part in targets:
                [at_weights] = pull_back(end, upstream[part], run.probe)
                over_heads = at_weights.float().relu_().mean(2)
                values[rows, part] += torch.einsum("bq,nbqt->bnt", weights, over_heads)
        ends.append(end.detach().float())
    return Relevance(values, torch.cat(ends), (MEAN_TOKEN,))


def _share_in_mean(capture: Capture) -> Tensor:
    """``[b, t]``: 1 over their number for tokens that the readout token sees, else 0."""
    stream = capture.stream
    b = len(stream.row)
    seen = torch.ones_like(stream.content)
    if stream.mask is not None:
        every = torch.arange(b, device=stream.row.device)
        # Some libraries mask by the least finite number, some by minus infinity.
        seen = stream.mask.expand(b, -1, -1, -1)[every, 0, stream.row] > -1e4
    return seen.float() / seen.sum(-1, keepdim=True)


METHOD = Method(
    name="legrad",
    title="LeGrad",
    source="Bousselham et al., ICCV 2025, arXiv 2404.03214",
    relevance=legrad,
    text_specific=True,
    signed=False,
    cost="1 + (1 + n) × layers read, of the tower's",
    explains="scores of mean tokens after each layer, not the model's own",
    reach=every_block,
)
