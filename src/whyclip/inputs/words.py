"""Words of a prompt, and the mapping of a tokenizer's pieces to words.

This module does not depend on a tokenizer. Words are found by Unicode categories, and pieces are
aligned with the text by comparing characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from whyclip.types import Word

Span = tuple[int, int]
WordSpan = tuple[str, int, int]

# Characters that join within a word ("dog's", "t-shirt") and within a number ("3.5", "1,000").
_JOINERS = "'\u2019-\u2010\u2011"
_NUMBER_JOINERS = ".,"
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_ZERO_WIDTH_JOINER = "\u200d"


def words_of(text: str) -> tuple[WordSpan, ...]:
    """Split a text into words, with their spans.

    One word is: letters and digits with inner apostrophes and hyphens; a run of one punctuation
    mark; an emoji with its modifiers; a run of one kana script; each Han character (a text without
    spaces would otherwise be a single word).

    Returns:
        ``(word, start, end)`` in reading order, with ``text[start:end] == word``.
    """
    words: list[WordSpan] = []
    start = 0
    while start < len(text):
        end = start + 1
        if _kind(text[start]) != "space":
            while end < len(text) and _continues(text, start, end):
                end += 1
            words.append((text[start:end], start, end))
        start = end
    return tuple(words)


def piece_spans(text: str, pieces: Sequence[str]) -> list[Span | None]:
    """Align the pieces of a tokenizer with the text.

    Args:
        text: the text as the user wrote it.
        pieces: decoded pieces in order; case, white space and Unicode forms may differ from the
            text, and parts of the text may be missing.

    Returns:
        For each piece, the span of the text that it covers, or None if nothing matches.
        Starts never decrease.
    """
    ends: list[int] = []
    for piece in pieces:
        ends.append((ends[-1] if ends else 0) + len(piece))
    bounds = [(end - len(piece), end) for piece, end in zip(pieces, ends, strict=True)]
    return spans_of_parts(text, "".join(pieces), bounds)


def spans_of_parts(text: str, other: str, parts: Sequence[Span]) -> list[Span | None]:
    """Map spans of a cleaned text to the original one.

    Args:
        text: the text as the user wrote it.
        other: the tokenizer's version of the text.
        parts: spans in ``other``; they may overlap (two pieces of one character's bytes).

    Returns:
        For each part, its span in ``text``, or None if nothing matches.
    """
    if text == other:
        return [(a, b) if b > a else None for a, b in (_trim(text, part) for part in parts)]
    folded, origin = _fold(text)
    folded_other, origin_other = _fold(other)
    place: dict[int, tuple[int, int]] = {}
    matcher = SequenceMatcher(None, folded, folded_other, autojunk=False)
    for block in matcher.get_matching_blocks():
        for k in range(block.size):
            here, there = origin[block.a + k], origin_other[block.b + k]
            first, last = place.get(there, (here, here))
            place[there] = (min(first, here), max(last, here))
    spans: list[Span | None] = []
    for start, end in parts:
        matched = [place[i] for i in range(start, end) if i in place]
        spans.append((matched[0][0], matched[-1][1] + 1) if matched else None)
    return spans


def word_relevance(
    words: Sequence[WordSpan],
    spans: Sequence[Span | None],
    relevance: Sequence[float],
    template: int = 0,
) -> tuple[Word, ...]:
    """Add up the relevance of the pieces of each word.

    A piece that covers several words (such as ``?!``) is divided in proportion to its characters in
    each, so that the sum over words equals the sum over pieces in words.

    Args:
        words: from :func:`words_of`.
        spans: one for each piece, from :func:`piece_spans`.
        relevance: one signed value for each piece.
        template: index of the string within an ensemble.

    Returns:
        Words with at least one piece, in reading order.
    """
    totals: dict[int, float] = {}
    for span, value in zip(spans, relevance, strict=True):
        if span is None:
            continue
        overlaps = _covered(words, span)
        covered = sum(overlaps.values())
        for i, n in overlaps.items():
            totals[i] = totals.get(i, 0.0) + float(value) * n / covered
    return tuple(
        Word(text, start, end, totals[i], template)
        for i, (text, start, end) in enumerate(words)
        if i in totals
    )


def word_pieces(
    words: Sequence[WordSpan], spans: Sequence[Span | None]
) -> tuple[tuple[int, ...], ...]:
    """List the pieces of each word; a piece that covers several words belongs to the first.

    Args:
        words: from :func:`words_of`.
        spans: one for each piece, from :func:`piece_spans`.

    Returns:
        For each word with pieces, their indices, in reading order.
    """
    pieces: dict[int, list[int]] = {}
    for index, span in enumerate(spans):
        if span and (covered := _covered(words, span)):
            pieces.setdefault(min(covered), []).append(index)
    return tuple(tuple(pieces[word]) for word in sorted(pieces))


def words_under(words: Sequence[WordSpan], spans: Sequence[Span | None]) -> tuple[str, ...]:
    """List the words that overlap any of these spans, in reading order."""
    return tuple(
        word[0] for word in words if any(span and _overlap(span, word) > 0 for span in spans)
    )


def _covered(words: Sequence[WordSpan], span: Span) -> dict[int, int]:
    """Count the characters of each word that a span covers, by the word's index."""
    return {i: n for i, word in enumerate(words) if (n := _overlap(span, word)) > 0}


def _overlap(span: Span, word: WordSpan) -> int:
    return min(span[1], word[2]) - max(span[0], word[1])


def _trim(text: str, span: Span) -> Span:
    """Strip the white space around a span."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _fold(text: str) -> tuple[str, list[int]]:
    """Decompose and case-fold characters, without white space, with their original positions."""
    folded: list[str] = []
    origin: list[int] = []
    for i, character in enumerate(text):
        for c in unicodedata.normalize("NFKD", character).casefold():
            if not c.isspace():
                folded.append(c)
                origin.append(i)
    return "".join(folded), origin


def _continues(text: str, start: int, at: int) -> bool:
    """Whether the character at ``at`` belongs to the word that began at ``start``."""
    kind, before, here = _kind(text[start]), text[at - 1], text[at]
    if _attaches(before, here, kind, at - start):
        return True
    if kind in ("letter", "hiragana", "katakana"):
        if _kind(here) == kind:
            return True
        return kind == "letter" and at + 1 < len(text) and _joins(before, here, text[at + 1])
    return kind == "mark" and here == text[start]


def _joins(before: str, here: str, after: str) -> bool:
    if _kind(before) != "letter" or _kind(after) != "letter":
        return False
    if here in _NUMBER_JOINERS:
        return before.isdigit() and after.isdigit()
    return here in _JOINERS


def _attaches(before: str, here: str, kind: str, length: int) -> bool:
    """Whether it is a combining mark, skin tone, joined emoji or second letter of a flag."""
    if unicodedata.category(here)[0] == "M" or here == _ZERO_WIDTH_JOINER:
        return True
    if before == _ZERO_WIDTH_JOINER:
        return kind != "letter" or _kind(here) == "letter"
    if ord(here) in _SKIN_TONES:
        return kind == "symbol"
    return ord(before) in _FLAG_LETTERS and ord(here) in _FLAG_LETTERS and length == 1


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace() or category in ("Cc", "Cs", "Zs"):
        return "space"
    name = unicodedata.name(character, "")
    if name.startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH")):
        return "han"
    if name.startswith("HIRAGANA"):
        return "hiragana"
    if name.startswith(("KATAKANA", "HALFWIDTH KATAKANA")):
        return "katakana"
    if category[0] in "LNM" or category == "Cf":
        return "letter"
    return "symbol" if category == "So" else "mark"
