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
    "gt": "Explained is, for each true label, the prompt of the sample.",
    "pred": "Explained is the prompt of the class that the model predicts; accuracy and location "
    "are those of the true label.",
}


def report_of(evaluation: EvaluationRecord, lines: Sequence[Line]) -> Report:
    """Put the tables and pictures of an evaluation into a report.

    Args:
        evaluation: what was measured.
        lines: its summary.
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
                "Mean answers of the model while pixels or words go out, or in, the most relevant "
                "first. Where an arrow points down, a curve that falls early is better.",
            )
        )
    sections.append(
        Picture(
            dots(lines),
            "Means with intervals",
            "The dotted line is the mean of the random control. A diamond is best, and different "
            "from all others.",
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
        f"{len(evaluation.subjects)} prompts on {len(evaluation.records)} pictures. "
        f"{TRUTHS[evaluation.setup.prompt]} The model gets {100 * accuracy.mean:.1f} % of them "
        f"right.\n\nMeasured: {tables}. `random` is the control: relevance drawn at random, which "
        "any explanation has to beat."
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nothing"
