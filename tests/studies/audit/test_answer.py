"""The answer to "which method?" follows from the verdicts alone."""

from __future__ import annotations

import pytest

from whyclip.metrics import Interval
from whyclip.studies.audit.answer import answers
from whyclip.studies.audit.record import Audited
from whyclip.studies.audit.result import Audit
from whyclip.studies.claims import Claim, Finding
from whyclip.types import Side


def audit_of(verdicts: dict[str, str], side: Side = "image") -> Audit:
    """One letter a check: p passes, f fails, u is undecided, n was not measured."""
    words = {"p": "pass", "f": "fail", "u": "inconclusive", "n": "inconclusive"}
    findings = tuple(
        Finding(
            Claim(name=f"check-{number}", title="", threshold=0.0, higher_is_better=True),
            words[letter],  # type: ignore[arg-type]
            None if letter == "n" else Interval(0.0, -1.0, 1.0, 20, 20),
            name,
            side,
        )
        for name, letters in verdicts.items()
        for number, letter in enumerate(letters)
    )
    methods = {name: Audited(name, name, {}) for name in verdicts}
    return Audit("model", "0", "toy", 20, 20, 0, methods, findings)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"a": "ppp", "b": "pup"}, "Maps: a passes every check."),
        ({"a": "pnp", "b": "pp", "c": "pf"}, "Maps: a and b pass every check."),
        ({"a": "pf", "b": "ff"}, "Maps: every method fails at least one check."),
        (
            {"a": "puu", "b": "ppu", "c": "pfp"},
            "Maps: no method passes every check. b and a fail none. Inconclusive checks of each:",
        ),
        (
            {"a": "pu", "c": "pf"},
            "Maps: no method passes every check. a fails none. Inconclusive checks of each: 1;",
        ),
    ],
)
def test_the_answer_names_what_passes_or_else_what_does_not_fail(
    verdicts: dict[str, str], expected: str
) -> None:
    [answer] = answers(audit_of(verdicts))
    assert answer.startswith(expected)


def test_the_random_baseline_is_never_the_answer() -> None:
    assert "random" not in " ".join(answers(audit_of({"random": "ppp", "a": "pf"})))


def test_a_side_without_anything_measured_has_no_answer() -> None:
    assert answers(audit_of({"a": "nn"})) == ()
    [answer] = answers(audit_of({"a": "pp"}, "text"))
    assert answer == "Words: a passes every check."
