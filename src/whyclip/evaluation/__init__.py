"""How true are the explanations of a dataset, method by method? Values, intervals, reports."""

from __future__ import annotations

from whyclip.evaluation.classes import Subject
from whyclip.evaluation.evaluate import evaluate
from whyclip.evaluation.plan import Plan, Variant, make_plan
from whyclip.evaluation.result import Curve, Evaluation, Row

__all__ = ["Curve", "Evaluation", "Plan", "Row", "Subject", "Variant", "evaluate", "make_plan"]
