"""Summary of the methods that pass, in one sentence per side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whyclip.studies.audit.check import APPROXIMATION
from whyclip.types import SIDES, Side

if TYPE_CHECKING:
    from whyclip.studies.audit.record import AuditRecord
    from whyclip.studies.claims import Finding

SUBJECTS = {"image": "Maps", "text": "Words"}


def answers(audit: AuditRecord) -> tuple[str, ...]:
    """List for each side the methods that pass every check, or else the methods that fail none.

    Only methods with at least one value on that side are included, without the random baseline.
    Further sentences name the checks whose edits are out of distribution for the model, and the
    checks that approximate an intervention.
    """
    sentences = tuple(_answer(audit, side) for side in SIDES if _measured(audit, side))
    measured = [f for f in audit.findings if f.claim.caveat and f.value is not None]
    caveats = {finding.check: finding.claim.caveat for finding in measured}
    rough = [name for name in caveats if caveats[name].startswith(APPROXIMATION)]
    edits = [name for name in caveats if name not in rough]
    if sentences and edits:
        sentences += (
            f"Caveat: the edited inputs of {_listed(edits)} are out of distribution for the model.",
        )
    if sentences and rough:
        sentences += (
            f"Approximations, calibrated on scenes but not on this data: {_listed(rough)}.",
        )
    return sentences


def _answer(audit: AuditRecord, side: Side) -> str:
    measured = _measured(audit, side)
    subject = SUBJECTS[side]
    passing = [
        name for name, findings in measured.items() if _count(findings, "pass") == len(findings)
    ]
    if passing:
        return f"{subject}: {_listed(passing)} {_verb(passing, 'pass')} every check."
    unfailed = {
        name: findings for name, findings in measured.items() if not _count(findings, "fail")
    }
    if not unfailed:
        return f"{subject}: every method fails at least one check."
    order = sorted(unfailed, key=lambda name: _count(unfailed[name], "inconclusive"))
    open_ = [_count(unfailed[name], "inconclusive") for name in order]
    least, most = open_[0], open_[-1]
    number = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"{subject}: no method passes every check. {_listed(order)} {_verb(order, 'fail')} none. "
        f"Inconclusive checks of each: {number}; a larger --limit or --edited may help."
    )


def _measured(audit: AuditRecord, side: Side) -> dict[str, list[Finding]]:
    """Findings with a value on one side, by method."""
    by_method = {
        name: [f for f in audit.of(name) if f.side == side and f.value is not None]
        for name in audit.methods
        if name != audit.control
    }
    return {name: findings for name, findings in by_method.items() if findings}


def _count(findings: list[Finding], verdict: str) -> int:
    return sum(finding.verdict == verdict for finding in findings)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _verb(names: list[str], verb: str) -> str:
    return verb if len(names) > 1 else f"{verb}es" if verb.endswith("s") else f"{verb}s"
