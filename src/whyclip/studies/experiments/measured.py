"""Methods and their variants evaluated on a setting, as tables and pictures of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whyclip.metrics import Interval, get_metric
from whyclip.report import Column, Table
from whyclip.studies.audit.check import Values
from whyclip.studies.audit.verdict import summarise
from whyclip.studies.evaluation import Evaluation, evaluate
from whyclip.studies.evaluation.plan import PromptName
from whyclip.studies.experiments.experiment import Setting
from whyclip.types import GeometryName, Side
from whyclip.variant import Variant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A metric, and what is read of the model's answer; None for the metric's usual.
Asked = tuple[str, str | None]


def measure(
    setting: Setting,
    variants: Sequence[Variant],
    metrics: Sequence[str],
    *,
    side: Side = "image",
    prompt: PromptName = "gt",
    geometry: GeometryName = "model",
) -> Evaluation:
    """Evaluate variants of methods on one side; the random control is always among them."""
    return evaluate(
        setting.model,
        setting.dataset,
        list(variants),
        list(metrics),
        sides=(side,),
        prompt=prompt,
        geometry=geometry,
        seed=setting.seed,
        data=setting.data,
    )


def value_of(
    evaluation: Evaluation, name: str, asked: Asked, correct: bool | None = None
) -> Interval:
    """Mean of a metric for a variant with its interval."""
    return evaluation.interval(name, *asked, correct=correct)


def gain(evaluation: Evaluation, one: str, other: str, asked: Asked) -> Interval:
    """How much better one variant is than another on the same subjects; above 0 is better."""
    found = evaluation.difference(one, other, *asked)
    if get_metric(asked[0]).higher_is_better:
        return found
    return Interval(0.0 - found.mean, 0.0 - found.high, 0.0 - found.low, found.n, found.groups)


def right_less_wrong(evaluation: Evaluation, name: str, asked: Asked) -> Interval:
    """Mean of a metric where the model is right, less that where it is wrong.

    Both over whole pictures drawn anew; ``groups`` are those of the smaller side.
    """
    values = evaluation.values(name, *asked).tolist()
    right = evaluation.correct.tolist()
    return summarise(
        Values(values, evaluation.images.tolist(), right), seed=evaluation.plan.seed
    )  # fmt: skip


def column(name: str, asked: Asked, title: str = "", **more: str) -> Column:
    """Describe the column of a metric, with the arrow to its better side."""
    metric = get_metric(asked[0])
    better = "higher" if metric.higher_is_better else "lower"
    read = f", {asked[1]}" if asked[1] else ""
    return Column(name, title or f"{metric.title}{read}", better=better, **more)  # type: ignore[arg-type]


def table(
    evaluation: Evaluation,
    title: str,
    columns: Mapping[str, tuple[str, Asked]],
    *,
    correct: bool | None = None,
    note: str = "",
) -> Table:
    """Write a row for each variant.

    Args:
        evaluation: what was measured.
        title: of the table.
        columns: for each name its title and what stands there.
        correct: True for what the model gets right alone, False for the rest.
        note: below.
    """
    rows = tuple(
        {
            "method": name,
            **{
                key: value_of(evaluation, name, asked, correct)
                for key, (_, asked) in columns.items()
            },
        }
        for name in evaluation.methods
    )
    heads = (column(key, asked, text) for key, (text, asked) in columns.items())
    return Table(title, (Column("method"), *heads), rows, note)


def whiskers(panels: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """Draw means as dots and intervals as lines.

    Args:
        panels: by the title of each panel, series by name; each series has one interval by the
            label of its row. All have the same rows.
    """
    from matplotlib.figure import Figure

    rows = list(next(iter(next(iter(panels.values())).values())))
    figure = Figure(figsize=(3.4 * len(panels) + 1.6, 0.32 * len(rows) + 1.3), layout="constrained")
    drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, series) in zip(drawn, panels.items(), strict=True):
        for number, (name, values) in enumerate(series.items()):
            # Series of one row lie a little apart, so that their lines do not cover each other.
            shift = 0.22 * (number - (len(series) - 1) / 2)
            heights = [place + shift for place in range(len(rows))]
            low = [values[row].low for row in rows]
            high = [values[row].high for row in rows]
            [dots] = axes.plot([values[row].mean for row in rows], heights, "o", ms=4, label=name)
            axes.hlines(heights, low, high, color=dots.get_color(), lw=1.5)
        axes.set_xlabel(title)
        axes.grid(axis="x", alpha=0.25)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=8)
    drawn[0].set_yticks(range(len(rows)), rows)
    drawn[0].invert_yaxis()
    return figure
