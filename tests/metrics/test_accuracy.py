"""Top-k accuracy, probability and score of the true class."""

from __future__ import annotations

import math

import pytest
import torch

from whyclip.errors import InputError
from whyclip.metrics import READINGS
from whyclip.metrics.accuracy import of_class, probability, top_k


def test_top_k_is_the_rank_of_the_true_class() -> None:
    scores = torch.rand(50, 12)
    labels = torch.randint(12, (50,))
    for k in (1, 5, 10, 12, 40):
        expected = [
            sorted(row, reverse=True).index(row[label]) < k
            for row, label in zip(scores.tolist(), labels.tolist(), strict=True)
        ]
        assert top_k(scores, labels, k).tolist() == [float(e) for e in expected]


def test_torchmetrics_says_the_same() -> None:
    from torchmetrics.functional import classification as functional

    scores, labels = torch.rand(40, 20), torch.randint(20, (40,))
    for k in (1, 5, 10):
        theirs = functional.multiclass_accuracy(scores, labels, 20, top_k=k, average="micro")
        torch.testing.assert_close(top_k(scores, labels, k).mean(), theirs)


def test_a_model_that_cannot_decide_is_wrong() -> None:
    flat = torch.zeros(4, 6)
    assert top_k(flat, 0).tolist() == [0] * 4
    assert top_k(flat, 5, k=5).tolist() == [0] * 4
    assert top_k(flat, 5, k=6).tolist() == [1] * 4
    broken = torch.tensor([[0.1, math.nan, 0.9], [math.nan, 0.1, 0.2]])
    assert top_k(broken, 2, k=3).tolist() == [0, 0]


def test_probability_by_hand() -> None:
    scores = torch.tensor([[0.30, 0.29], [0.2, 0.2]])
    expected = [1 / (1 + math.exp(-1)), 0.5]
    torch.testing.assert_close(probability(scores, 0), torch.tensor(expected))
    torch.testing.assert_close(
        probability(scores, torch.tensor([1, 0]), scale=200.0),
        torch.tensor([1 / (1 + math.exp(2)), 0.5]),
    )


def test_scores_of_classes_that_are_not_there() -> None:
    assert of_class(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0])).tolist() == [2, 3]
    for label in (2, -1):
        with pytest.raises(InputError, match="of 2 classes"):
            of_class(torch.rand(3, 2), label)


def test_every_read_takes_scores_and_labels() -> None:
    scores, labels = torch.rand(7, 30), torch.randint(30, (7,))
    readings = {name: read(scores, labels) for name, read in READINGS.items()}
    assert {tuple(value.shape) for value in readings.values()} == {(7,)}
    assert (readings["top1"] <= readings["top5"]).all()
    assert (readings["top5"] <= readings["top10"]).all()
