"""Cost of the single-layer assumption: the last block alone compared with more or all layers."""

from __future__ import annotations

from collections.abc import Mapping

from whyclip.methods import get_method
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import interval_plot
from whyclip.studies.claims import Finding, is_above
from whyclip.studies.evaluation import Evaluation
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.experiments.localisation import able, extra_facts
from whyclip.studies.experiments.measured import Quantity, gain, measure, table, value_of
from whyclip.types import Side
from whyclip.variant import Variant

FAITHFUL: Mapping[str, tuple[str, Quantity]] = {
    "deletion": ("Deletion, score", ("deletion", "score")),
    "insertion": ("Insertion, score", ("insertion", "score")),
}
LOCATED: Mapping[str, tuple[str, Quantity]] = {
    "pointing": ("Pointing game", ("pointing_game", None)),
    "energy": ("Energy", ("energy_pointing", None)),
}
WORDS: Mapping[str, tuple[str, Quantity]] = {
    "deletion": ("Deletion of words", ("word_deletion", None)),
    "insertion": ("Insertion of words", ("word_insertion", None)),
}
# Methods that sum layers, and methods that start at a layer.
SUMMED = ("grad_eclip", "contribution")
STARTED = ("game", "legrad", "decomposition", "rollout")


def layers(setting: ExperimentInput) -> ExperimentResult:
    """Evaluate each method with the last layer alone, with some layers, and with all layers."""
    towers = {"image": setting.model.image, "text": setting.model.text}
    columns = {**FAITHFUL, **(LOCATED if setting.dataset.has_masks() else {})}
    variants = able(setting, variants_of(len(towers["image"].blocks)))
    image = measure(setting, variants, [quantity[0] for _, quantity in columns.values()])
    sections: list[str | Table | Picture] = [
        table(image, "Images: layers read", columns, note=_NOTE),
        Picture(
            interval_plot(
                {
                    title: {"": {n: value_of(image, n, quantity) for n in image.methods}}
                    for title, quantity in columns.values()
                }
            ),
            "Each method by the number of layers it uses",
            "Dots are means, lines 95 % intervals. Deletion is better to the left, the rest to the "
            "right.",
        ),
        costs(image, columns, "Images: the last layer alone, less all layers"),
    ]
    findings = verdicts(image, columns, "image")
    depth = len(towers["text"].blocks)
    if setting.model.classes is None and depth > 1:
        chosen = [v for v in variants_of(depth) if v.method.name in (*SUMMED, "game")]
        text = measure(
            setting, chosen, [quantity[0] for _, quantity in WORDS.values()], side="text"
        )
        sections += [
            table(text, "Texts: layers read", WORDS),
            costs(text, WORDS, "Texts: the last layer alone, less all layers"),
        ]
        findings += verdicts(text, WORDS, "text")
    return ExperimentResult(findings, sections, extra_facts(image))


_NOTE = (
    "Score: the cosine with the explained prompt, mean of the 11 points of the protocol. "
    "grad_eclip and contribution sum the maps of the layers, the others start at the first of "
    "them."
)


def variants_of(depth: int) -> list[Variant]:
    """List variants of the methods with a choice of layers, for an encoder of ``depth`` blocks."""
    some = sorted({1, min(2, depth), depth})
    variants = [
        Variant(get_method(method), {"layers": number}, named(method, number, depth))
        for method in SUMMED
        for number in some
    ]
    starts = sorted({depth - 1, 0}, reverse=True)
    variants += [
        Variant(get_method(method), {"start_layer": start}, named(method, depth - start, depth))
        for method in STARTED
        for start in starts
    ]
    return variants


def named(method: str, number: int, depth: int) -> str:
    """Name a variant by its number of layers.

    Example:
        >>> named("game", 1, 6), named("game", 6, 6), named("grad_eclip", 2, 6)
        ('game, last', 'game, all 6', 'grad_eclip, last 2')
    """
    if number == depth and depth > 1:
        return f"{method}, all {depth}"
    return f"{method}, last" if number == 1 else f"{method}, last {number}"


def costs(evaluation: Evaluation, columns: Mapping[str, tuple[str, Quantity]], title: str) -> Table:
    """Tabulate the paired gain of the last layer alone over all layers."""
    rows = tuple(
        {
            "method": method,
            **{
                key: gain(evaluation, last, every, quantity)
                for key, (_, quantity) in columns.items()
            },
        }
        for method, (last, every) in pairs(evaluation).items()
    )
    heads = (Column(key, f"gain, {title.lower()}") for key, (title, _) in columns.items())
    return Table(
        title,
        (Column("method"), *heads),
        rows,
        "Paired over the same prompts; the sign is chosen so that one layer is better above 0.",
    )


def pairs(evaluation: Evaluation) -> dict[str, tuple[str, str]]:
    """Variants of each method with the last layer alone and with all layers."""
    last_and_all: dict[str, tuple[str, str]] = {}
    for name in evaluation.methods:
        method, _, read = name.partition(", ")
        every = [n for n in evaluation.methods if n.startswith(f"{method}, all")]
        if read == "last" and every:
            last_and_all[method] = (name, every[0])
    return last_and_all


def verdicts(
    evaluation: Evaluation, columns: Mapping[str, tuple[str, Quantity]], side: Side
) -> list[Finding]:
    """Judge whether one layer is better than all, for each method that sums layers."""
    there = pairs(evaluation)
    return [
        is_above(
            f"{method}, {side}: one layer is better than all by {title.lower()}",
            "gain of one layer",
            gain(evaluation, *there[method], quantity),
            0,
        )
        for method in SUMMED
        if method in there
        for key, (title, quantity) in columns.items()
        if key in {"insertion", "energy"}
    ]


EXPERIMENT = Experiment(
    name="layers",
    title="Cost of the single-layer assumption",
    claim=(
        "For images, only the last block is explained, because its input tokens already contain "
        "the work of earlier layers. For text, the last eight layers are summed, as one is not "
        "enough there."
    ),
    source="Zhao et al., ICML 2024, arXiv 2502.18816, images and texts",
    run=layers,
    defaults=Defaults(limit=20),
    cost="19 s",
    on_real_data=(
        "whyclip reproduce layers --data imagenet-s:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 500"
    ),
)
