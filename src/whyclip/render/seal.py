"""The certificate in few words, for figures and terminals."""

from __future__ import annotations

from whyclip.explanation import Certificate
from whyclip.render.colour import CHANGED_COLOUR, ITSELF_COLOUR


def mark(certificate: Certificate) -> str:
    """A sign whose shape alone tells the two verdicts apart."""
    return "●" if certificate.explains_model else "▲"


def colour(certificate: Certificate) -> str:
    """Green for the model itself, amber for a changed model."""
    return ITSELF_COLOUR if certificate.explains_model else CHANGED_COLOUR


def audited(certificate: Certificate) -> str:
    """What the last audit of the model and method found; empty where there was none."""
    return str(certificate.audit or "")


def details(certificate: Certificate) -> str:
    """What was changed, the score gap against its tolerance, and the precision."""
    gap = f"largest score gap {certificate.gap:.1e}"
    if certificate.gap > certificate.tolerance:
        gap += f" (tolerance {certificate.tolerance:.0e})"
    return "; ".join((*certificate.changes, f"{gap}, {certificate.precision}"))
