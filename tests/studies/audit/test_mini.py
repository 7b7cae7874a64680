"""The embedded model on scenes: knowledge makes a difference that noise cannot show."""

from __future__ import annotations

import pytest

import whyclip
from audit_toy import BLOB
from whyclip.datasets.load import open_dataset
from whyclip.studies.audit import Audit, audit

CHECKS = ["prompts_differ", "prompts_follow", "score_gap", "best_prompt", "accuracy"]


@pytest.fixture(scope="module")
def small_audit() -> Audit:
    methods = ["contribution", "grad_eclip:heads=single", "raw_attention", BLOB]
    model = whyclip.load("mini", device="cpu")
    return audit(model, open_dataset("scenes:100"), methods, CHECKS, limit=36)


def test_a_map_that_moves_with_its_prompt_passes_and_one_that_cannot_fails(
    small_audit: Audit,
) -> None:
    verdicts = {
        name: small_audit.finding(name, "prompts_follow").verdict  # type: ignore[union-attr]
        for name in ("contribution", "raw_attention", "centre_blob")
    }
    assert verdicts == {
        "contribution": "pass",
        "raw_attention": "fail",
        "centre_blob": "fail",
    }


def test_contribution_explains_the_model_and_the_re_run_does_not(small_audit: Audit) -> None:
    for side in ("image", "text"):
        assert small_audit.verdict("contribution", "fidelity", side) == "pass"  # type: ignore[arg-type]
        assert small_audit.verdict("grad_eclip:heads=single", "fidelity", side) == "fail"  # type: ignore[arg-type]
