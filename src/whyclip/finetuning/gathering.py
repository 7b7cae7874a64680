"""Gather rows of all processes, with gradients, by torch's own collectives."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
from torch import Tensor


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process."""
    return dist.get_rank() if world_size() > 1 else 0


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows ``[n, ...]`` of all processes, in their order: ``[processes · n, ...]``.

    Every process must give the same number of rows. Gradients flow back to a row's process.
    """
    if world_size() == 1:
        return rows
    if not rows.is_floating_point():
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)
    return torch.cat(dist_nn.all_gather(rows.contiguous()))


def gathered_sum(number: int, device: torch.device) -> int:
    """Add up a number over all processes."""
    return _reduced(number, device, dist.ReduceOp.SUM)


def gathered_max(number: int, device: torch.device) -> int:
    """Find the largest of a number over all processes."""
    return _reduced(number, device, dist.ReduceOp.MAX)


def _reduced(number: int, device: torch.device, operation: dist.ReduceOp.RedOpType) -> int:
    if world_size() == 1:
        return number
    held = torch.tensor(number, device=device)
    dist.all_reduce(held, operation)
    return int(held)


def pad_rows(rows: Tensor, count: int) -> Tensor:
    """Append rows of zeros to ``[n, ...]`` up to ``count`` rows."""
    missing = count - len(rows)
    return rows if missing == 0 else torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])


def without_repeats(rows: Tensor) -> Tensor:
    """Set to zero each row of ``[n, k]`` that equals an earlier one.

    A phrase that several processes share then counts once, as in a single process.
    """
    same = (rows[:, None] == rows[None]).all(-1)
    repeated = same.tril(diagonal=-1).any(1)
    return rows.masked_fill(repeated[:, None], 0)
