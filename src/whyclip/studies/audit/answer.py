"""Which method to trust, in a sentence for each side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whyclip.types import SIDES, Side

if TYPE_CHECKING:
    from whyclip.studies.audit.record import AuditRecord
    from whyclip.studies.claims import Finding

SUBJECTS = {"image": "Maps", "text": "Words"}


def answers(audit: AuditRecord) -> tuple[str, ...]:
    """Say for each side which methods pass every check, or else which fail none.

    A method counts only if something was measured of it on that side. The random baseline is
    left out. If checks edit inputs in a way that the model has never seen, a last sentence says so.
    """
    sentences = tuple(_answer(audit, side) for side in SIDES if _measured(audit, side))
    caveats = [f.claim for f in audit.findings if f.claim.caveat and f.value is not None]
    if sentences and caveats:
        names = dict.fromkeys(claim.name for claim in caveats)
        sentences += (
            f"Caveat: {_listed(list(names))} edit inputs in a way that the model has never seen.",
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
        f"Inconclusive checks of each: {number}; a larger --limit or --edited may decide them."
    )


def _measured(audit: AuditRecord, side: Side) -> dict[str, list[Finding]]:
    """What was measured of each method on one side."""
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
