"""Extract phrases from captions by rules, by spaCy, or by the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from whyclip.errors import InputError, WhyclipError, quoted, reason, unknown
from whyclip.finetuning.rules import LIMIT, rule_phrases

NAMES = ("auto", "rules", "spacy")


class Extractor:
    """Find the distinct phrases of a caption, at most ``limit``.

    It can be sent to worker processes if the user's function can.

    Attributes:
        name: ``"rules"``, ``"spacy"`` or the name of the user's function.
    """

    def __init__(self, name: str, find: Callable[[str], Sequence[str]], limit: int = LIMIT) -> None:
        self.name, self.find, self.limit = name, find, limit

    def __call__(self, caption: str) -> list[str]:
        """Find the phrases of one caption.

        Raises:
            InputError: the user's function fails, or returns something other than a list of
                strings.
        """
        try:
            given = self.find(caption)
            # A generator can be iterated only once.
            phrases = given if isinstance(given, str) or given is None else list(given)
        except WhyclipError:
            raise
        except Exception as error:
            raise InputError(
                f"phrase extractor {self.name} failed on the caption {quoted(caption)} with "
                f"{type(error).__name__}: {reason(error)}; correct the function"
            ) from error
        if not isinstance(phrases, list) or not all(isinstance(one, str) for one in phrases):
            raise InputError(
                f"phrase extractor {self.name} returned {quoted(given)}; return a list of strings"
            )
        # Tokenizers reject unpaired surrogates. Batches do not distinguish case.
        clean = [one.encode("utf-8", "replace").decode().strip() for one in phrases]
        distinct: dict[str, str] = {}
        for phrase in clean:
            distinct.setdefault(phrase.lower(), phrase)
        return [phrase for phrase in distinct.values() if phrase][: self.limit]


class SpacyFinder:
    """spaCy's noun chunks; the model is loaded on first use in each process."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.nlp: Callable[[str], object] | None = None

    def __call__(self, caption: str) -> list[str]:
        """Find the phrases of one caption."""
        from whyclip.finetuning.spacy_phrases import load_spacy, spacy_phrases

        if self.nlp is None:
            self.nlp = load_spacy()
        return spacy_phrases(self.nlp, caption, self.limit)

    def __getstate__(self) -> dict[str, int | None]:
        return {"limit": self.limit, "nlp": None}


def phrase_extractor(
    name_or_callable: str | Callable[[str], Sequence[str]] = "auto",
    limit: int = LIMIT,
) -> Extractor:
    """Choose the function that finds the phrases of a caption.

    Args:
        name_or_callable: ``"rules"``, which needs no download; ``"spacy"``; ``"auto"``, spaCy if
            its English model is installed and otherwise the rules; or a function from a caption
            to a list of phrases.
        limit: maximum number of phrases per caption.

    Raises:
        InputError: spaCy or its model is not installed.
        OptionError: the name is not known.
    """
    from whyclip.finetuning.spacy_phrases import spacy_missing

    if callable(name_or_callable):
        name = getattr(name_or_callable, "__name__", type(name_or_callable).__name__)
        return Extractor(str(name), name_or_callable, limit)
    if name_or_callable not in NAMES:
        raise unknown("phrase extractor", name_or_callable, NAMES)
    missing = "" if name_or_callable == "rules" else spacy_missing()
    if name_or_callable == "spacy" and missing:
        raise InputError(f"{missing}; or choose the extractor 'rules', which needs no download")
    if name_or_callable == "rules" or missing:
        return Extractor("rules", partial(rule_phrases, limit=limit), limit)
    return Extractor("spacy", SpacyFinder(limit), limit)
