"""Deletion and insertion of words."""

from __future__ import annotations

import pytest
import torch

from whyclip.errors import InputError
from whyclip.inputs.words import words_of
from whyclip.metrics import METRICS
from whyclip.metrics.words import word_deletion_edits, word_insertion_edits
from whyclip.types import Word

NAN = float("nan")


def words(prompt: str, *relevance: float) -> list[Word]:
    return [
        Word(text, start, end, value)
        for (text, start, end), value in zip(words_of(prompt), relevance, strict=True)
    ]


def test_words_go_by_falling_relevance() -> None:
    prompt = "a dog, and a  red car"
    given = words(prompt, 0.1, 0.9, -0.2, 0.0, 0.05, 0.5, 0.7)
    assert list(word_deletion_edits(prompt, given)) == [
        "a dog, and a  red car",
        "a , and a red car",
        "a , and a red",
        "a , and a",
        ", and a",
        ", and",
        ",",
        "",
    ]
    inserted = list(word_insertion_edits(prompt, given))
    assert inserted[:4] == ["", "dog", "dog car", "dog red car"]
    assert inserted[-2:] == ["a dog and a red car", prompt]


def test_words_that_were_cut_off_go_last() -> None:
    edits = word_deletion_edits("one two three", words("one two three", NAN, -5.0, 1.0))
    assert list(edits) == ["one two three", "one two", "one", ""]
    torch.testing.assert_close(edits.amounts, torch.tensor([0, 1 / 3, 2 / 3, 1]))


def test_words_that_were_not_read_go_with_the_first() -> None:
    prompt = "a red car outside  today"
    read = words(prompt, 0.1, 0.7, 0.4, NAN, NAN)[:3]
    edits = word_deletion_edits(prompt, read)
    assert list(edits) == [prompt, "a car", "a", ""]
    torch.testing.assert_close(edits.amounts, torch.tensor([0, 1 / 3, 2 / 3, 1]))
    assert list(word_insertion_edits(prompt, read)) == ["", "red", "red car", prompt]


def test_deleting_is_inserting_the_opposite_backwards() -> None:
    prompt = "the quick brown fox jumps"
    relevance = (0.3, -0.1, 0.8, 0.2, 0.05)
    deleted = list(word_deletion_edits(prompt, words(prompt, *relevance)))
    inserted = list(word_insertion_edits(prompt, words(prompt, *(-r for r in relevance))))
    assert deleted == inserted[::-1]


def test_equal_words_go_in_an_order_of_the_seed() -> None:
    prompt = "a b c d e f g h"
    orders = {tuple(word_deletion_edits(prompt, words(prompt, *[0] * 8), seed=s)) for s in range(5)}
    assert len(orders) > 3


def test_one_word_and_none() -> None:
    assert list(word_deletion_edits("dog", words("dog", 1.0))) == ["dog", ""]
    with pytest.raises(InputError, match="no words"):
        word_deletion_edits("   ", [])
    with pytest.raises(InputError, match="'dog' is not at 0 to 3 of 'a cat'"):
        word_insertion_edits("a cat", words("dog", 1.0))


@pytest.mark.parametrize(("name", "good"), [("word_deletion", 0.5), ("word_insertion", 5.5)])
def test_the_area_by_hand(name: str, good: float) -> None:
    """Six words of which the score wants one: found first, the score changes at once."""
    prompt = "a b c dog e f"
    right = words(prompt, 0.0, -0.1, -0.2, 1.0, -0.3, -0.4)
    wrong = [Word(w.text, w.start, w.end, -w.relevance) for w in right]

    def score(texts):
        return torch.tensor([float("dog" in text) for text in texts])

    metric = METRICS[name]
    assert metric.side == "text"
    assert metric.measure(prompt, right, score=score).item() == pytest.approx(good / 6)
    assert metric.measure(prompt, wrong, score=score).item() == pytest.approx((6 - good) / 6)
