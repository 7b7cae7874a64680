"""Whether a map highlights the object more where the model is right than where it is wrong."""

from __future__ import annotations

from functools import partial

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.control import CONTROL
from whyclip.studies.measurements import Values
from whyclip.types import Side

ENERGY, POINTING = "energy_pointing", "pointing_game"


def located(evidence: Evidence, method: str, metric: str, *, predicted: bool) -> Values:
    """Localisation of each label's object, and whether the model got the label right.

    The random baseline's value is subtracted: the model gets large objects right more often, and
    any map covers them more. If the model gets a label wrong, the predicted class is its best
    prompt that is not one of the sample's own.
    """
    values, groups, right = [], [], []
    for sample, result in evidence.of(method):
        if metric not in result.located or sample.right is None:
            continue
        table, chance = result.located[metric], sample.methods[CONTROL].located[metric].mean(0)
        for label, known in enumerate(sample.right):
            prompt = label if known or not predicted else sample.true_count
            if prompt < len(table):
                values.append(float(table[prompt, label] - chance[label]))
                groups.append(sample.image_id)
                right.append(known)
    return Values(values, groups, right)


def measure(evidence: Evidence, method: str, side: Side, *, predicted: bool) -> Measured:
    """Energy on the object where the model is right, minus that where it is wrong."""
    del side
    if method == CONTROL:
        return Measured(None, why_not="it is the baseline of the others")
    energy = located(evidence, method, ENERGY, predicted=predicted)
    pointed = located(evidence, method, POINTING, predicted=predicted)
    if all(energy.condition or ()) or not any(energy.condition or ()):
        kind = "wrong" if energy.values and all(energy.condition or ()) else "right"
        return Measured(None, why_not=f"the model got no label {kind}")
    return Measured(
        energy,
        {
            "energy above chance, right": energy.where(True),
            "energy above chance, wrong": energy.where(False),
            "pointing game, right minus wrong": pointed,
            "pointing game above chance, right": pointed.where(True),
            "pointing game above chance, wrong": pointed.where(False),
        },
    )


REASON = "At 0 the map highlights the object equally whether the model is right or wrong."
CHECKS = (
    Check(
        name="localisation_true",
        title="Object highlighted if correct (true class)",
        question="How much more of the map of the true class lies on its object where the model "
        "is right than where it is wrong?",
        measure=partial(measure, predicted=False),
        principle="consistency",
        higher_is_better=True,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason=REASON,
        passes="highlights the true object more where the model is right",
        fails="highlights the true object no more where the model is right",
        formula="mean (energy on the object − a random map's) where right − where wrong, map of "
        "the true class",
        sides=("image",),
        needs=("labels", "masks"),
    ),
    Check(
        name="localisation_predicted",
        title="Object highlighted if correct (predicted class)",
        question="How much more of the map of the predicted class lies on the true object where "
        "the model is right than where it is wrong?",
        measure=partial(measure, predicted=True),
        principle="consistency",
        higher_is_better=True,
        threshold=0.0,
        bounds=(-2.0, 2.0),
        reason=REASON,
        passes="the map of the prediction lies on the object more where the prediction is right",
        fails="the map of the prediction lies on the object no more where the prediction is right",
        formula="mean (energy on the object − a random map's) where right − where wrong, map of "
        "the predicted class",
        sides=("image",),
        needs=("labels", "masks"),
    ),
)
