"""Nouns, colours and adjectives of an English prompt, with their positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from whyclip.finetuning import word_lists
from whyclip.finetuning.rules import rule_phrases
from whyclip.inputs.words import words_of
from whyclip.lexicon import adjectives, bare_nouns, colours

PartKind = Literal["noun", "colour", "adjective", "other"]

_MOST_PHRASES = 50
_LONGEST_NOUN = 4


@dataclass(frozen=True)
class Part:
    """A word of a prompt, or several words that form one noun.

    Attributes:
        text: the word as written in the prompt.
        start: index of the first character.
        end: index after the last character.
        kind: ``"noun"``, ``"colour"``, ``"adjective"`` or ``"other"``.
        phrase: index of its noun phrase; -1 for none.
    """

    text: str
    start: int
    end: int
    kind: PartKind = "other"
    phrase: int = -1

    @property
    def lower(self) -> str:
        """The text in lower case with single spaces."""
        return " ".join(self.text.lower().split())


def parts_of(prompt: str) -> tuple[Part, ...]:
    """Split a prompt into words, and recognise nouns, colours and adjectives.

    Noun phrases are found by word lists and suffixes (:mod:`whyclip.finetuning.rules`). The last
    word of a phrase is its noun. Compounds on the shipped list, for example "teddy bear", are one
    noun.

    Example:
        >>> [(part.text, part.kind) for part in parts_of("a red car")]
        [('a', 'other'), ('red', 'colour'), ('car', 'noun')]
    """
    words = [Part(*word) for word in words_of(prompt) if any(c.isalnum() for c in word[0])]
    at, parts, done = 0, list(words), 0
    phrases = [phrase.split() for phrase in rule_phrases(prompt, _MOST_PHRASES)]
    for number, phrase in enumerate(phrases):
        at = _find([part.lower for part in parts], phrase, done)
        if at < 0:
            continue
        noun = _noun_length(phrase)
        first, behind = at + len(phrase) - noun, at + len(phrase)
        for index in range(at, first):
            part = parts[index]
            kind = _modifier(part.lower)
            parts[index] = Part(part.text, part.start, part.end, kind, number)
        start, end = parts[first].start, parts[behind - 1].end
        parts[first:behind] = [Part(prompt[start:end], start, end, "noun", number)]
        done = first + 1
    return tuple(parts)


def _find(words: list[str], phrase: list[str], start: int) -> int:
    for index in range(start, len(words) - len(phrase) + 1):
        if words[index : index + len(phrase)] == phrase:
            return index
    return -1


def _noun_length(phrase: list[str]) -> int:
    for length in range(min(_LONGEST_NOUN, len(phrase)), 1, -1):
        if " ".join(phrase[-length:]) in group_of_noun():
            return length
    return 1


def _modifier(word: str) -> PartKind:
    if word in colours() or word in word_lists.COLOURS:
        return "colour"
    if word in word_lists.ADJECTIVES or word in group_of_adjective():
        return "adjective"
    return "other"


@cache
def group_of_noun() -> dict[str, tuple[str, ...]]:
    """Nouns of the same group, by shipped noun."""
    return {noun: group for group in reversed(bare_nouns()) for noun in group}


@cache
def group_of_adjective() -> dict[str, tuple[str, ...]]:
    """Possible replacements, by shipped adjective."""
    return {word: group for group in reversed(adjectives()) for word in group}


def singular(noun: str) -> str:
    """Undo :func:`plural` if the result is in the shipped list; otherwise return the noun."""
    for ending, instead in (("men", "man"), ("ies", "y"), ("es", ""), ("s", "")):
        stem = noun.removesuffix(ending) + instead
        if noun.endswith(ending) and stem in group_of_noun():
            return stem
    return noun


def plural(noun: str) -> str:
    """Form the regular plural.

    Example:
        >>> plural("dog"), plural("box"), plural("berry"), plural("boy"), plural("man")
        ('dogs', 'boxes', 'berries', 'boys', 'men')
    """
    if noun.endswith("man"):
        return f"{noun[:-3]}men"
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
