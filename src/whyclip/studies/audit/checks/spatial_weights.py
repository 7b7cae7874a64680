"""Whether the model stays accurate with the method's spatial weights."""

from __future__ import annotations

from whyclip.studies.audit.check import Check, Measured
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.candidates import share_recognised
from whyclip.studies.measurements import Values
from whyclip.types import Side


def measure(evidence: Evidence, method: str, side: Side) -> Measured:
    """Accuracy with the method's weights in the readout − accuracy of the model."""
    del side
    if evidence.methods[method].readout_weights is None:
        return Measured(None, why_not="the method has no spatial weights")
    pairs = [(s, m.spatial) for s, m in evidence.of(method) if m.spatial is not None and s.labels]
    groups = [s.image_id for s, _ in pairs]
    with_weights = [share_recognised(among, s.labels or ()) for s, among in pairs]
    of_model = [share_recognised(s.candidate_scores, s.labels or ()) for s, _ in pairs]
    same = [float(s.candidate_scores.argmax() == among.argmax()) for s, among in pairs]
    apart = [x - y for x, y in zip(with_weights, of_model, strict=True)]
    return Measured(
        Values(apart, groups),
        {
            "accuracy with the method's weights": Values(with_weights, groups),
            "accuracy of the model": Values(of_model, groups),
            "same best prompt": Values(same, groups),
        },
    )


CHECK = Check(
    name="spatial_weights",
    title="Accuracy under the method's weights",
    question="How much accuracy is lost if the method's normalised spatial weights replace the "
    "model's attention at the readout?",
    measure=measure,
    principle="fidelity",
    higher_is_better=True,
    threshold=-0.05,
    bounds=(-1.0, 1.0),
    reason="Weights that show which patches the model uses should keep its accuracy: at most one "
    "image in twenty more may be wrong.",
    passes="the model is as accurate with the method's weights as with its own",
    fails="the model is less accurate with the method's weights than with its own",
    formula="mean (accuracy with o^h = Σ_i λ_i v^h_i / Σ_i λ_i − accuracy of the model)",
    sides=("image",),
    asks=("spatial",),
    needs=("labels", "attention"),
)
