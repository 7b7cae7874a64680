"""Noun phrases of a caption by spaCy's parser; needs spaCy and its small English model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whyclip.errors import InputError
from whyclip.finetuning import word_lists as lists
from whyclip.finetuning.rules import LIMIT

MODEL = "en_core_web_sm"
# spaCy rejects longer texts by default.
LONGEST = 100_000
_KEPT = frozenset({"ADJ", "NOUN", "PROPN", "VERB"})


def spacy_missing() -> str:
    """Return the command that installs spaCy or its model; empty if both are installed."""
    from importlib.util import find_spec

    if find_spec("spacy") is None:
        return f"spaCy is not installed: pip install 'whyclip[spacy]' && {_download()}"
    if find_spec(MODEL) is None:
        return f"spaCy's model {MODEL} is not installed: {_download()}"
    return ""


def _download() -> str:
    return f"python -m spacy download {MODEL}"


def load_spacy() -> Callable[[Any], Any]:
    """Load spaCy's small English model.

    Raises:
        InputError: spaCy or the model is not installed, or does not load.
    """
    missing = spacy_missing()
    if missing:
        raise InputError(missing)
    import spacy

    try:
        return spacy.load(MODEL, exclude=["ner", "lemmatizer"])
    except Exception as error:  # noqa: BLE001 - a model of another spaCy version may raise anything
        raise InputError(f"spaCy's model {MODEL} does not load ({error}); {_download()}") from None


def spacy_phrases(nlp: Callable[[Any], Any], caption: str, limit: int = LIMIT) -> list[str]:
    """Find the noun chunks of a caption: nouns with their adjectives and compound nouns.

    Args:
        nlp: spaCy pipeline with tags and dependencies.
        caption: English text.
        limit: maximum number of phrases.

    Returns:
        Distinct phrases in lower case, without determiners, numbers, pronouns and frames.
    """
    phrases: dict[str, None] = {}
    document = nlp(caption[:LONGEST])
    for chunk in document.noun_chunks:
        end = chunk.end
        after = document[end].lower_ if end < len(document) else ""
        for words in _parts(chunk):
            if words and not _is_frame(words, after):
                phrases.setdefault(" ".join(words))
        if len(phrases) >= limit:
            break
    return list(phrases)[:limit]


def _parts(chunk: Any) -> list[list[str]]:
    """Split a chunk at a possessive 's; keep adjectives with their conjunctions, and nouns."""
    parts: list[list[str]] = [[]]
    for token in chunk:
        if token.tag_ == "POS" or token.lower_ == "'s":
            parts.append([])
        elif _is_kept(token) or (token.dep_ == "cc" and parts[-1]):
            parts[-1].append(token.lower_)
    return parts


def _is_kept(token: Any) -> bool:
    return token.pos_ in _KEPT and any(letter.isalpha() for letter in token.lower_)


def _is_frame(words: list[str], after: str) -> bool:
    head = words[-1]
    return (
        head in lists.ALWAYS_FRAMES
        or (head in lists.FRAMES and after in lists.FRAMES_BEFORE)
        or (head in lists.QUANTITIES and after == "of")
        or (len(words) == 1 and head in lists.POSITIONS | {"top"})
    )
