"""Conclusions of deletion and insertion with each fill, on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from whyclip.metrics.fills import with_fill
from whyclip.perturbation.fills import Fill
from whyclip.stats.correlation import spearman
from whyclip.studies.control import CONTROL
from whyclip.studies.evaluation.summary import Line

_NAMES: tuple[Fill, ...] = ("black", "blurred", "random")


def fills_words(lines: Sequence[Line]) -> str:
    """Compare the artificial fills with the true background; empty if it was not measured."""
    said = []
    for metric in ("deletion", "insertion"):
        true = _means(lines, with_fill(metric, "background"))
        if not true:
            continue
        said.append(
            f"- {metric.capitalize()}, true background: {_conclusion(lines, metric, 'background')}"
        )
        for fill in _NAMES:
            other = _means(lines, with_fill(metric, fill))
            if other:
                agreement = _agreement(true, other)
                said.append(
                    f"- {metric.capitalize()}, {fill}: {_conclusion(lines, metric, fill)} Rank "
                    "correlation of the methods with the true background: "
                    f"{agreement}."
                )
    if not said:
        return ""
    return (
        "## Effect of the fill\n\nThe images, maps and prompts are the same. The true background "
        "is the scene without its objects; the other fills are out of distribution.\n\n"
        + "\n".join(said)
    )


def _lines_of(lines: Sequence[Line], name: str) -> list[Line]:
    """The lines of a metric with its default reading."""
    lines_of_metric = [line for line in lines if line.measure.metric.name == name]
    return [
        line for line in lines_of_metric if line.measure.read == line.measure.metric.readings[0]
    ]


def _means(lines: Sequence[Line], name: str) -> dict[str, float]:
    return {line.method: line.value.mean for line in _lines_of(lines, name)}


def _conclusion(lines: Sequence[Line], metric: str, fill: Fill) -> str:
    name = with_fill(metric, fill)
    lines_of_metric = _lines_of(lines, name)
    sign = 1 if lines_of_metric[0].measure.metric.higher_is_better else -1
    methods = sorted(
        (line for line in lines_of_metric if line.method != CONTROL),
        key=lambda line: -sign * line.value.mean,
    )
    parts = [f"`{line.method}` {line.value.mean:.2f}" for line in methods[:3]]
    best = "first " + ", ".join(parts)
    chance = [line for line in lines_of_metric if line.method == CONTROL]
    if chance:
        best += f"; a random order {chance[0].value.mean:.2f}"
    return f"{best}."


def _agreement(true: Mapping[str, float], other: Mapping[str, float]) -> str:
    names = [name for name in true if name in other and name != CONTROL]
    rows = [torch.tensor([table[name] for name in names]) for table in (true, other)]
    return f"{float(spearman(*rows)):.2f}"
