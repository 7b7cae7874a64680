"""Perturbations reach the model in full batches, and what comes back is theirs."""

from __future__ import annotations

import pytest
import torch

from whyclip.metrics import Perturbations, stream


def sequence(values: list[float]) -> Perturbations[float]:
    return Perturbations(torch.zeros(len(values)), lambda: iter(values))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_results_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    lengths = [3, 0, 1, 11, 2]
    sizes: list[int] = []
    values = [[float(100 * i + j) for j in range(n)] for i, n in enumerate(lengths)]

    def score(batch):
        sizes.append(len(batch))
        return torch.tensor([[x, x * x] for x in batch])

    parts = list(stream(map(sequence, values), score, batch_size))
    assert [len(part) for part in parts] == lengths
    for part, expected in zip(parts, values, strict=True):
        assert [row.tolist() for row in part] == [[x, x * x] for x in expected]
    assert all(size == batch_size for size in sizes[:-1])
    assert sum(sizes) == sum(lengths)


def test_no_more_is_made_than_the_next_batch_needs() -> None:
    made: list[int] = []

    def items(start: int):
        for i in range(start, start + 4):
            made.append(i)
            yield float(i)

    def score(batch):
        assert len(made) <= batch[-1] + 1
        return torch.tensor(batch)

    several = (Perturbations(torch.zeros(4), lambda s=s: items(s)) for s in range(0, 40, 4))
    first = next(stream(several, score, batch_size=3))
    assert first.tolist() == [0, 1, 2, 3]
    assert len(made) < 12


def test_a_score_that_loses_an_input_is_found() -> None:
    with pytest.raises(ValueError, match="2 results for 3"):
        list(stream([sequence([1.0, 2.0, 3.0])], lambda batch: torch.zeros(2), 8))
    assert list(stream([], lambda batch: torch.zeros(len(batch)), 8)) == []
