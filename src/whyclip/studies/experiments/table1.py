"""Deletion and insertion of every method that supports the model, with the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from whyclip.metrics.fills import with_fill
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import Curve, Panel, curve_plot
from whyclip.studies.claims import Finding, is_above
from whyclip.studies.evaluation import Evaluation
from whyclip.studies.evaluation.fills import fills_words
from whyclip.studies.evaluation.setup import FILLS, FillName, PromptName
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.experiments.localisation import able, extra_facts
from whyclip.studies.experiments.measured import Quantity, column, gain, measure, table, value_of
from whyclip.studies.experiments.published import GRAD_ECLIP_RELEASE, MASKCLIP_PAPER
from whyclip.studies.experiments.published import NAME as PUBLISHED
from whyclip.studies.experiments.shrunk import Resized
from whyclip.types import GeometryName

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIVALS = ("MaskCLIP", "Grad-CAM", "random")

VARIANTS: Mapping[str, str] = {
    "Grad-CAM": "grad_cam",
    "MaskCLIP": MASKCLIP_PAPER,
    PUBLISHED: GRAD_ECLIP_RELEASE,
    "Grad-ECLIP": "grad_eclip",
    "Grad-ECLIP, signed": "grad_eclip:relu=false",
    "Contribution": "contribution",
    "GAME": "game",
    "Raw attention": "raw_attention",
    "Rollout": "rollout",
    "Patch–text cosine": "patch_text",
    "Decomposition": "decomposition",
}
METRICS = ("deletion", "insertion")
# Top-1 accuracy of OpenAI's ViT-B/16 on ImageNet's validation images, prompt of the true class:
# in the Grad-ECLIP paper, and in a reproduction.
PAPER: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "Grad-CAM": {"deletion": (0.3417, 0.3451), "insertion": (0.2682, 0.2655)},
    "MaskCLIP": {"deletion": (0.2848, 0.2890), "insertion": (0.3335, 0.3312)},
    PUBLISHED: {"deletion": (0.2464, 0.2489), "insertion": (0.3838, 0.3815)},
}
SHORT_SIDE = 640


def table1(
    setting: ExperimentInput,
    *,
    shrink: bool = True,
    geometry: GeometryName = "keep",
    prompt: PromptName = "gt",
    fill: FillName = "papers",
) -> ExperimentResult:
    """Delete and insert pixels by the protocol of the released evaluation.

    Args:
        setting: model and samples.
        shrink: downscale images to a short side of at most 640 pixels, as the released deletion
            code does.
        geometry: geometry of the explained input; the released code keeps the aspect ratio. Models
            with a fixed grid use ``"model"``.
        prompt: explain the true class (``"gt"``) or the predicted one (``"pred"``).
        fill: replacement of deleted pixels, as for :func:`whyclip.evaluate`; for ``"background"``
            the page also reports black and blurred pixels.
    """
    if setting.model.image.fixed_grid_reason:
        geometry = "model"
    if shrink:
        setting = replace(setting, dataset=Resized(setting.dataset, SHORT_SIDE))
    evaluation = measure(
        setting,
        able(setting, VARIANTS),
        METRICS,
        prompt=prompt,
        geometry=geometry,
        fill=fill,
    )
    main = {metric: with_fill(metric, FILLS[fill][0]) for metric in METRICS}
    more: dict[str, tuple[str, Quantity]] = {
        f"{metric}_{read}": (f"{metric.capitalize()}, {read}", (main[metric], read))
        for read in ("top5", "top10", "score")
        for metric in METRICS
    }
    facts = {
        **({} if fill == "papers" else {"fill": fill}),
        "geometry": geometry,
        "prompt explained": prompt,
        "short side at most": f"{SHORT_SIDE} pixels" if shrink else "as it is",
        **extra_facts(evaluation),
    }
    picture = Picture(
        _figure(evaluation, main),
        "Top-1 accuracy while the most relevant pixels are deleted and inserted",
        "Deletion: lower is better. Insertion: higher is better; its last point is the whole "
        "image.",
    )
    rest = table(evaluation, "The same, read from the model in other ways", more)
    sections: list[str | Table | Picture] = [_main(evaluation, main), picture, rest]
    fills = fills_words(evaluation.summary)
    if fills:
        sections.insert(1, fills)
    return ExperimentResult(verdicts(evaluation, main), sections, facts)


def verdicts(evaluation: Evaluation, names: Mapping[str, str] | None = None) -> list[Finding]:
    """Judge the order of the published table by paired differences.

    Args:
        evaluation: measured values.
        names: names of the metrics with their fill; default: the fills of the papers.
    """
    names = names or dict(zip(METRICS, METRICS, strict=True))
    there = set(evaluation.methods)
    return [
        is_above(
            f"{metric.capitalize()}: {PUBLISHED} is better than {rival}",
            "gain in top-1 accuracy, mean of the 11 points,",
            gain(evaluation, PUBLISHED, rival, (names[metric], "top1")),
            0,
        )
        for metric in METRICS
        for rival in RIVALS
        if {PUBLISHED, rival} <= there
    ]


def _main(evaluation: Evaluation, names: Mapping[str, str]) -> Table:
    columns = [Column("method")]
    for metric in METRICS:
        columns += [
            column(metric, (names[metric], "top1"), f"{metric.capitalize()}, here"),
            Column(f"{metric}_paper", "paper", digits=4),
            Column(f"{metric}_again", "measured again", digits=4),
        ]
    rows = []
    for name in evaluation.methods:
        row: dict[str, object] = {"method": name}
        for metric in METRICS:
            row[metric] = value_of(evaluation, name, (names[metric], "top1"))
            published = PAPER.get(name, {}).get(metric)
            if published:
                row[f"{metric}_paper"], row[f"{metric}_again"] = published
        rows.append(row)
    return Table(
        "Deletion and insertion, top-1 accuracy",
        tuple(columns),
        tuple(rows),
        "Mean over 0, 5, …, 50 % of the pixels; the release prints the accuracies without an area. "
        "Published numbers are for OpenAI's ViT-B/16 on ImageNet's validation images with 80 "
        "templates; for another model and other images, compare only their order. Attention-ECLIP "
        "is omitted because its map equals Grad-ECLIP's (experiment equality). “Signed” is the "
        "same map without its ReLU, which makes large parts of a map equal; equally relevant "
        "pixels are edited in random order. "
        f"“{PUBLISHED}”: one head over the whole width, query and key after out_proj, "
        "as in the released script.",
    )


def _figure(evaluation: Evaluation, names: Mapping[str, str]) -> Figure:
    return curve_plot(
        [
            Panel(
                {
                    name: Curve(*evaluation.curve(name, names[metric], "top1"))
                    for name in evaluation.methods
                },
                x=f"share of pixels, {metric}",
                y="top-1 accuracy",
            )
            for metric in METRICS
        ]
    )


EXPERIMENT = Experiment(
    name="table1",
    title="Deletion and insertion",
    claim=(
        "Deleting the most relevant pixels of Grad-ECLIP's map takes the class away faster, and "
        "inserting them brings it back faster, than with MaskCLIP's or Grad-CAM's."
    ),
    source="Zhao et al., ICML 2024, arXiv 2502.18816, table of deletion and insertion",
    run=table1,
    defaults=Defaults(limit=20, data="scenes:1000:0:1"),
    cost="7 s",
    on_real_data=(
        "whyclip reproduce table1 --data imagenet:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 1000"
    ),
)
