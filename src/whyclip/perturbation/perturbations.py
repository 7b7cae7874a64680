"""Perturbed inputs, generated lazily and packed into full batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")

# From m inputs to [m, ...]. Images are uint8 arrays [H, W, 3] of any size, prompts are strings.
Score = Callable[[Sequence[Item]], Tensor]


@dataclass(frozen=True)
class Perturbations(Generic[Item]):
    """A sequence of perturbed inputs.

    Attributes:
        amounts: float32 ``[m]``, edited share or removed relevance of each input.
        make: function that generates the m inputs.
    """

    amounts: Tensor
    make: Callable[[], Iterator[Item]]

    def __len__(self) -> int:
        """Return the number m of inputs."""
        return len(self.amounts)

    def __iter__(self) -> Iterator[Item]:
        """Make the inputs."""
        return self.make()


def stream(
    sequences: Iterable[Perturbations[Item]], score: Score[Item], batch_size: int = 64
) -> Iterator[Tensor]:
    """Score many sequences in shared batches.

    Every batch except the last is full, and only one batch of perturbed inputs is in memory.

    Args:
        sequences: consumed one by one.
        score: function from a list of at most ``batch_size`` inputs to ``[m, ...]``.
        batch_size: at least 1.

    Yields:
        The scores ``[m, ...]`` of each sequence, in order.

    Example:
        >>> edits = [Perturbations(torch.zeros(n), lambda n=n: iter("abc"[:n])) for n in (1, 3)]
        >>> def score(batch):
        ...     print("batch of", len(batch))
        ...     return torch.tensor([float(ord(letter)) for letter in batch])
        >>> [found.tolist() for found in stream(edits, score, batch_size=2)]
        batch of 2
        batch of 2
        [[97.0], [97.0, 98.0, 99.0]]
    """
    waiting: deque[int] = deque()
    items: list[Item] = []
    scores: list[Tensor] = []
    ready = 0
    for sequence in sequences:
        waiting.append(len(sequence))
        for item in sequence:
            items.append(item)
            if len(items) == batch_size:
                scores.append(_scored(score, items))
                ready, items = ready + batch_size, []
        while waiting and waiting[0] <= ready:
            result, scores = _split(scores, waiting[0])
            ready -= waiting.popleft()
            yield result
    if items:
        scores.append(_scored(score, items))
    for number in waiting:
        result, scores = _split(scores, number)
        yield result


def _scored(score: Score[Item], items: list[Item]) -> Tensor:
    scores = score(items)
    if len(scores) != len(items):
        raise ValueError(f"score gave {len(scores)} results for {len(items)} inputs")
    return scores.detach().float().cpu()


def _split(scores: list[Tensor], number: int) -> tuple[Tensor, list[Tensor]]:
    joined = torch.cat(scores) if scores else torch.zeros(0)
    return joined[:number], [joined[number:]] if len(joined) > number else []
