"""Edited versions of a prompt with words left out, swapped for others, or exchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from whyclip.editing.parts import (
    Part,
    group_of_adjective,
    group_of_noun,
    parts_of,
    plural,
    singular,
)
from whyclip.finetuning import word_lists
from whyclip.lexicon import bare_nouns, colours, with_article

EditKind = Literal["leave out", "swap", "exchange", "own"]
KINDS: tuple[EditKind, ...] = ("leave out", "swap", "exchange")

_ARTICLE = re.compile(r"\b(an?)(\s+)(?=(\w+))", re.IGNORECASE)


class Draft(NamedTuple):
    """An edited prompt in which ``before`` was replaced by ``after``."""

    kind: EditKind
    prompt: str
    before: str
    after: str


def drafts(
    prompt: str,
    kinds: Sequence[EditKind],
    lists: Mapping[str, Sequence[str] | None],
) -> list[Draft]:
    """Write every edit of a prompt once, except edits without any change.

    Args:
        prompt: the prompt.
        kinds: kinds of edits.
        lists: replacements for ``"noun"``, ``"colour"`` and ``"adjective"``, or None for the
            shipped ones.
    """
    parts = parts_of(prompt)
    writers = {
        "leave out": lambda: _left_out(prompt, parts),
        "swap": lambda: _swapped(prompt, parts, lists),
        "exchange": lambda: _exchanged(prompt, parts),
    }
    distinct: dict[str, Draft] = {}
    for kind in KINDS:
        if kind in kinds:
            for draft in writers[kind]():
                if draft.prompt.strip() and draft.prompt != prompt:
                    distinct.setdefault(draft.prompt, draft)
    return list(distinct.values())


def _left_out(prompt: str, parts: Sequence[Part]) -> Iterator[Draft]:
    if len(parts) < 2:
        return
    for part in parts:
        edited = f"{prompt[: part.start]} {prompt[part.end :]}"
        yield Draft("leave out", with_articles(_tidy(edited)), part.text, "")


def _swapped(
    prompt: str, parts: Sequence[Part], lists: Mapping[str, Sequence[str] | None]
) -> Iterator[Draft]:
    for part in parts:
        if part.kind == "other":
            continue
        given = lists.get(part.kind)
        for word in replacements(part) if given is None else given:
            if word.lower() != part.lower:
                edited = prompt[: part.start] + word + prompt[part.end :]
                yield Draft("swap", with_articles(edited), part.text, word)


def replacements(part: Part) -> tuple[str, ...]:
    """Shipped replacements of a noun, colour or adjective.

    A noun is replaced by the nouns of its group, or by the first noun of each group if it is not in
    the list. Plurals stay plural.
    """
    if part.kind == "colour":
        return colours()
    if part.kind == "adjective":
        return group_of_adjective().get(part.lower, ())
    if part.lower in group_of_noun():
        return group_of_noun()[part.lower]
    stem = singular(part.lower)
    if stem != part.lower:
        return tuple(plural(noun) for noun in group_of_noun()[stem])
    return tuple(group[0] for group in bare_nouns())


def _exchanged(prompt: str, parts: Sequence[Part]) -> Iterator[Draft]:
    for first, second in pairwise(parts):
        if first.phrase >= 0 and second.phrase >= 0:
            yield _exchange(prompt, first, second)
    for kinds in (("noun",), ("colour",), ("adjective",)):
        alike = [part for part in parts if part.kind in kinds]
        for index, first in enumerate(alike):
            for second in alike[index + 1 :]:
                yield _exchange(prompt, first, second)


def _exchange(prompt: str, first: Part, second: Part) -> Draft:
    between = prompt[first.end : second.start]
    edited = f"{prompt[: first.start]}{second.text}{between}{first.text}{prompt[second.end :]}"
    before, after = f"{first.text} … {second.text}", f"{second.text} … {first.text}"
    return Draft("exchange", with_articles(edited), before, after)


def with_articles(text: str) -> str:
    """Correct "a" and "an" to match the following noun or adjective.

    Example:
        >>> with_articles("a owl on an table")
        'an owl on a table'
    """

    def fitting(match: re.Match[str]) -> str:
        article, space, word = match.groups()
        if word.lower() in word_lists.PREPOSITIONS | word_lists.CONJUNCTIONS:
            return match[0]
        right = with_article(word.lower()).split()[0]
        return (right.capitalize() if article[0].isupper() else right) + space

    return _ARTICLE.sub(fitting, text)


def _tidy(text: str) -> str:
    """Remove doubled spaces, and spaces in front of punctuation."""
    return re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"\s+", " ", text)).strip(" ,;:")
