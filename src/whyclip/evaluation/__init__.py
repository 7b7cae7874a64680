"""How faithful are the explanations of a dataset? Values, intervals and reports by method."""

from __future__ import annotations

from whyclip.evaluation.classes import Subject
from whyclip.evaluation.evaluate import evaluate
from whyclip.evaluation.plan import Plan, make_plan
from whyclip.evaluation.result import Curve, Evaluation, Row
from whyclip.evaluation.summary import Line, Measure, summarise
from whyclip.evaluation.tables import difference_table, main_tables, tables_of

__all__ = [
    "Curve",
    "Evaluation",
    "Line",
    "Measure",
    "Plan",
    "Row",
    "Subject",
    "difference_table",
    "evaluate",
    "main_tables",
    "make_plan",
    "summarise",
    "tables_of",
]
