"""Vectors from embeddings without some of the words or regions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import comb

import torch
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.kernel_shap import cells_shown, words_shown
from whyclip.methods.leave_one_out import leave_one_out as without_each
from whyclip.methods.perturb import AT_ONCE, at_least_one, chunks, count_of
from whyclip.vectors.vectors import Vectors, aimed

# Up to this many words, all coalitions are encoded (1,024 texts).
EXACT = 10


def leave_one_out(
    forward_pass: ForwardPass, along: Tensor | None = None, *, batch_size: int = AT_ONCE
) -> Vectors:
    """``F(text) − F(text without the word)``, divided equally among the word's pieces.

    Args:
        forward_pass: forward pass of one text.
        along: directions ``[k, e]`` to multiply the vectors by, or None.
        batch_size: number of texts encoded at a time.
    """
    result = without_each(aimed(forward_pass, along), batch_size=batch_size)
    return Vectors(result.values[0].T, forward_pass.embedding[0])


def shapley(
    forward_pass: ForwardPass,
    along: Tensor | None = None,
    *,
    permutations: int = 200,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> Vectors:
    """Compute Shapley values of the words, divided equally among each word's pieces.

    ``d_i = Σ_S |S|! (n − |S| − 1)! / n! · (F(S ∪ i) − F(S))`` over coalitions S of the other words.
    They are exact for up to 10 words, and a mean over random orders beyond that. Both sum to
    F(text) − F(empty text). Shapley 1953; sampling by Castro et al., Computers & Operations
    Research 2009.

    Args:
        forward_pass: forward pass of one text.
        along: directions ``[k, e]`` to multiply the vectors by, or None.
        permutations: number of random orders for more than 10 words.
        seed: random seed of the orders.
        batch_size: number of texts encoded at a time.
    """
    at_least_one(permutations=permutations, batch_size=batch_size)
    groups, show = words_shown(forward_pass, 0)
    n = len(groups)
    orders = None
    if n <= EXACT:
        kept = (torch.arange(2**n)[:, None] >> torch.arange(n)) % 2 == 1
    else:
        generator = torch.Generator().manual_seed(seed)
        orders = torch.stack([torch.randperm(n, generator=generator) for _ in range(permutations)])
        kept = _prefixes(orders)
    embeddings = _encoded(forward_pass, kept, show, along, batch_size)
    if orders is None:
        values, empty = _exact(embeddings, n), embeddings[0]
    else:
        steps = embeddings.view(permutations, n + 1, -1)
        values = steps.new_zeros(n, steps.shape[-1])
        for order, way in zip(orders, steps, strict=True):
            values[order] += way.diff(dim=0) / permutations
        empty = steps[0, 0]
    tokens = _on_tokens(forward_pass, groups, values)
    return Vectors(tokens, forward_pass.embedding[0], {"empty prompt": empty})


def _prefixes(orders: Tensor) -> Tensor:
    """Return coalitions ``[p · (n + 1), n]`` that grow along each of p orders, empty ones first."""
    p, n = orders.shape
    places = orders.argsort(-1)
    return (places[:, None] < torch.arange(n + 1)[:, None]).reshape(p * (n + 1), n)


def _exact(embeddings: Tensor, n: int) -> Tensor:
    """Compute Shapley values ``[n, k]`` from embeddings ``[2ⁿ, k]`` of all coalitions, as bits."""
    every = torch.arange(2**n)
    sizes = ((every[:, None] >> torch.arange(n)) % 2).sum(-1)
    values = embeddings.new_zeros(n, embeddings.shape[1])
    for i in range(n):
        without = every[(every >> i) % 2 == 0]
        weights = [1 / (n * comb(n - 1, int(size))) for size in sizes[without]]
        gains = embeddings[without + 2**i] - embeddings[without]
        values[i] = torch.tensor(weights, dtype=gains.dtype, device=gains.device) @ gains
    return values


def banzhaf(
    forward_pass: ForwardPass,
    along: Tensor | None = None,
    *,
    cells: int = 7,
    samples: int = 512,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> Vectors:
    """Estimate Banzhaf values of the cells of an image, divided equally among each cell's patches.

    ``c_i`` is the mean of F over random coalitions with cell i, minus the mean over those without
    it. Each cell is in a coalition with probability ½, and each coalition is paired with its
    complement. Other cells have the mean colour. Banzhaf 1965; estimator of Wang & Jia, AISTATS
    2023 (arXiv 2205.15466), section 4.

    Args:
        forward_pass: forward pass of one image.
        along: directions ``[k, e]`` to multiply the vectors by, or None.
        cells: rows and columns of the grid of cells, at most one cell per patch.
        samples: number of coalitions, even.
        seed: random seed of the coalitions.
        batch_size: number of images encoded at a time.

    Raises:
        OptionError: ``samples`` is odd, or an option is not 1 or more.
    """
    at_least_one(cells=cells, samples=samples, batch_size=batch_size)
    if samples % 2:
        raise OptionError(
            f"samples={samples}: give an even number; each coalition is paired with its complement"
        )
    groups, show = cells_shown(forward_pass, 0, cells)
    generator = torch.Generator().manual_seed(seed)
    half = torch.rand(samples // 2, len(groups), generator=generator) < 1 / 2
    kept = torch.cat([half, ~half])
    embeddings = _encoded(forward_pass, kept, show, along, batch_size)
    # Each cell is in exactly half of the coalitions.
    signs = (kept.to(embeddings) * 2 - 1).T
    tokens = _on_tokens(forward_pass, groups, signs @ embeddings * 2 / samples)
    return Vectors(tokens, forward_pass.embedding[0])


def _encoded(
    forward_pass: ForwardPass,
    kept: Tensor,
    show: Callable[[Tensor], Tensor],
    along: Tensor | None,
    batch_size: int,
) -> Tensor:
    """Embed coalitions ``[m, groups]``: ``[m, k]``."""
    parts: Iterator[Tensor] = map(show, chunks(kept, batch_size))  # type: ignore[arg-type]
    result = forward_pass.encode(parts, count_of(kept, batch_size), "coalitions")  # type: ignore[arg-type]
    return result if along is None else result @ along.to(result).T


def _on_tokens(
    forward_pass: ForwardPass, groups: Sequence[Sequence[int]], values: Tensor
) -> Tensor:
    """Distribute values ``[groups, k]`` over the tokens ``[t, k]``, equally within each group."""
    tokens = values.new_zeros(forward_pass.content_mask.shape[1], values.shape[1])
    for group, value in zip(groups, values, strict=True):
        tokens[list(group)] = value / max(len(group), 1)
    return tokens
