"""Measured score drops if a patch or a word is removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.inputs import word_relevance
from whyclip.inputs.tokens import Tokens
from whyclip.metrics.words import unread, without
from whyclip.models.tower import Stream, Tower, after_attention
from whyclip.studies.scoring import TextDirections

AT_ONCE = 64
MASKED, BLURRED = "masked", "blurred"


def chosen_patches(count: int, wanted: int, seed: int) -> Tensor:
    """Draw the patches to remove, sorted row by row; all patches if there are not enough."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)[:wanted].sort().values


@torch.no_grad()
def hidden_patch_scores(forward: ForwardPass, patches: Tensor) -> Tensor:
    """Scores ``[p, m]`` if no token can attend to one patch, in any layer."""
    tower = forward.tower
    stream = tower.embed(forward.inputs.to(tower.device))
    columns = stream.content_mask[0].nonzero()[:, 0][patches.to(tower.device)]
    scores = [
        forward.targets.score(with_hidden_token(tower, stream, part)).cpu()
        for part in columns.split(AT_ONCE)
    ]
    return torch.cat(scores)


def with_hidden_token(tower: Tower, stream: Stream, columns: Tensor) -> Tensor:
    """Embeddings ``[p, e]`` of copies of one input, each with one key hidden in all layers.

    Args:
        tower: encoder with accessible blocks.
        stream: hidden states of a single input, before the first block.
        columns: ``[p]`` index of the hidden token in each copy.
    """
    p = len(columns)
    x = stream.x.expand(p, -1, -1)
    hidden = F.one_hot(columns, x.shape[1]).bool()[:, None, None]
    for block in tower.blocks:
        q, k, v = block.qkv(x.to(block.dtype))
        logits = q @ k.transpose(-1, -2) * block.scale
        if stream.mask is not None and not block.is_pooling_head:
            logits = logits + stream.mask
        weights = logits.masked_fill(hidden, float("-inf")).softmax(-1)
        x = after_attention(block, x, weights, v)
    row = stream.readout_index.expand(p)
    return tower.project(x[torch.arange(p, device=x.device), row]).float()


@torch.no_grad()
def blurred_patch_scores(forward: ForwardPass, patches: Tensor) -> Tensor:
    """Scores ``[p, m]`` if the pixels of one patch are blurred."""
    grid = forward.stream.grid
    assert grid is not None, "an image has a grid"
    pixels = forward.inputs.cpu()
    scores = []
    for part in patches.split(AT_ONCE):
        edited = blur_patches(pixels[0], part, grid)
        scores.append(forward.targets.score(forward.encode_perturbed(edited)).cpu())
    return torch.cat(scores)


def blur_patches(pixels: Tensor, patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Copies ``[p, 3, H, W]`` of an image ``[3, H, W]``, each with one blurred patch.

    The Gaussian has a σ of half a patch, which removes details smaller than a patch.
    """
    gh, gw = grid
    high, wide = pixels.shape[-2] // gh, pixels.shape[-1] // gw
    soft = _blurred(pixels, max(high, wide) / 2)
    edited = pixels[None].repeat(len(patches), 1, 1, 1)
    for copy, patch in zip(edited, patches.tolist(), strict=True):
        top, left = patch // gw * high, patch % gw * wide
        area = (slice(None), slice(top, top + high), slice(left, left + wide))
        copy[area] = soft[area]
    return edited


def _blurred(pixels: Tensor, sigma: float) -> Tensor:
    reach = min(round(2 * sigma), min(pixels.shape[-2:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(pixels)
    padded = F.pad(pixels[:, None], (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel[None, None, :, None])
    return F.conv2d(rows, kernel[None, None, None, :])[:, 0]


def word_drops(
    image: Tensor,
    prompts: Sequence[str],
    scores: Sequence[float],
    tokens: Tokens,
    texts: TextDirections,
) -> Iterator[dict[tuple[int, int], float]]:
    """Score drop of each prompt without each word, by start and end of the word.

    Args:
        image: ``[e]`` unit embedding of the image.
        prompts: m prompts.
        scores: score of each prompt.
        tokens: tokens of the prompts.
        texts: encoder for the shorter prompts.
    """
    for prompt, score, words, spans in zip(
        prompts, scores, tokens.words, tokens.spans, strict=True
    ):
        read = word_relevance(words, spans, [0.0] * len(spans))
        beyond = unread(prompt, read)
        shorter = [(word, without(prompt, [word, *beyond])) for word in read]
        kept = [((word.start, word.end), text) for word, text in shorter if text]
        if not kept:
            yield {}
            continue
        left = texts.directions([text for _, text in kept]) @ image
        yield {place: score - x for (place, _), x in zip(kept, left.tolist(), strict=True)}
