"""Localisation metrics of maps, separately for correct and wrong classifications."""

from __future__ import annotations

from collections.abc import Mapping

from whyclip.errors import OptionError
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import interval_plot
from whyclip.selection import MethodsLike, select_variants
from whyclip.studies.claims import Finding, is_above
from whyclip.studies.evaluation import Evaluation
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.experiments.measured import (
    Quantity,
    column,
    gain,
    measure,
    right_less_wrong,
    table,
    value_of,
)
from whyclip.studies.experiments.published import GRAD_ECLIP_PAPER, MASKCLIP_PAPER
from whyclip.studies.experiments.published import NAME as PUBLISHED
from whyclip.variant import Variant

NATIVE = "Grad-ECLIP"
CONTROL = "random"

VARIANTS: Mapping[str, str] = {
    "Grad-CAM": "grad_cam",
    "MaskCLIP": MASKCLIP_PAPER,
    PUBLISHED: GRAD_ECLIP_PAPER,
    NATIVE: "grad_eclip",
    "Attention-ECLIP": "attention_eclip",
    "Contribution": "contribution",
    "GAME": "game",
    "Raw attention": "raw_attention",
    "Rollout": "rollout",
    "Patch–text cosine": "patch_text",
    "LeGrad": "legrad",
    "Decomposition": "decomposition",
    "CLIP Surgery": "clip_surgery",
}
COLUMNS: Mapping[str, tuple[str, Quantity]] = {
    "pointing": ("Pointing game", ("pointing_game", None)),
    "energy": ("Energy", ("energy_pointing", None)),
    "pixels": ("Pixel accuracy", ("pixel_accuracy", None)),
    "iou": ("IoU", ("iou", None)),
    "miou": ("mIoU", ("miou", None)),
    "ap": ("AP", ("average_precision", None)),
}
# Values of Grad-ECLIP, measured elsewhere on 500 COCO images with 1,000 targets.
ELSEWHERE = {"pointing": 0.693, "energy": 0.381, "pixels": 0.737, "iou": 0.268, "ap": 0.545}


def localisation(setting: ExperimentInput) -> ExperimentResult:
    """Compare the maps of true labels with their masks."""
    evaluation = measure(setting, able(setting), [quantity[0] for _, quantity in COLUMNS.values()])
    whole = table(evaluation, "Maps against masks", COLUMNS, note=_NOTE)
    reference = {"method": "Grad-ECLIP, on COCO, reported elsewhere", **ELSEWHERE}
    whole = Table(whole.title, whole.columns, (*whole.rows, reference), whole.note)
    apart = Table(
        "Where the model is right, and where it is wrong",
        (
            Column("method"),
            *(
                part
                for key, (title, quantity) in _APART.items()
                for part in (
                    column(f"{key}_right", quantity, f"{title}, right"),
                    column(f"{key}_wrong", quantity, f"{title}, wrong"),
                    Column(f"{key}_less", "right minus wrong"),
                )
            ),
        ),
        tuple(_apart(evaluation, name) for name in evaluation.methods),
        f"Right: {int(evaluation.correct.sum())} of {len(evaluation.correct)} prompts, whose label "
        "is among the k best classes of an image with k labels.",
    )
    picture = Picture(
        interval_plot(
            {
                title: {
                    which: {
                        name: value_of(evaluation, name, quantity, correct)
                        for name in evaluation.methods
                    }
                    for which, correct in (("model right", True), ("model wrong", False))
                }
                for title, quantity in _APART.values()
            }
        ),
        "Pointing game and energy of each method, model right and model wrong",
        "An explanation that is consistent with model behaviour is on the object if the model "
        "recognises it, and less so otherwise.",
    )
    return ExperimentResult(verdicts(evaluation), [whole, picture, apart], extra_facts(evaluation))


_APART = {key: COLUMNS[key] for key in ("pointing", "energy")}
_NOTE = (
    "Mean over prompts with 95 % intervals over images. IoU, mIoU and pixel accuracy threshold "
    "each map at its mean. MaskCLIP is weighted by keys, as in the comparison of arXiv 2502.18816; "
    "“as published” recomputes the last attention with one head. The last row is for another model "
    "and other images: compare only its order of magnitude."
)


def able(setting: ExperimentInput, variants: MethodsLike = VARIANTS) -> list[Variant]:
    """Select the variants that support this model's image encoder.

    Raises:
        OptionError: no variant supports it.
    """
    selected, left_out = select_variants(setting.model, variants, ["image"])
    if not selected:
        raise OptionError(
            f"{setting.model.name}: {next(iter(left_out))}; use a ViT with a class token or a "
            "pooling head, for example mini or openclip:ViT-B-16/openai"
        )
    return list(selected)


def extra_facts(evaluation: Evaluation) -> dict[str, str]:
    """Facts of the evaluation in addition to the common ones."""
    common = {"model", "dataset", "samples", "seed", "versions", "date", "took"}
    return {key: value for key, value in evaluation.facts.items() if key not in common}


def verdicts(evaluation: Evaluation) -> list[Finding]:
    """Judge Grad-ECLIP against other methods, and right against wrong for each method."""
    pointing, energy = COLUMNS["pointing"][1], COLUMNS["energy"][1]
    there = evaluation.methods
    findings = []
    for name in (n for n in (PUBLISHED, NATIVE) if n in there):
        rivals = [r for r in (CONTROL, "Grad-CAM", "MaskCLIP") if r in there]
        findings += [
            is_above(
                f"{name} lies on the object more often than {rival}",
                "difference in the pointing game",
                gain(evaluation, name, rival, pointing),
                0,
            )
            for rival in rivals
        ]
    findings += [
        is_above(
            f"{name} lies on the object more where the model is right",
            "energy where right minus energy where wrong",
            right_less_wrong(evaluation, name, energy),
            0,
        )
        for name in (PUBLISHED, NATIVE, "Contribution", CONTROL)
        if name in there
    ]
    return findings


def _apart(evaluation: Evaluation, name: str) -> dict[str, object]:
    row: dict[str, object] = {"method": name}
    for key, (_, quantity) in _APART.items():
        row[f"{key}_right"] = value_of(evaluation, name, quantity, True)
        row[f"{key}_wrong"] = value_of(evaluation, name, quantity, False)
        row[f"{key}_less"] = right_less_wrong(evaluation, name, quantity)
    return row


EXPERIMENT = Experiment(
    name="localisation",
    title="Localisation of objects",
    claim=(
        "Grad-ECLIP puts more relevance on the object named by the prompt than Grad-CAM and "
        "MaskCLIP. An explanation that is consistent with the model puts more relevance on the "
        "object where the model is right than where it is wrong."
    ),
    source="Zhao et al., ICML 2024, arXiv 2502.18816, and arXiv 2605.12952, second principle",
    run=localisation,
    defaults=Defaults(limit=100),
    cost="0.5 s",
    on_real_data=(
        "whyclip reproduce localisation --data imagenet-s:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 0"
    ),
)
