"""An evaluation as a report."""

from __future__ import annotations

from collections.abc import Sequence

from whyclip.report import Picture, Report
from whyclip.report.document import Section
from whyclip.studies.evaluation.figures import curves, dots
from whyclip.studies.evaluation.fills import fills_words
from whyclip.studies.evaluation.record import EvaluationRecord
from whyclip.studies.evaluation.summary import Line
from whyclip.studies.evaluation.tables import (
    difference_table,
    failed_table,
    main_tables,
    readings_table,
)

TRUTHS = {
    "gt": "For each true label, the prompt of the sample is explained.",
    "pred": "The prompt of the predicted class is explained; accuracy and localisation are for the "
    "true label.",
}


def report_of(evaluation: EvaluationRecord, lines: Sequence[Line]) -> Report:
    """Return a report with the tables and figures of an evaluation.

    Args:
        evaluation: measured values.
        lines: summary of the evaluation.
    """
    methods = [name for name in evaluation.methods if name != "random"]
    sections: list[Section] = [_introduction(evaluation), *main_tables(lines)]
    fills = fills_words(lines)
    if fills:
        sections.append(fills)
    drawn = curves(evaluation)
    if drawn is not None:
        sections.append(
            Picture(
                drawn,
                "Curves of deletion and insertion",
                "Mean outputs of the model while pixels or words are removed or revealed, most "
                "relevant first. If the arrow points down, a curve that falls early is better.",
            )
        )
    sections.append(
        Picture(
            dots(lines),
            "Means with intervals",
            "The dotted line is the mean of the random baseline. A diamond marks the best mean if "
            "it differs significantly from all others.",
        )
    )
    sections += [difference_table(lines), readings_table(evaluation)]
    if evaluation.failed:
        sections.append(failed_table(evaluation))
    return Report(f"Evaluation of {_and(methods)}", evaluation.command, sections, evaluation.facts)


def _introduction(evaluation: EvaluationRecord) -> str:
    accuracy = evaluation.accuracy
    tables = ", ".join(f"`{metric.name}`" for metric in evaluation.metrics)
    failed = f"**{evaluation.failures}** (all are listed below).\n\n" if evaluation.failed else ""
    return failed + (
        f"{len(evaluation.subjects)} prompts on {len(evaluation.records)} images. "
        f"{TRUTHS[evaluation.setup.prompt]} The model is correct for "
        f"{100 * accuracy.mean:.1f} % of them.\n\nMetrics: {tables}. `random` is the baseline with "
        "random relevance, which every explanation must outperform."
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nothing"
