"""Captions in parts, so that one word can be replaced without changing the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from whyclip.inputs.words import words_of
from whyclip.scenes.captions import phrase

TextEditKind = Literal["colour", "noun", "relation", "no_adjective"]
OPPOSITES = {
    "to the left of": "to the right of",
    "left of": "right of",
    "above": "below",
}
OPPOSITES |= {after: before for before, after in OPPOSITES.items()}


@dataclass(frozen=True)
class TextEdit:
    """One intervention on a prompt.

    Attributes:
        kind: kind of change.
        prompt: the changed prompt.
        words: indices of the changed words of the original prompt, as counted by
            `whyclip.inputs.words.words_of`. An article that changes with its noun (an apple, a
            dog) does not count.
        label: label of the prompt.
    """

    kind: TextEditKind
    prompt: str
    words: tuple[int, ...]
    label: str


@dataclass(frozen=True)
class Noun:
    """An object in a caption: colour and name."""

    name: str
    colour: str | None = None


@dataclass(frozen=True)
class Wording:
    """A caption: a frame around one noun, or two nouns with a joint or relation between them."""

    nouns: tuple[Noun, ...]
    joint: str = ""
    frame: str = "{}"

    @property
    def text(self) -> str:
        """The caption."""
        parts = [phrase(noun.name, noun.colour) for noun in self.nouns]
        return self.frame.format(f" {self.joint} ".join(parts))

    def words_at(self, start: int, end: int) -> tuple[int, ...]:
        """Indices of the words that lie within these characters."""
        spans = words_of(self.text)
        return tuple(i for i, (_, a, b) in enumerate(spans) if start <= a and b <= end)

    def with_noun(self, number: int, noun: Noun) -> Wording:
        """Return the caption with another object."""
        nouns = [noun if i == number else other for i, other in enumerate(self.nouns)]
        return replace(self, nouns=tuple(nouns))

    def exchange(self, number: int, kind: TextEditKind, noun: Noun, label: str) -> TextEdit:
        """Replace the colour or the name of one object, or remove its colour."""
        start = self._start(number)
        colour, name = self.nouns[number].colour, self.nouns[number].name
        at = start + len(colour) + 1 if colour and kind == "noun" else start
        changed = name if kind == "noun" else colour or ""
        words = self.words_at(at, at + len(changed))
        return TextEdit(kind, self.with_noun(number, noun).text, words, label)

    def opposite(self, label: str) -> TextEdit:
        """State the opposite relation."""
        other = replace(self, joint=OPPOSITES[self.joint])
        before, after = words_of(self.text), words_of(other.text)
        pairs = enumerate(zip(before, after, strict=True))
        words = tuple(i for i, ((a, *_), (b, *_)) in pairs if a != b)
        return TextEdit("relation", other.text, words, label)

    def _start(self, number: int) -> int:
        """Index of the first character of the object's colour or name, after its article."""
        at = self.frame.index("{}")
        for noun in self.nouns[:number]:
            at += len(phrase(noun.name, noun.colour)) + len(self.joint) + 2
        noun = self.nouns[number]
        bare = phrase(noun.name, noun.colour, article=False)
        return at + len(phrase(noun.name, noun.colour)) - len(bare)
