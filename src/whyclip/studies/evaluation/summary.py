"""Means and differences with intervals, and the best method if there is one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whyclip.metrics import Metric
from whyclip.progress import track
from whyclip.stats.intervals import Interval
from whyclip.stats.multiple import holm
from whyclip.stats.verdict import excludes_zero
from whyclip.studies.control import CONTROL
from whyclip.studies.evaluation.record import EvaluationRecord

SIGNIFICANT = 0.05
READ_TITLES = {"top1": "top-1", "top5": "top-5", "top10": "top-10"}


@dataclass(frozen=True)
class Measure:
    """A metric with its reading of the model's output."""

    metric: Metric
    read: str

    @property
    def name(self) -> str:
        """Name in files, for example ``deletion_top1``."""
        return (
            f"{self.metric.name}_{self.read}" if len(self.metric.readings) > 1 else self.metric.name
        )

    @property
    def title(self) -> str:
        """Display title, for example ``Deletion, top-1``."""
        read = READ_TITLES.get(self.read, self.read)
        return (
            f"{self.metric.title}, {read}" if len(self.metric.readings) > 1 else self.metric.title
        )


@dataclass(frozen=True)
class Line:
    """Summary of one method for one measure.

    Attributes:
        value: mean over prompts, with its interval.
        to_control: paired difference to the random baseline; None for the baseline.
        to_best: paired difference to the method with the best mean; None for that method.
        p_best: p value of ``to_best``, adjusted by Holm's method for the number of compared
            methods; None if ``to_best`` is None.
        best: whether it has the best mean and differs from every other method: all paired
            intervals exclude 0 and all adjusted p values are at most 0.05, with at least
            ``MIN_GROUPS`` images.
    """

    method: str
    measure: Measure
    value: Interval
    to_control: Interval | None
    to_best: Interval | None
    p_best: float | None
    best: bool


def usual(metrics: Sequence[Metric]) -> list[Measure]:
    """Measures in reports: the default reading of each metric, and the score."""
    return [
        Measure(metric, read)
        for metric in metrics
        for read in dict.fromkeys(
            [*metric.readings[:1], *(r for r in metric.readings if r == "score")] or [""]
        )
    ]


def every(metrics: Sequence[Metric]) -> list[Measure]:
    """Every reading of every metric."""
    return [Measure(metric, read) for metric in metrics for read in metric.readings or ("",)]


def summarise(
    evaluation: EvaluationRecord, measures: Sequence[Measure] | None = None
) -> list[Line]:
    """Compare the methods by each measure.

    Intervals are from :func:`~whyclip.stats.intervals.interval` over images; differences are
    paired, between values of the same prompts.

    Args:
        evaluation: measured values.
        measures: measures to compare; default: :func:`usual`.
    """
    chosen = usual(evaluation.metrics) if measures is None else measures
    return [
        line
        for measure in track(chosen, "drawing intervals")
        for line in _lines(evaluation, measure)
    ]


def _lines(evaluation: EvaluationRecord, measure: Measure) -> Iterator[Line]:
    metric, read = measure.metric, measure.read
    values = {
        method: evaluation.interval(method, metric.name, read)
        for method in evaluation.methods
        if read in evaluation.reads(method, metric)
    }
    sign = 1 if metric.higher_is_better else -1
    defined = [method for method, value in values.items() if not math.isnan(value.mean)]
    top = max(defined, key=lambda method: sign * values[method].mean, default=None)
    to_best = {
        method: evaluation.difference(method, top, metric.name, read)
        for method in values
        if top is not None and method != top
    }
    raw = [evaluation.p_value(method, str(top), metric.name, read) for method in to_best]
    p_best = dict(zip(to_best, map(float, holm(raw)), strict=True))
    alone = (
        bool(to_best)
        and all(map(excludes_zero, to_best.values()))
        and all(p <= SIGNIFICANT for p in p_best.values())
    )
    for method, value in values.items():
        to_control = None
        if method != CONTROL and CONTROL in values:
            to_control = evaluation.difference(method, CONTROL, metric.name, read)
        yield Line(
            method,
            measure,
            value,
            to_control,
            to_best.get(method),
            p_best.get(method),
            alone and method == top,
        )
