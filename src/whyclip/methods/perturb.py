"""Helpers of black-box methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass

T = TypeVar("T")

# Enough inputs to use the processor fully; a larger batch only needs more memory.
AT_ONCE = 64


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split a sequence into chunks of ``size``; the last one may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def count_of(items: Sequence[object], size: int) -> int:
    """Number of chunks of :func:`chunks`."""
    return -(-len(items) // size)


def at_least_one(**options: int) -> None:
    """Check options that are counts.

    Raises:
        OptionError: one of them is not a positive integer.
    """
    for name, value in options.items():
        if not isinstance(value, int) or value < 1:
            raise OptionError(f"{name}={value!r}: give a whole number, 1 or more")


def grid_of(forward_pass: ForwardPass) -> tuple[int, int]:
    """Rows and columns of an image's patches."""
    grid = forward_pass.stream.grid
    assert grid is not None, "only images have a grid"
    return grid


def on_patches(forward_pass: ForwardPass, maps: Tensor) -> Tensor:
    """Place maps ``[b, n, gh·gw]`` on the tokens of the encoder: ``[b, n, t]``, zero elsewhere."""
    values = maps.new_zeros(*maps.shape[:2], forward_pass.content_mask.shape[1])
    values[:, :, forward_pass.content_mask[0]] = maps
    return values


def without(ids: Tensor, positions: Sequence[int], pad: int) -> Tensor:
    """Remove pieces from token ids ``[t]``; later ones move up, and the end is padded."""
    keep = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    keep[list(positions)] = False
    kept = ids[keep]
    return torch.cat([kept, kept.new_full((len(ids) - len(kept),), pad)])
