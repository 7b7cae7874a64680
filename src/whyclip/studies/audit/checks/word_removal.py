"""Whether removing the words that a method marks as relevant lowers the score."""

from __future__ import annotations

import torch

from whyclip.stats.correlation import spearman
from whyclip.studies.audit.check import UNSEEN, Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Spearman correlation of relevance and loss over the words, for each own prompt."""
    del side
    values, groups = [], []
    for sample, result in evidence.of(method):
        if not result.words or not sample.word_drops:
            continue
        for words, lost in zip(
            result.words[: sample.true_count], sample.word_drops[: sample.true_count], strict=True
        ):
            both = [(w.relevance, lost[w.start, w.end]) for w in words if (w.start, w.end) in lost]
            # The order of two words is a coin's toss, and counts as much as that of ten.
            value = float(spearman(*torch.tensor(both).T)) if len(both) > 1 else float("nan")
            values.append(value)
            groups.append(sample.image_id)
    return Measured(Values(values, groups))


CHECK = Check(
    name="word_removal",
    title="Follows removed words",
    question="Do words rank by relevance as they rank by the drop of the score when they are "
    "removed?",
    measure=measure,
    principle="consistency",
    higher_is_better=True,
    threshold=0.1,
    bounds=(-1.0, 1.0),
    reason="Random relevance scores 0. 0.1 is the smallest correlation that Cohen (1988) calls an "
    "effect.",
    passes="removing relevant words lowers the score more than removing others",
    fails="removing relevant words lowers the score no more than removing others",
    formula="mean Spearman(relevance_w, S − S without w) over the words of a prompt, 2 or more",
    sides=("text",),
    asks=("words",),
    replaced_by="exchanged_words",
    caveat=UNSEEN,
)
