"""The audit: can a model's explanations be trusted? Two principles, asked by many checks."""

from whyclip.audit.check import PRINCIPLES, Check, Measured, Values
from whyclip.audit.checks import CHECKS, get_check
from whyclip.audit.result import Audit, Finding
from whyclip.audit.run import audit

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
