"""Replaced words with their relevance."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from whyclip.studies.audit.evidence import Evidence, Exchange, MethodEvidence, SampleEvidence
from whyclip.studies.pairs import Pairs
from whyclip.types import Word


def exchanged(
    evidence: Evidence, method: str, kinds: Collection[str], *, probes_only: bool = False
) -> Pairs:
    """Pair the relevance of replaced words with the score drop, over all prompts and probes.

    Args:
        evidence: evidence of the samples.
        method: label of the method.
        kinds: kinds of replacements.
        probes_only: whether to exclude the samples' own prompts, in which the noun is always last.
    """
    x, y, groups = [], [], []
    for sample, result in evidence.of(method):
        for exchange in sample.exchanges:
            if exchange.kind in kinds and (exchange.prompt >= sample.true_count or not probes_only):
                x.append(relevance_of(sample, result, exchange))
                y.append(exchange.drop)
                groups.append(sample.image_id)
    return Pairs(x, y, groups)


def relevance_of(sample: SampleEvidence, result: MethodEvidence, exchange: Exchange) -> float:
    """Summed relevance of the replaced words; NaN if the method does not explain text."""
    number = exchange.prompt - sample.true_count
    words = result.probe_words[number:] if number >= 0 else result.words[exchange.prompt :]
    if not words:
        return float("nan")
    return summed(words[0], exchange)


def absent(evidence: Evidence, method: str, kinds: Collection[str]) -> Pairs:
    """Pair relevance with the score drop for nouns that absent classes replace."""
    x, y, groups = [], [], []
    for sample, explained in evidence.of(method):
        for exchange in sample.absent:
            if exchange.kind in kinds and explained.absent_words:
                x.append(summed(explained.absent_words[exchange.prompt], exchange))
                y.append(exchange.drop)
                groups.append(sample.image_id)
    return Pairs(x, y, groups)


def summed(words: Sequence[Word], exchange: Exchange) -> float:
    """Summed relevance of the replaced words; NaN if none of them is within the context."""
    places = set(exchange.words)
    values = [word.relevance for word in words if (word.start, word.end) in places]
    return sum(values) if values else float("nan")
