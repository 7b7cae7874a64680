"""Whether removing the patches that a map marks as relevant lowers the score."""

from __future__ import annotations

from functools import partial

from whyclip.stats.correlation import spearman
from whyclip.studies.audit.check import UNSEEN, Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.effects import BLURRED, MASKED
from whyclip.studies.measurements import Values
from whyclip.types import Side

REASON = (
    "A random map scores 0. For comparison, the agreement of the two ways of removing a patch is "
    "reported beside it. 0.1 is the smallest correlation that Cohen (1988) calls an effect."
)


def measure(evidence: Evidence, method: str, side: Side, *, way: str) -> Measured:
    """Spearman correlation of relevance and loss over the patches, for each own prompt."""
    del side
    values, agreement, groups = [], [], []
    for sample, result in evidence.of(method):
        if result.maps is None or sample.patches is None or way not in sample.score_drops:
            continue
        for prompt in range(sample.true_count):
            relevance = result.maps[prompt].flatten()[sample.patches]
            lost = {key: effect[:, prompt] for key, effect in sample.score_drops.items()}
            values.append(float(spearman(relevance, lost[way])))
            groups.append(sample.image_id)
            if len(lost) > 1:
                agreement.append(float(spearman(*lost.values())))
    figures = {"agreement of the two ways of removal": Values(agreement, groups)}
    return Measured(Values(values, groups), figures if agreement else {})


CHECKS = (
    Check(
        name="patch_masked",
        title="Follows masked patches",
        question="Do patches rank by relevance as they rank by the drop of the score when no "
        "token can attend to them, in all layers?",
        measure=partial(measure, way=MASKED),
        principle="consistency",
        higher_is_better=True,
        threshold=0.1,
        bounds=(-1.0, 1.0),
        reason=REASON,
        passes="masking relevant patches lowers the score more than masking others",
        fails="masking relevant patches lowers the score no more than masking others",
        formula="mean Spearman(relevance_p, S − S without p) over patches p masked in every "
        "attention layer",
        sides=("image",),
        asks=("patches",),
        replaced_by="removed_objects",
        caveat=UNSEEN,
        needs=("attention",),
    ),
    Check(
        name="patch_blurred",
        title="Follows blurred patches",
        question="Do patches rank by relevance as they rank by the drop of the score when they "
        "are blurred?",
        measure=partial(measure, way=BLURRED),
        principle="consistency",
        higher_is_better=True,
        threshold=0.1,
        bounds=(-1.0, 1.0),
        reason=REASON,
        passes="blurring relevant patches lowers the score more than blurring others",
        fails="blurring relevant patches lowers the score no more than blurring others",
        formula="mean Spearman(relevance_p, S − S with p blurred) over patches p",
        sides=("image",),
        asks=("patches",),
        replaced_by="removed_objects",
        caveat=UNSEEN,
    ),
)
