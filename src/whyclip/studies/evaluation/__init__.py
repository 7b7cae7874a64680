"""Evaluation of methods on a dataset: values, intervals and reports."""

from __future__ import annotations

from whyclip.studies.evaluation.evaluate import evaluate
from whyclip.studies.evaluation.prompts import ExplainedPrompt
from whyclip.studies.evaluation.record import Curve, Row
from whyclip.studies.evaluation.result import Evaluation
from whyclip.studies.evaluation.setup import Setup, make_setup
from whyclip.studies.evaluation.summary import Line, Measure, summarise
from whyclip.studies.evaluation.tables import difference_table, main_tables

__all__ = [
    "Curve",
    "Evaluation",
    "ExplainedPrompt",
    "Line",
    "Measure",
    "Row",
    "Setup",
    "difference_table",
    "evaluate",
    "main_tables",
    "make_setup",
    "summarise",
]
