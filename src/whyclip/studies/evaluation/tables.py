"""Tables of an evaluation: faithfulness, localisation, words, differences."""

from __future__ import annotations

from collections.abc import Sequence

from whyclip.metrics import Metric
from whyclip.report import Column, Table
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.evaluation.record import EvaluationRecord
from whyclip.studies.evaluation.summary import SIGNIFICANT, Line, Measure, every

INTERVALS = (
    "In brackets: 95 % intervals over images. Bold: the best mean, if it differs from every other "
    f"method (paired differences, p ≤ {SIGNIFICANT}, adjusted by Holm's method for the number of "
    f"methods, at least {MIN_GROUPS} images). If no mean is bold, the best may be due to chance."
)


def kind_of(metric: Metric) -> str:
    """Name of the table of a metric."""
    if metric.edits is None:
        return "Location"
    return "Faithfulness, words" if metric.side == "text" else "Faithfulness, image"


def main_tables(lines: Sequence[Line]) -> list[Table]:
    """One table per kind of metric, with one row per method and one column per measure."""
    kinds = list(dict.fromkeys(kind_of(line.measure.metric) for line in lines))
    return [
        _main_table(
            kind,
            [line for line in lines if kind_of(line.measure.metric) == kind],
            INTERVALS if kind == kinds[-1] else "",
        )
        for kind in kinds
    ]


def _main_table(kind: str, lines: Sequence[Line], note: str) -> Table:
    methods = list(dict.fromkeys(line.method for line in lines))
    measures = list(dict.fromkeys(line.measure for line in lines))
    cells = {(line.method, line.measure): line for line in lines}
    rows = tuple(
        {
            "method": method,
            **{m.name: cells[method, m].value for m in measures if (method, m) in cells},
        }
        for method in methods
    )
    best = {(methods.index(line.method), line.measure.name) for line in lines if line.best}
    columns = (Column("method"), *map(column_of, measures))
    return Table(kind, columns, rows, note, frozenset(best))


def column_of(measure: Measure) -> Column:
    """Column of a measure, with the first line of its metric's docstring as help."""
    metric = measure.metric
    better = "higher" if metric.higher_is_better else "lower"
    first = measure.read == (*metric.readings, "")[0]
    help_ = metric.summary.rsplit(". ", 1)[0].rstrip(".") + "." if first else ""
    return Column(measure.name, measure.title, better=better, help=help_)  # type: ignore[arg-type]


def difference_table(lines: Sequence[Line]) -> Table:
    """Differences of every method to the random baseline and to the best method, by measure."""
    rows = tuple(
        {
            "measure": line.measure.title,
            "better": "↑" if line.measure.metric.higher_is_better else "↓",
            "method": line.method,
            "value": line.value,
            "minus_random": line.to_control,
            "minus_best": line.to_best,
            "p_best": line.p_best,
            "n": line.value.n,
        }
        for line in lines
    )
    columns = (
        Column("measure"),
        Column("better", "better when"),
        Column("method"),
        Column("value"),
        Column("minus_random", "minus random"),
        Column("minus_best", "minus the best mean"),
        Column("p_best", "p, Holm", digits=3),
        Column("n"),
    )
    note = (
        "Paired differences, on the same prompts of the same images. If an interval contains 0, "
        "the difference may be due to chance. Intervals are for single comparisons: one in twenty "
        "excludes 0 by chance. The p value of the difference to the best mean is adjusted by "
        "Holm's method for all methods that are compared by the measure."
    )
    return Table("Differences", columns, rows, note)


def failed_table(evaluation: EvaluationRecord) -> Table:
    """The samples that could not be measured, with their errors."""
    rows = tuple(
        {"sample": record.sample, "image": record.image, "error": record.error}
        for record in evaluation.failed
    )
    note = "The next run into the same folder tries them again."
    columns = (Column("sample"), Column("image"), Column("error"))
    return Table("Failed samples", columns, rows, note)


def readings_table(evaluation: EvaluationRecord) -> Table:
    """Every reading of every metric, including top-5 and top-10 accuracy."""
    rows = tuple(
        {
            "method": method,
            "metric": measure.metric.name,
            "read": measure.read,
            "value": evaluation.interval(method, measure.metric.name, measure.read),
        }
        for measure in every(evaluation.metrics)
        for method in evaluation.methods
        if measure.read in evaluation.reads(method, measure.metric)
    )
    columns = (Column("method"), Column("metric"), Column("read"), Column("value"))
    return Table("Every reading", columns, rows)
