"""The audit: can a model's explanations be trusted? Two principles, asked by many checks."""

from whyclip.studies.audit.check import PRINCIPLES, Check, Measured, Values
from whyclip.studies.audit.checks import CHECKS, get_check
from whyclip.studies.audit.result import Audit, Finding
from whyclip.studies.audit.run import audit

__all__ = [
    "CHECKS",
    "PRINCIPLES",
    "Audit",
    "Check",
    "Finding",
    "Measured",
    "Values",
    "audit",
    "get_check",
]
