"""Extraction of phrases from captions: by rules, by spaCy, or by the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from whyclip.errors import InputError, quoted, unknown
from whyclip.finetuning.rules import LIMIT, rule_phrases

NAMES = ("auto", "rules", "spacy")


class Extractor:
    """Find at most five distinct phrases in a caption.

    It can be sent to worker processes if the user's function can.

    Attributes:
        name: ``"rules"``, ``"spacy"`` or the name of the user's function.
    """

    def __init__(self, name: str, find: Callable[[str], Sequence[str]], limit: int = LIMIT) -> None:
        self.name, self.find, self.limit = name, find, limit

    def __call__(self, caption: str) -> list[str]:
        """Find the phrases of one caption.

        Raises:
            InputError: the user's function returns something other than a list of strings.
        """
        given = self.find(caption)
        if isinstance(given, str) or not all(isinstance(phrase, str) for phrase in given):
            raise InputError(
                f"phrase extractor {self.name} returned {quoted(given)}; return a list of strings"
            )
        distinct = dict.fromkeys(phrase.strip() for phrase in given)
        return [phrase for phrase in distinct if phrase][: self.limit]


class SpacyFinder:
    """spaCy's noun chunks; the model is loaded on first use in each process."""

    def __init__(self) -> None:
        self.nlp: Callable[[str], object] | None = None

    def __call__(self, caption: str) -> list[str]:
        """Find the phrases of one caption."""
        from whyclip.finetuning.spacy_phrases import load_spacy, spacy_phrases

        if self.nlp is None:
            self.nlp = load_spacy()
        return spacy_phrases(self.nlp, caption)

    def __getstate__(self) -> dict[str, None]:
        return {"nlp": None}


def phrase_extractor(
    name_or_callable: str | Callable[[str], Sequence[str]] = "auto",
) -> Extractor:
    """Choose the function that finds the phrases of a caption.

    Args:
        name_or_callable: ``"rules"``, which needs no download; ``"spacy"``; ``"auto"``, spaCy if
            its English model is installed and otherwise the rules; or a function from a caption
            to a list of phrases.

    Raises:
        InputError: spaCy or its model is not installed.
        OptionError: the name is not known.
    """
    from whyclip.finetuning.spacy_phrases import spacy_missing

    if callable(name_or_callable):
        name = getattr(name_or_callable, "__name__", type(name_or_callable).__name__)
        return Extractor(str(name), name_or_callable)
    if name_or_callable not in NAMES:
        raise unknown("phrase extractor", name_or_callable, NAMES)
    missing = "" if name_or_callable == "rules" else spacy_missing()
    if name_or_callable == "spacy" and missing:
        raise InputError(f"{missing}; or choose the extractor 'rules', which needs no download")
    if name_or_callable == "rules" or missing:
        return Extractor("rules", rule_phrases)
    return Extractor("spacy", SpacyFinder())
