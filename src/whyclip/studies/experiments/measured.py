"""Evaluation of methods and variants for an experiment, as tables and figures."""

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

# A metric and its reading of the model's output; None for the default reading.
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
    """Evaluate variants of methods on one side, including the random baseline."""
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
    """Paired gain of one variant over another on the same prompts; above 0 is better."""
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
    """Mean of a metric where the model is right minus the mean where it is wrong.

    The interval resamples whole images; ``groups`` is the number of images of the smaller part.
    """
    values = evaluation.values(name, *quantity)
    groups, seed = evaluation.images, evaluation.setup.seed
    return contrast(values, evaluation.correct, groups=groups, seed=seed)


def column(name: str, quantity: Quantity, title: str = "", **more: str) -> Column:
    """Return the column of a metric, with an arrow for the better direction."""
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
    """Return a table with one row per variant.

    Args:
        evaluation: measured values.
        title: title of the table.
        columns: title and quantity of each column, by name.
        correct: True for only the prompts for which the model is correct, False for the others.
        note: text below the table.
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
