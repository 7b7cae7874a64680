"""The certificate in brief, for figures and terminals."""

from __future__ import annotations

from whyclip.certificate import Certificate
from whyclip.render.colour import CHANGED_COLOUR, ITSELF_COLOUR, NEUTRAL_COLOUR


def mark(certificate: Certificate) -> str:
    """Return a symbol whose shape distinguishes the three tones."""
    return {"score": "●", "other": "○", "modified": "▲"}[tone(certificate)]


def colour(certificate: Certificate) -> str:
    """Return green for the model's own score, amber for modifications, grey for other scopes."""
    return {"score": ITSELF_COLOUR, "other": NEUTRAL_COLOUR, "modified": CHANGED_COLOUR}[
        tone(certificate)
    ]


def tone(certificate: Certificate) -> str:
    """Return ``"score"`` if the model's score is explained, ``"modified"``, or ``"other"``."""
    if certificate.explains_score:
        return "score"
    failed = certificate.score_check == "failed"
    return "modified" if certificate.changes or failed else "other"


def statements(certificate: Certificate) -> tuple[str, ...]:
    """Return the three statements, with all modifications after the first."""
    modified = []
    if certificate.modified_input:
        modified.append(f"modified input: {'; '.join(certificate.modified_input)}")
    if certificate.modified_computation:
        modified.append(f"modified computation: {'; '.join(certificate.modified_computation)}")
    parts = (
        certificate.score_statement,
        certificate.input_statement,
        *modified,
        certificate.scope_statement,
    )
    return tuple(part for part in parts if part)


def details(certificate: Certificate) -> str:
    """Describe score check, modifications, scope and precision on one line."""
    return "; ".join((*statements(certificate), certificate.precision))
