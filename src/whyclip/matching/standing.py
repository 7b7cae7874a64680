"""Rank of a score among reference scores, and thresholds calibrated on them."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.match import Standing, Threshold
from whyclip.models import ModelView
from whyclip.stats.order import exceedance_interval, rank_for


def standing(score: float, others: Tensor) -> Standing | None:
    """Rank a score among others ``[n]``; None if there are none."""
    n = others.numel()
    if n == 0:
        return None
    values = others.double()
    below, equal = int((values < score).sum()), int((values == score).sum())
    mean, std = float(values.mean()), float(values.std(correction=0))
    z = (score - mean) / std if std > 0 else None
    return Standing(100 * (below + equal / 2) / n, z, n, mean, std)


def calibrated(
    model: ModelView, scores: Tensor, rate: float, confidence: float = 0.95
) -> Threshold:
    """Choose the threshold for a false-match rate from reference scores ``[m]``.

    Raises:
        OptionError: there are too few scores for this rate.
    """
    m = scores.numel()
    k = rank_for(rate, m)
    low, high = exceedance_interval(k, m, confidence)
    score = float(scores.sort(descending=True).values[k - 1])
    return Threshold(score, k / (m + 1), low, high, confidence, m, probability_of(model, score))


def probability_of(model: ModelView, score: float) -> float | None:
    """Convert a score to a probability; None unless the model was trained with a sigmoid loss."""
    if model.logit_bias is None:
        return None
    return float(model.probability(torch.tensor(score)))
