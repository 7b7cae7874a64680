"""Contrastive training losses over captions with known truth."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from training.batches import Truth


def _pull(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy between each row's softmax and its true texts (uniform)."""
    rows = true.any(1)
    share = true[rows] / true[rows].sum(1, keepdim=True)
    return -(share * F.log_softmax(logits[rows], 1)).sum(1).mean()


def matching_loss(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, truth: Truth, bank: int
) -> torch.Tensor:
    """Return the contrastive loss with several true texts per image.

    Args:
        images: unit embeddings `[b, e]`.
        texts: unit embeddings `[n, e]`, the concept phrases first.
        scale: inverse temperature.
        truth: truth of each text for each image.
        bank: number of concept phrases.
    """
    logits = (scale * images @ texts.T).masked_fill(truth.undecidable, -1e4)
    true = truth.true
    named = _pull(logits[:, :bank], true[:, :bank])
    return named + 0.5 * _pull(logits, true) + 0.5 * _pull(logits.T, true.T)


def naming_loss(
    objects: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, truth: Truth, bank: int
) -> torch.Tensor:
    """Return the classification loss of single objects `[o, e]`, by concept and by phrase."""
    logits = (scale * objects @ texts.T).masked_fill(truth.undecidable, -1e4)
    return _pull(logits[:, :bank], truth.true[:, :bank]) + _pull(logits, truth.true)


def colour_scores(
    images: torch.Tensor, texts: torch.Tensor, rivals: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return each object's cosines with the right colour (first) and with wrong colours."""
    columns, about = rivals
    scores = torch.einsum("ge,gre->gr", images[about], texts[columns])
    return scores.masked_fill(columns < 0, -1e4)


def colour_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    rivals: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Return the loss of an object's right colour against wrong ones, for the whole image."""
    return -F.log_softmax(scale * colour_scores(images, texts, rivals), 1)[:, 0].mean()
