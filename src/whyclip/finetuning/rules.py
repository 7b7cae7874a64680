"""Find the noun phrases of an English caption by word lists and suffixes, without a model.

A phrase is a noun with the adjectives and nouns in front of it, in lower case, without
determiners, numbers, possessors and adverbs: "two very large red cars" gives "large red cars".
Chunks end at verbs, prepositions, conjunctions and punctuation. Frames ("a photo of"), quantities
("a group of") and positions ("in front of") are not phrases. Words that are not in the Latin
alphabet are skipped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from whyclip.finetuning import word_lists as lists

LIMIT = 5
# A longer phrase is a list of words, not a description of a region.
MOST_WORDS = 6
LONGEST_WORD = 40
# Longest markup in a caption; the limit keeps the search linear in time.
_MARKUP = re.compile(
    r"<[^<>]{0,200}>|(?:https?://|www\.)\S+|\b[\w-]{1,80}\.(?:jpe?g|png|gif|webp)\b", re.I
)
_CLOSE_UP = re.compile(r"\bclose\s?-?\s?ups?\b", re.I)
_TOKEN = re.compile(
    r"[A-Za-zÀ-ɏ]+(?:[-'’][A-Za-zÀ-ɏ]+)*|\d+\w*|[,\"“”]|[^\sA-Za-zÀ-ɏ\d]",
)
_BREAK = "."


def rule_phrases(caption: str, limit: int = LIMIT) -> list[str]:
    """Find the noun phrases of an English caption.

    Args:
        caption: any text; markup, addresses and file names are ignored.
        limit: maximum number of phrases.

    Returns:
        Distinct phrases in lower case, in their order in the caption.

    Example:
        >>> rule_phrases("a photo of a small brown dog and two red cars next to the old house")
        ['small brown dog', 'red cars', 'old house']
    """
    phrases: dict[str, None] = {}
    for phrase in _Parser(_tokens(caption)).phrases():
        phrases.setdefault(phrase)
        if len(phrases) == limit:
            break
    return list(phrases)


def _tokens(caption: str) -> list[str]:
    text = _CLOSE_UP.sub("closeup", _MARKUP.sub(" . ", html.unescape(caption)))
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        word = token.lower().replace("’", "'")
        if word in {'"', "“", "”"}:
            tokens.append(_BREAK)
        elif word.endswith("'s") and word not in lists.AUXILIARIES:
            tokens += [word[:-2], _BREAK]
        elif word == "s" and tokens[-1:] == [_BREAK]:
            # Some captions are tokenised, with "man 's".
            continue
        elif word[0].isdigit():
            tokens.append("one")
        else:
            tokens.append(word if word[0].isalpha() or word == "," else _BREAK)
    return tokens


class _Parser:
    """Parse tokens once from left to right, with one token of context on each side."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.chunk: list[str] = []
        self.lead = _BREAK  # the token in front of the chunk
        self.determined = False

    def phrases(self) -> Iterator[str]:
        for place, word in enumerate(self.tokens):
            before = self.tokens[place - 1] if place else _BREAK
            after = self.tokens[place + 1] if place + 1 < len(self.tokens) else _BREAK
            if word in lists.ADVERBS or _is_adverb(word):
                continue
            if self._joins(word, after):
                if word == "and" and len(self.chunk) <= MOST_WORDS:
                    self.chunk.append(word)
                continue
            if not _is_content(word) or self._is_verb(word, before, after):
                yield from self._close(word)
                self.determined = word in lists.DETERMINERS
                self.lead = word if not self.determined else before
            elif len(self.chunk) <= MOST_WORDS:
                self.chunk.append(word)
        yield from self._close(_BREAK)

    def _joins(self, word: str, after: str) -> bool:
        """Whether "and" or a comma stands between two adjectives of one noun."""
        if not self.chunk or not _is_content(after):
            return word == "," and bool(self.chunk) and after in lists.ADVERBS and self._bare()
        if word == "and":
            return self.chunk[-1] in lists.COLOURS and after in lists.COLOURS and self._bare()
        return word == "," and self._bare() and self.lead != ","

    def _bare(self) -> bool:
        return all(_is_adjective(word) for word in self.chunk)

    def _has_noun(self) -> bool:
        return bool(self.chunk) and not self._bare()

    def _is_verb(self, word: str, before: str, after: str) -> bool:
        if word.endswith("ing") and len(word) > 4 and word not in lists.ING_NOUNS:
            return self._is_ing_verb(before, after)
        if (word.endswith("ed") and word not in lists.ED_NOUNS) or word in lists.PARTICIPLES:
            return self._is_participle(word, before, after)
        if before == "to" and (_is_base(word) or after in lists.ARTICLES):
            return True
        if not self._has_noun():
            return word in lists.VERBS and not self.chunk and not self.determined
        return after in lists.ARTICLES or self._is_finite(word, after)

    def _is_ing_verb(self, before: str, after: str) -> bool:
        """Whether a word in -ing is a verb, and not an adjective as in "a smiling man"."""
        if not _is_content(after):
            return bool(self.chunk) or not self.determined
        if after in lists.ING_HEADS:
            return False
        return self._has_noun() or before in lists.AUXILIARIES

    def _is_participle(self, word: str, before: str, after: str) -> bool:
        """Whether a participle is a verb, and not an adjective as in "a parked car"."""
        if word in lists.POSITIONS:
            return after in lists.ARTICLES and not self.determined
        if word in lists.QUANTITIES and after == "of":
            return False
        return not _is_content(after) or before in lists.AUXILIARIES - lists.HAVE

    def _is_finite(self, word: str, after: str) -> bool:
        """Whether a word after a noun is its verb, such as "rides" or, after a plural, "ride"."""
        if word in lists.VERBS:
            return True
        if word in lists.S_NOUNS:
            return False
        if word.endswith("s"):
            return any(_is_base(stem) for stem in _stems(word)) or after in lists.AFTER_VERBS
        plural = self.chunk[-1] in lists.PLURALS or _is_plural(self.chunk[-1])
        return word in lists.NOUN_VERBS and (plural or (self.lead == "and" and after != _BREAK))

    def _close(self, after: str) -> Iterator[str]:
        chunk, self.chunk = self.chunk, []
        if not chunk or len(chunk) > MOST_WORDS:
            return
        if len(chunk) > 1 and chunk[-1] in lists.TRAILING:
            chunk.pop()
        head = chunk[-1]
        if all(_is_adjective(word) for word in chunk) and not self.determined and self._is_loose():
            return
        if head in lists.ALWAYS_FRAMES or not 2 <= len(head) <= LONGEST_WORD:
            return
        if head in lists.FRAMES and after in lists.FRAMES_BEFORE:
            return
        if head in lists.QUANTITIES and after == "of":
            return
        if len(chunk) == 1 and (
            head in lists.POSITIONS or (head, self.determined) == ("top", False)
        ):
            return
        yield " ".join(chunk)

    def _is_loose(self) -> bool:
        return self.lead in lists.AUXILIARIES or self.lead in lists.PREPOSITIONS


def _is_content(word: str) -> bool:
    return word[0].isalpha() and not (
        word in lists.DETERMINERS
        or word in lists.PREPOSITIONS
        or word in lists.CONJUNCTIONS
        or word in lists.PRONOUNS
        or word in lists.AUXILIARIES
        or word in lists.ADVERBS
        or word.endswith("n't")
    )


def _is_adverb(word: str) -> bool:
    return word.endswith("ly") and len(word) > 4 and word not in lists.LY_WORDS


def _is_adjective(word: str) -> bool:
    if word in lists.ADJECTIVES or word == "and":
        return True
    if word.endswith("ing") and word not in lists.ING_NOUNS and len(word) > 4:
        return True
    return word.endswith(lists.ADJECTIVE_ENDINGS) and not word.endswith(lists.NOUN_ENDINGS)


def _is_plural(word: str) -> bool:
    return word.endswith(("s", "men")) and not word.endswith(("ss", "us", "is"))


def _is_base(word: str) -> bool:
    return word in lists.VERBS or word in lists.NOUN_VERBS


def _stems(word: str) -> tuple[str, ...]:
    return (word[:-1], word[:-2], f"{word[:-3]}y" if word.endswith("ies") else word[:-1])
