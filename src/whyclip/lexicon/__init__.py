"""Shipped word lists: everyday nouns, colours, adjectives, and nonsense strings.

The lists were written for whyclip. Every function that uses one also accepts the user's own list.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


def _lines(name: str) -> list[str]:
    text = (files("whyclip.lexicon") / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.split(","))


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun.

    Example:
        >>> with_article("apple"), with_article("unicorn")
        ('an apple', 'a unicorn')
    """
    by_sound = {"hourglass": "an", "x-ray image": "an"}
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "uk", "one", "eu"))
    return f"{by_sound.get(noun, 'an' if vowel else 'a')} {noun}"


@cache
def nouns() -> tuple[str, ...]:
    """Return about 1,300 everyday nouns as short prompts, such as "a dog" and "water"."""
    phrases: list[str] = []
    for line in _lines("nouns"):
        mass = line.startswith("+")
        words = _words(line.removeprefix("+"))
        phrases += words if mass else map(with_article, words)
    return tuple(dict.fromkeys(phrases))


@cache
def bare_nouns() -> tuple[tuple[str, ...], ...]:
    """Return the same nouns without articles, in groups of similar objects."""
    return tuple(_words(line.removeprefix("+")) for line in _lines("nouns"))


@cache
def adjectives() -> tuple[tuple[str, ...], ...]:
    """Return adjectives of visible properties, in groups whose members can replace each other."""
    return tuple(_words(line) for line in _lines("adjectives"))


@cache
def colours() -> tuple[str, ...]:
    """Return the names of common colours."""
    return tuple(word for line in _lines("colours") for word in _words(line))


@cache
def nonsense() -> tuple[str, ...]:
    """Return nonsense strings."""
    return tuple(word for line in _lines("nonsense") for word in _words(line))
