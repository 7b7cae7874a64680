"""Compare scores of the explained computation with the model's scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import ScoreMismatchError
from whyclip.forward.targets import Targets
from whyclip.models.tower import Tower
from whyclip.types import Precision, Side

# Largest score difference that rounding can explain, by the precision of the forward pass.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-4, "bf16": 2e-2}


def tolerance_of(towers: Iterable[Tower], precision: Precision) -> float:
    """Return the largest score difference that rounding can explain, for the weights' precision."""
    kinds = {block.dtype for tower in towers for block in tower.blocks}
    half = not kinds.isdisjoint((torch.float16, torch.bfloat16))
    return TOLERANCE["bf16" if half else precision]


def check_same(
    side: Side, targets: Targets, tolerance: float, explained: Tensor, expected: Tensor
) -> None:
    """Compare embeddings ``[m, e]`` of the explained computation with the model's.

    Args:
        side: side of the encoder, for the message.
        targets: directions to score against; if empty, the distance of the two unit embeddings is
            used, an upper bound on score differences.
        tolerance: largest difference of two scores that rounding can cause.
        explained: embeddings of the explained computation.
        expected: embeddings of the model's public entry point.

    Raises:
        ScoreMismatchError: the scores differ by more; the message has both.
    """
    if not len(targets):
        distance = (F.normalize(explained, dim=-1) - F.normalize(expected, dim=-1)).norm(dim=-1)
        # In half precision, embeddings deviate far more than scores.
        limit = tolerance if tolerance <= TOLERANCE["fp32"] else (2 * tolerance) ** 0.5
        if not bool((distance <= limit).all()):
            raise ScoreMismatchError(
                f"{side} encoder: the explained computation and the model give different "
                f"embeddings, {float(distance.nan_to_num(nan=2.0).max()):.1e} apart at length 1"
            )
        return
    worst = worst_mismatch(targets.score(explained), targets.score(expected), tolerance)
    if worst is not None:
        raise ScoreMismatchError(
            f"{side} encoder: the explained computation gives score {worst[0]:.4g}, "
            f"the model itself gives {worst[1]:.4g}"
        )


def worst_mismatch(ours: Tensor, theirs: Tensor, tolerance: float) -> tuple[float, float] | None:
    """Return the two scores that differ most, or None if no two differ by more than ``tolerance``.

    NaN on either side is a mismatch.
    """
    difference = (ours - theirs).abs().flatten()
    if bool((difference <= tolerance).all()):
        return None
    worst = int(difference.nan_to_num(nan=float("inf")).argmax())
    return float(ours.flatten()[worst]), float(theirs.flatten()[worst])
