"""Deletion and insertion of words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from whyclip.errors import InputError
from whyclip.inputs.words import words_of
from whyclip.metrics.curve import trapezoid
from whyclip.metrics.metric import Metric
from whyclip.perturbation.order import falling_order
from whyclip.perturbation.perturbations import Perturbations
from whyclip.types import Word

SOURCE = "Petsiuk et al., BMVC 2018, arXiv 1806.07421, on words"


def word_deletion_edits(prompt: str, words: Sequence[Word], *, seed: int = 0) -> Perturbations[str]:
    """Remove words from a prompt in order of falling relevance, down to the empty text.

    Args:
        prompt: one string as the user wrote it, not an ensemble.
        words: its n words with spans and relevance; words with NaN relevance are removed last.
            Other words, for example beyond the context, are removed with the first.
        seed: random seed of the order of equally relevant words.

    Returns:
        n + 1 prompts, the original first; ``amounts`` are the shares of removed words.

    Raises:
        InputError: there are no words, or a word is not at its span.

    Example:
        >>> words = [Word("a", 0, 1, 0.1), Word("red", 2, 5, 0.5), Word("car", 6, 9, 0.3)]
        >>> list(word_deletion_edits("a red car", words))
        ['a red car', 'a car', 'a', '']
    """
    order = _order(prompt, words, seed)
    return _edits(prompt, words, [order[:i] for i in range(len(order) + 1)])


def word_insertion_edits(
    prompt: str, words: Sequence[Word], *, seed: int = 0
) -> Perturbations[str]:
    """Insert words into the empty text in order of falling relevance, each at its position.

    Args:
        prompt: as for :func:`word_deletion_edits`.
        words: as for :func:`word_deletion_edits`.
        seed: as for :func:`word_deletion_edits`.

    Returns:
        n + 1 prompts, the original last; ``amounts`` are the shares of inserted words.

    Raises:
        InputError: there are no words, or a word is not at its span.

    Example:
        >>> words = [Word("a", 0, 1, 0.1), Word("red", 2, 5, 0.5), Word("car", 6, 9, 0.3)]
        >>> list(word_insertion_edits("a red car", words))
        ['', 'red', 'red car', 'a red car']
    """
    order = _order(prompt, words, seed)
    return _edits(prompt, words, [order[i:] for i in range(len(order) + 1)])


def _order(prompt: str, words: Sequence[Word], seed: int) -> list[int]:
    if not words:
        raise InputError(f"prompt {prompt!r} has no words to edit")
    for word in words:
        if prompt[word.start : word.end] != word.text:
            raise InputError(
                f"word {word.text!r} is not at {word.start} to {word.end} of {prompt!r}; "
                "give the words of this one string"
            )
    return falling_order([word.relevance for word in words], seed).tolist()


def _edits(
    prompt: str, words: Sequence[Word], removed: Sequence[Collection[int]]
) -> Perturbations[str]:
    beyond = unread(prompt, words)

    def make() -> Iterator[str]:
        for gone in removed:
            # The full prompt keeps its white space, so that its score does not change.
            yield without(prompt, [*beyond, *(words[i] for i in gone)]) if gone else prompt

    return Perturbations(torch.linspace(0, 1, len(removed)), make)


def unread(prompt: str, read: Sequence[Word]) -> list[Word]:
    """Words of a prompt beyond the model's context; deletion does not move them into it.

    Example:
        >>> unread("a red car", [Word("a", 0, 1, 0.1), Word("red", 2, 5, 0.5)])
        [Word(text='car', start=6, end=9, relevance=0.0, template=0)]
    """
    known = {(word.start, word.end) for word in read}
    return [Word(*word, 0.0) for word in words_of(prompt) if word[1:] not in known]


def without(prompt: str, words: Sequence[Word]) -> str:
    """Remove words from a prompt, and collapse white space.

    Example:
        >>> without("a red car", [Word("red", 2, 5, 0.5)])
        'a car'
    """
    kept = list(prompt)
    for word in words:
        kept[word.start : word.end] = [" "] * (word.end - word.start)
    return " ".join("".join(kept).split())


def word_deletion(amounts: Tensor, scores: Tensor) -> Tensor:
    """Area under the cosine while words are removed, most relevant first. Lower is better.

    Trapezoidal rule over the share of deleted words, from the prompt to the empty text. Adapted
    from Petsiuk et al. 2018, with words in place of pixels.

    Args:
        amounts: ``[m]`` shares of deleted words.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``.

    Example:
        >>> word_deletion(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.3, 0.1, 0.1]))
        tensor(0.1500)
    """
    return trapezoid(amounts, scores)


def word_insertion(amounts: Tensor, scores: Tensor) -> Tensor:
    """Area under the cosine while words are inserted, most relevant first. Higher is better.

    Trapezoidal rule over the share of inserted words, from the empty text to the prompt. Adapted
    from Petsiuk et al. 2018, with words in place of pixels.

    Args:
        amounts: ``[m]`` shares of inserted words.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``.

    Example:
        >>> word_insertion(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.1, 0.3, 0.3]))
        tensor(0.2500)
    """
    return trapezoid(amounts, scores)


METRICS = (
    Metric(
        name="word_deletion",
        title="Deletion of words",
        source=SOURCE,
        value=word_deletion,
        higher_is_better=False,
        needs=("words", "score"),
        edits=word_deletion_edits,
        readings=("score",),
        side="text",
        curve_points=11,
    ),
    Metric(
        name="word_insertion",
        title="Insertion of words",
        source=SOURCE,
        value=word_insertion,
        higher_is_better=True,
        needs=("words", "score"),
        edits=word_insertion_edits,
        readings=("score",),
        side="text",
        curve_points=11,
    ),
)
