"""Methods and their variants evaluated on a setting, as tables and pictures of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whyclip.metrics import Interval, get_metric
from whyclip.report import Column, Table
from whyclip.stats.contrasts import contrast
from whyclip.studies.evaluation import Evaluation, evaluate
from whyclip.studies.evaluation.setup import FillName, PromptName
from whyclip.studies.experiments.experiment import ExperimentInput
from whyclip.types import GeometryName, Side
from whyclip.variant import Variant

# A metric, and what is read of the model's answer; None for the metric's usual.
Quantity = tuple[str, str | None]


def measure(
    setting: ExperimentInput,
    variants: Sequence[Variant],
    metrics: Sequence[str],
    *,
    side: Side = "image",
    prompt: PromptName = "gt",
    geometry: GeometryName = "model",
    fill: FillName = "papers",
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
        fill=fill,
        seed=setting.seed,
        data=setting.data,
    )


def value_of(
    evaluation: Evaluation, name: str, quantity: Quantity, correct: bool | None = None
) -> Interval:
    """Mean of a metric for a variant with its interval."""
    return evaluation.interval(name, *quantity, correct=correct)


def gain(evaluation: Evaluation, one: str, other: str, quantity: Quantity) -> Interval:
    """How much better one variant is than another on the same subjects; above 0 is better."""
    difference = evaluation.difference(one, other, *quantity)
    if get_metric(quantity[0]).higher_is_better:
        return difference
    return Interval(
        0.0 - difference.mean,
        0.0 - difference.high,
        0.0 - difference.low,
        difference.n,
        difference.groups,
    )


def right_less_wrong(evaluation: Evaluation, name: str, quantity: Quantity) -> Interval:
    """Mean of a metric where the model is right, less that where it is wrong.

    Both over whole pictures drawn anew; ``groups`` are those of the smaller side.
    """
    values = evaluation.values(name, *quantity)
    groups, seed = evaluation.images, evaluation.setup.seed
    return contrast(values, evaluation.correct, groups=groups, seed=seed)


def column(name: str, quantity: Quantity, title: str = "", **more: str) -> Column:
    """Describe the column of a metric, with the arrow to its better side."""
    metric = get_metric(quantity[0])
    better = "higher" if metric.higher_is_better else "lower"
    read = f", {quantity[1]}" if quantity[1] else ""
    return Column(name, title or f"{metric.title}{read}", better=better, **more)  # type: ignore[arg-type]


def table(
    evaluation: Evaluation,
    title: str,
    columns: Mapping[str, tuple[str, Quantity]],
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
                key: value_of(evaluation, name, quantity, correct)
                for key, (_, quantity) in columns.items()
            },
        }
        for name in evaluation.methods
    )
    heads = (column(key, quantity, text) for key, (text, quantity) in columns.items())
    return Table(title, (Column("method"), *heads), rows, note)
