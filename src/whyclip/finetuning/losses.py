"""The losses of fine-tuning, as pure functions of embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# The cosine at which a match of region and phrase has probability one half.
CENTRE = 0.5


def info_nce(images: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
    """Contrast each image with all texts, and each text with all images.

    ``L = ½ (CE(τ I Tᵀ, id) + CE(τ T Iᵀ, id))`` with τ the model's scale and CE the cross-entropy
    with the softmax over rows; Radford et al., ICML 2021 (arXiv 2103.00020), figure 3.

    Args:
        images: ``[b, e]`` of length 1.
        texts: ``[b, e]`` of length 1; row i belongs to image i.
        scale: τ, factor from cosine to logit.

    Returns:
        A scalar, 0 or more; ``log b`` if all embeddings are equal.

    Example:
        >>> float(info_nce(torch.eye(2), torch.eye(2), 100.0))
        0.0
    """
    logits = scale * images @ texts.T
    labels = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def sigmoid_loss(
    images: Tensor, texts: Tensor, scale: Tensor | float, bias: Tensor | float
) -> Tensor:
    """Classify every pair of an image and a text independently, for models with a logit bias.

    ``L = −(1/b) Σ_ij log σ(z_ij (τ I_i·T_j + β))`` with ``z_ij`` 1 where i = j, else −1; Zhai et
    al., ICCV 2023 (arXiv 2303.15343), equation 1.

    Args:
        images: ``[b, e]`` of length 1.
        texts: ``[b, e]`` of length 1; row i belongs to image i.
        scale: τ, factor from cosine to logit.
        bias: β, added to the logit.

    Returns:
        A scalar above 0.
    """
    logits = scale * images @ texts.T + bias
    signs = 2 * torch.eye(len(logits), dtype=logits.dtype, device=logits.device) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def region_features(maps: Tensor, features: Tensor) -> Tensor:
    """Average the dense features of an image by a heat map.

    ``F_r = Σ_i H_i F_i``, divided by its length; Zhao et al., ICML 2024 (arXiv 2502.18816),
    fine-tuning. The scale of a map does not matter.

    Args:
        maps: ``[m, patches]``, 0 or more, not all 0.
        features: ``[m, patches, e]``.

    Returns:
        ``[m, e]`` of length 1.
    """
    return F.normalize(torch.einsum("mt,mte->me", maps, features), dim=-1)


def phrase_region_terms(
    regions: Tensor,
    phrases: Tensor,
    positive: Tensor,
    excluded: Tensor,
    scale: Tensor | float,
    *,
    centre: float = CENTRE,
) -> Tensor:
    """Contrast each region with its own phrase and with all others, by a focal loss.

    ``L_t = −[(1 − s_tt)² log s_tt + Σ_{u≠t} s_tu² log(1 − s_tu)]`` with
    ``s = σ(τ (cos(F_r,t , F_u) − c))``; Zhao et al., ICML 2024 (arXiv 2502.18816), fine-tuning.
    The paper does not define how the cosine becomes a number from 0 to 1.

    Args:
        regions: ``[m, e]`` of length 1.
        phrases: ``[p, e]`` of length 1.
        positive: ``[m]`` each region's own phrase.
        excluded: bool ``[m, p]``, phrases that may also describe the region; its own phrase is
            never excluded.
        scale: τ.
        centre: c, the cosine at which s is one half.

    Returns:
        ``[m]``, 0 or more, summed over phrases; the loss is the mean over regions.
    """
    logits = scale * (regions @ phrases.T - centre)
    matching = F.one_hot(positive, len(phrases)).bool()
    s = logits.sigmoid()
    attract = (1 - s).square() * F.logsigmoid(logits)
    repel = s.square() * F.logsigmoid(-logits)
    kept = torch.where(matching, attract, torch.where(excluded, 0.0, repel))
    return -kept.sum(-1)


def may_both_be_true(words: Tensor, others: Tensor) -> Tensor:
    """Find phrases that may describe the same region, because one contains the other's words.

    For example, "a red car" and "the car", but not "a red car" and "a blue car".

    Args:
        words: int ``[m, k]``, numbers of each phrase's words, 0 for padding.
        others: int ``[p, k]``; a row of zeros is padding.

    Returns:
        bool ``[m, p]``; True for padding.
    """
    same = words[:, None, :, None] == others[None, :, None, :]
    inside = (same.any(3) | (words == 0)[:, None]).all(2)
    around = (same.any(2) | (others == 0)[None]).all(2)
    return inside | around


def removal_loss(scores: Tensor, without: Tensor) -> Tensor:
    """Penalise the contribution of marked patches to the match score.

    ``L = relu(S − S')`` with S' the score after the marked patches were removed; whyclip's own.
    It measures the effect on the score, so hiding the effect from a map does not lower it.

    Args:
        scores: ``[k]`` match scores of the marked images with their captions.
        without: ``[k]`` the same with the marked patches removed.

    Returns:
        ``[k]``, 0 or more.
    """
    return (scores - without).relu()


def relevance_penalty(relevance: Tensor, marked: Tensor) -> Tensor:
    """Penalise the share of squared relevance that lies on marked patches.

    ``L = Σ_{i∈M} H_i² / Σ_i H_i²``; Ross et al., IJCAI 2017 (arXiv 1703.03717), equation 1, with
    whyclip's contribution map in place of the input gradient, and normalised so that smaller
    scores do not lower it. A model can lower it and still use the patches.

    Args:
        relevance: ``[k, patches]``, differentiable.
        marked: bool ``[k, patches]``.

    Returns:
        ``[k]``, 0 to 1.
    """
    squares = relevance.square()
    whole = squares.sum(-1).clamp_min(torch.finfo(squares.dtype).tiny)
    return (squares * marked).sum(-1) / whole
