"""The audit: checks whether a model's explanations meet two criteria."""

from whyclip.studies.audit.check import PRINCIPLES, Check, Measured
from whyclip.studies.audit.checks import CHECKS, get_check
from whyclip.studies.audit.result import Audit
from whyclip.studies.audit.run import audit
from whyclip.studies.claims import Finding
from whyclip.studies.measurements import Values

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
