"""Decomposition: the embedding as a sum over layers, heads and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.products import vector_jacobian_products
from whyclip.methods.method import Method, Relevance, every_block, first_layer
from whyclip.methods.paths import PathsName, readout_paths
from whyclip.methods.readout import mask_of_readout, readout_attention
from whyclip.models.tower import Block, Tower

INSTEAD = "use contribution, exact for the last attention of any encoder, or paths=readout"
# A norm after the attention breaks linearity fully; half precision only up to this error.
NONLINEAR = 0.1


def decomposition(
    forward_pass: ForwardPass, *, start_layer: int = 0, paths: PathsName = "direct"
) -> Relevance:
    """Sum each token's contributions to the embedding over all layers and heads.

    With the final norm's mean and deviation frozen, the embedding is linear in all terms added to
    the readout token's residual stream. Token i adds ``c_l,h,i = P norm(merge(A^h_i v^h_i))``, and
    ``H_i = Σ_l,h c_l,h,i · t / |F|``. Gandelsman et al., ICLR 2024 (arXiv 2310.05916), sections 3
    to 5.

    Together with the direct contributions of the MLPs, of the input of ``start_layer`` and of all
    biases, the relevances of all tokens (including CLS, BOS and EOS) sum to the score. The
    diagnostic ``"additivity gap"`` is the difference.

    With ``paths="readout"``, each token's contribution also passes through the MLPs of later layers
    and through the readout token's own value. Softmax weights, deviations and the activations'
    secants f(z)/z are frozen. Then only the biases belong to no token, and every encoder with
    attention pooling is supported. Derived for whyclip; see
    :func:`whyclip.methods.paths.readout_paths`.

    Args:
        forward_pass: the encoder's forward pass.
        start_layer: first layer whose attention counts; counted from the end if negative.
        paths: contributions that count for a token: ``"direct"``, as in the paper; ``"readout"``
            adds the paths through later layers.

    Raises:
        OptionError: the encoder does not have that layer, or its output is not a sum over its
            layers (direct).
        UnsupportedModelError: a part of the model cannot be frozen (readout).
    """
    tower, stream, targets = forward_pass.tower, forward_pass.stream, forward_pass.targets
    first, depth = first_layer(tower, start_layer), len(tower.blocks)
    if paths == "readout":
        return _along_readout(forward_pass, first)
    norm, mask = check_sum(tower), mask_of_readout(stream)
    every = torch.arange(len(stream.readout_index), device=stream.readout_index.device)
    values, direction, rest = torch.zeros(()), torch.empty(0), torch.zeros(())
    tokens: Tensor | None = None
    embedding, constant = forward_pass.embedding, torch.empty(0)
    for index in reversed(range(first, depth)):
        block = tower.blocks[index]
        x = forward_pass.states[index].to(block.dtype)
        x_row = x[every, stream.readout_index]
        with torch.no_grad():
            a, v = readout_attention(block, x, stream.readout_index, mask)
            o = torch.einsum("bht,bhtd->bhd", a, v).flatten(1)
            update = block.merge(o)
            after = block.finish(x_row, update)
            bias = block.merge(torch.zeros_like(o))
        forward_pass.follow(index, after)
        if index == depth - 1:
            embedding = tower.project(after).detach().float()
            direction, constant = _through_norm(forward_pass, norm, after.float(), embedding)
        shared = a[..., None].float() * v.float()
        if shared.shape[2] < len(targets):
            # With more targets than tokens, mapping the tokens forward costs less.
            written = _written(block, shared, bias)
            tokens = written if tokens is None else tokens.to(x.device) + written
        else:
            at_output = _transpose(block.merge, o.shape[-1], direction, block.dtype)
            per_head = at_output.unflatten(-1, (v.shape[1], -1))
            values = values.to(x.device) + torch.einsum("bnhd,bhtd->bnt", per_head, shared)
        # The MLP's update and the attention's bias belong to no token.
        rest = rest.to(x.device) + (after - x_row - update + bias).float()
        if index == first:
            rest = rest + x_row.float()
    if tokens is not None:
        values = torch.einsum("bnw,btw->bnt", direction, tokens)
    total = values.sum(-1) + torch.einsum("bnw,bw->bn", direction, rest) + constant
    gap = (total - targets.score(embedding)).abs()
    return Relevance(values, embedding, diagnostics={"additivity gap": gap})


@torch.no_grad()
def _written(block: Block, shared: Tensor, bias: Tensor) -> Tensor:
    """Map weighted values ``[b, h, t, d]`` to the tokens' updates of the stream, ``[b, t, w]``."""
    by_token = shared.transpose(1, 2).flatten(2)
    merged = block.merge(by_token.flatten(0, 1).to(block.dtype)) - bias[:1]
    return merged.float().unflatten(0, by_token.shape[:2])


