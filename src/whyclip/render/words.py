"""The words of a prompt, coloured by relevance.

Orange is for the match and blue against it, as in the maps. Words against it are also underlined,
so that the sign is visible without colour. The prompt keeps its text and spacing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from whyclip.explanation import Prompt
from whyclip.render.colour import AGAINST, FOR
from whyclip.types import Word

STRONGEST = 0.75
"""Opacity of the highlight of a prompt's most relevant word."""


@dataclass(frozen=True)
class Segment:
    """A part of the prompt: a word with its strength in [−1, 1], or text between words."""

    text: str
    strength: float | None = None
    relevance: float | None = None

    @property
    def colour(self) -> str:
        """Colour of the word's sign, ``#rrggbb``."""
        return AGAINST if (self.strength or 0) < 0 else FOR

    @property
    def opacity(self) -> float:
        """Opacity of the highlight, in [0, 1]."""
        return STRONGEST * abs(self.strength or 0.0)


def template_text(prompt: Prompt, template: int = 0) -> str:
    """Return the string of one template."""
    return prompt if isinstance(prompt, str) else prompt[template]


def segments(
    prompt: Prompt, words: Iterable[Word], template: int = 0, *, largest: float | None = None
) -> tuple[Segment, ...]:
    """Split a prompt at its words.

    Args:
        prompt: the prompt as the user wrote it, or an ensemble of them.
        words: its words; those of other templates are ignored.
        template: index of a string of an ensemble.
        largest: |relevance| of full strength; by default the largest among these words.

    Returns:
        Segments whose texts join to the prompt exactly. Strength is relevance over ``largest``.
    """
    text = template_text(prompt, template)
    ordered = sorted((w for w in words if w.template == template), key=lambda w: (w.start, w.end))
    if largest is None:
        largest = max((abs(w.relevance) for w in ordered), default=0.0)
    pieces: list[Segment] = []
    at = 0
    for word in ordered:
        if word.start < at or not word.start < word.end <= len(text):
            continue
        if word.start > at:
            pieces.append(Segment(text[at : word.start]))
        strength = word.relevance / largest if largest > 0 else 0.0
        pieces.append(Segment(text[word.start : word.end], strength, word.relevance))
        at = word.end
    if at < len(text):
        pieces.append(Segment(text[at:]))
    return tuple(pieces)


def strongest_words(words: Iterable[Word], count: int = 3) -> list[Word]:
    """The ``count`` words of largest |relevance|, strongest first, without zeros."""
    ranked = sorted(words, key=lambda w: -abs(w.relevance))
    return [w for w in ranked if w.relevance != 0][:count]


def words_html(
    prompt: Prompt, words: Sequence[Word], template: int = 0, *, largest: float | None = None
) -> str:
    """Write a prompt as escaped HTML with highlighted words."""
    return "".join(_span(piece) for piece in segments(prompt, words, template, largest=largest))


def _span(piece: Segment) -> str:
    text = escape(piece.text)
    if piece.strength is None or piece.relevance is None:
        return text
    red, green, blue = (int(piece.colour[i : i + 2], 16) for i in (1, 3, 5))
    line = ";text-decoration:underline dashed" if piece.strength < 0 else ""
    return (
        f'<mark title="{piece.relevance:+.4g}" style="color:inherit;border-radius:3px;'
        f'background:rgba({red},{green},{blue},{piece.opacity:.2f}){line}">{text}</mark>'
    )
