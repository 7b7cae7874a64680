"""Where the data can be drawn with one change, that replaces edits that no model has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import whyclip
from audit_toy import Toy
from toy_changes import Changeable
from whyclip.studies.audit import CHECKS, Audit, audit
from whyclip.studies.audit.answer import answers

REPLACED = {name for name, check in CHECKS.items() if check.replaced_by and check.by_default}
METHODS = ["contribution"]


def run(view: whyclip.ModelView, data: Any, checks: list[str] | None = None, **more: Any) -> Audit:
    return audit(view, data, METHODS, checks, limit=4, edited=2, patches=4, **more)


def names(result: Audit) -> set[str]:
    return {finding.check for finding in result.findings if finding.value is not None}


@pytest.fixture(scope="module")
def changed(view: whyclip.ModelView) -> Audit:
    return run(view, Changeable(4))


def test_the_replaced_are_hidden_and_removed_inputs_and_approximations() -> None:
    unseen = {"patch_masked", "patch_blurred", "word_removal", "deletion", "insertion"}
    assert unseen | {"inpainted_objects", "absent_classes"} == REPLACED
    assert {CHECKS[name].replaced_by for name in REPLACED} < set(CHECKS)
    assert all(CHECKS[name].caveat for name in REPLACED)


def test_interventions_take_their_place_in_the_verdict(changed: Audit) -> None:
    assert not names(changed) & REPLACED
    assert names(changed) >= {CHECKS[name].replaced_by for name in REPLACED}
    [note] = [note for note in changed.notes if "replaced" in note]
    assert all(f"{name} (by {CHECKS[name].replaced_by})" in note for name in REPLACED)
    assert not any("Caveat" in answer for answer in answers(changed))


def test_a_replaced_check_is_measured_if_it_is_named(view: whyclip.ModelView) -> None:
    result = run(view, Changeable(4), ["patch_masked", "removed_objects"])
    assert names(result) == {"patch_masked", "removed_objects"}
    assert CHECKS["absent_nouns"].replaced_by
    assert names(run(view, Changeable(4), ["absent_nouns"])) == {"absent_nouns"}
    assert "absent_nouns" not in {finding.check for finding in run(view, Toy(4)).findings}


def test_elsewhere_they_stay_and_the_answer_has_the_caveat(view: whyclip.ModelView) -> None:
    result = run(view, Toy(4))
    assert names(result) >= REPLACED
    assert not names(result) & {name for name, c in CHECKS.items() if "interventions" in c.needs}
    why = result.finding("contribution", "removed_objects")
    assert why is not None
    assert why.verdict == "not applicable"
    assert "for example scenes" in why.why_not
    [caveat] = [answer for answer in answers(result) if answer.startswith("Caveat")]
    assert "patch_masked" in caveat
    assert "out of distribution" in caveat
    assert "inpainted_objects" not in caveat
    [rough] = [answer for answer in answers(result) if answer.startswith("Approximations")]
    assert all(name in rough for name in ("inpainted_objects", "absent_classes"))
    assert "patch_masked" not in rough
    text = " ".join(part for part in result.report().sections if isinstance(part, str))
    assert CHECKS["patch_masked"].caveat in text


def test_what_was_measured_is_read_again(
    view: whyclip.ModelView, changed: Audit, tmp_path: Path
) -> None:
    first = run(view, Changeable(4), out=tmp_path)
    again = run(view, Changeable(4), out=tmp_path)
    assert first.to_json()["findings"] == again.to_json()["findings"]
    assert first.to_json()["findings"] == changed.to_json()["findings"]


def test_an_audit_of_an_earlier_version_has_no_caveats_and_loads(changed: Audit) -> None:
    record = changed.to_json()
    for claim in record["claims"].values():
        del claim["caveat"]
    loaded = Audit.from_json(record)
    assert {f.claim.caveat for f in loaded.findings} == {""}
    assert loaded.to_json()["findings"] == record["findings"]