def _along_readout(forward_pass: ForwardPass, first: int) -> Relevance:
    """Multiply each token's vector by the target; see :func:`decomposition`."""
    paths, targets = readout_paths(forward_pass, first), forward_pass.targets
    directions = targets.directions.to(paths.tokens)
    # A logit is not divided by the embedding's length and has a bias.
    length = paths.embedding.norm(dim=-1) if targets.bias is None else paths.tokens.new_ones(1)
    values = torch.einsum("bte,ne->bnt", paths.tokens, directions) / length[:, None, None]
    rest = torch.stack([*paths.remainders.values()]).sum(0) @ directions.T / length[:, None]
    total = values.sum(-1) + rest + (0 if targets.bias is None else targets.bias)
    embedding = paths.embedding.float()
    gap = (total - targets.score(embedding)).abs()
    return Relevance(values.float(), embedding, diagnostics={"additivity gap": gap.float()})


def check_sum(tower: Tower) -> nn.LayerNorm:
    """Check that the readout token is a sum followed by one LayerNorm; return that norm."""
    if tower.has_pooling_head:
        raise OptionError(
            "decomposition needs a readout token that all layers add to; the "
            f"{tower.side} encoder pools its tokens by a pooling head; {INSTEAD}"
        )
    if not isinstance(tower.norm, nn.LayerNorm):
        raise OptionError(
            "decomposition needs a LayerNorm before the projection, to freeze its statistics; "
            f"the {tower.side} encoder has {type(tower.norm).__name__}; {INSTEAD}"
        )
    for index, block in enumerate(tower.blocks):
        if not block.pre_norm:
            raise OptionError(
                "decomposition needs a pre-norm residual stream, but "
                f"{tower.side} block {index} is post-norm; {INSTEAD}"
            )
        if not _merges_linearly(block, tower.device):
            raise OptionError(
                "decomposition needs updates that are linear in the attention output, but "
                f"{tower.side} block {index} norms it; {INSTEAD}"
            )
    width = tower.norm.normalized_shape[-1]
    if not _is_affine(tower.head, width, tower.blocks[-1].dtype, tower.device):
        raise OptionError(
            "decomposition needs a linear projection, but the "
            f"{tower.side} encoder has an MLP; {INSTEAD}"
        )
    return tower.norm


def _merges_linearly(block: Block, device: torch.device) -> bool:
    """Whether the update is linear in the attention output, apart from the bias."""
    return _is_affine(block.merge, block.heads * round(block.scale**-2), block.dtype, device)


@torch.no_grad()
def _is_affine(
    function: Callable[[Tensor], Tensor], width: int, dtype: torch.dtype, device: torch.device
) -> bool:
    """Whether a map is affine: doubling or negating the input doubles or negates the output.

    Ignores the bias. Doubling detects norms, negating detects activations.
    """
    o = torch.linspace(-10, 20, width, dtype=dtype, device=device)[None]
    bias = function(torch.zeros_like(o))
    once, twice, minus = (function(factor * o) - bias for factor in (1, 2, -1))
    most = NONLINEAR * once.norm()
    return bool((twice - 2 * once).norm() <= 2 * most and (minus + once).norm() <= most)


def _through_norm(
    forward_pass: ForwardPass, norm: nn.LayerNorm, x: Tensor, embedding: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the score per unit of stream ``[b, n, w]`` at frozen statistics of x, and a constant.

    The frozen norm is ``weight ⊙ (u − mean u) / σ + bias``.
    """
    tower, directions = forward_pass.tower, forward_pass.targets.directions
    width = x.shape[-1]
    dtype = norm.weight.dtype if norm.weight is not None else embedding.dtype
    at_normed = _transpose(tower.head, width, directions[None], dtype)
    weighed = at_normed if norm.weight is None else at_normed * norm.weight.detach().float()
    deviation = (x.var(-1, unbiased=False) + norm.eps).sqrt()
    # A logit is not divided by the embedding's length and has a bias.
    bias = forward_pass.targets.bias
    length = embedding.norm(dim=-1) if bias is None else torch.ones_like(embedding[:, 0])
    centred = weighed - weighed.mean(-1, keepdim=True)
    zero = torch.zeros(1, width, dtype=dtype, device=x.device)
    with torch.no_grad():
        offset = tower.head(zero if norm.bias is None else norm.bias[None]).float()
    constant = offset @ directions.T / length[:, None]
    return centred / (deviation * length)[:, None, None], constant + (0 if bias is None else bias)


@torch.enable_grad()
def _transpose(
    function: Callable[[Tensor], Tensor], width: int, upstream: Tensor, dtype: torch.dtype
) -> Tensor:
    """Apply the transpose of an affine map from ``width`` numbers to ``[b, n, ...]``."""
    zero = torch.zeros(1, width, dtype=dtype, device=upstream.device, requires_grad=True)
    out = function(zero)
    vectors = upstream.flatten(0, 1)[:, None]
    [gradients] = vector_jacobian_products(out, (zero,), vectors)
    return gradients[:, 0].float().unflatten(0, upstream.shape[:2])


def _reach(tower: Tower, options: Mapping[str, Any]) -> int:
    reach = every_block(tower, options)
    if options.get("paths") != "readout":
        check_sum(tower)
    return reach


METHOD = Method(
    name="decomposition",
    title="Decomposition",
    source="Gandelsman et al., ICLR 2024, arXiv 2310.05916",
    relevance=decomposition,
    text_specific=True,
    signed=True,
    cost="1.4",
    scope="score",
    explains="the model itself, direct paths only",
    sums_to="the score, with the MLPs', the input's and the biases' direct contributions",
    blocks_needed=_reach,
    all_targets_at_once=True,
)
