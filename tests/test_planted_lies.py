"""Planted lies: cases in which a green mark would be false. None of them is certified.

Each case builds a model or a file, plants something in it, lets whyclip explain, and computes the
score of the library's own pipeline on that file at that moment, without whyclip:
``encode_image(preprocess(Image.open(file)))``, ``encode_text(tokenizer(prompt))`` one prompt at a
time, and their cosine. A case passes

- as a *lie*: if whyclip raises a WhyclipError in one line, or the mark is not green
  (``certificate.explains_score`` is False), or every explained score, and the score that is stated
  as the model's, is the library's to within the certificate's tolerance. Where the lie is meant to
  change the score, the library's score must have changed, else the case tests nothing;
- as *never* green (a baseline, another scope, a changed computation or input, nothing checked): if
  whyclip raises in one line, or the mark is not green, whatever the scores are;
- as an *honest* control: only if the mark is green and the scores are the library's. So the suite
  cannot pass by refusing everything.

A green mark where the library's own pipeline raises is false as well.
"""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pytest

from lies import adapters, checkpoints, files, honest, hooks, replaced, scopes, texts_and_saving
from lies.registry import CASES, Case, Claim
from whyclip.errors import WhyclipError

FILES = (adapters, checkpoints, files, honest, hooks, replaced, scopes, texts_and_saving)
"""Where the cases are written; importing them registers these."""
# The score difference that is rounding when both sides are computed in float32.
ROUNDING = 1e-6


def test_there_are_enough_of_each_kind() -> None:
    counted = Counter(case.kind for case in CASES.values())
    assert counted["lie"] + counted["never"] >= 60
    assert counted["honest"] >= 10


def is_false(claim: Claim) -> bool:
    """Whether the mark is green and the score is not the library's."""
    same = claim.gap <= claim.certificate.tolerance + ROUNDING
    return claim.certificate.explains_score and not same


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    cases = [case for case in CASES.values() if case.kind in kinds]
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def heard(case: Case, folder: Path) -> tuple[list[Claim], str]:
    """What is claimed, or the error instead."""
    try:
        return case.claims(folder), ""
    except WhyclipError as error:
        return [], str(error)


@of_kind("lie", "never")
def test_no_lie_is_certified(case: Case, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        claims, refusal = heard(case, tmp_path)
        assert "\n" not in refusal, "an error of more than one line"
    for claim in claims:
        certificate = claim.certificate
        assert not is_false(claim), (
            f"certified, but the library gives {claim.library}: {certificate}"
        )
        assert claim.bites, "the library's score is what it was: nothing was planted"
        if case.kind == "never":
            assert not certificate.explains_score, f"green, though it never may be: {certificate}"


@of_kind("honest")
def test_what_is_true_is_certified(case: Case, tmp_path: Path) -> None:
    for claim in case.claims(tmp_path):
        assert claim.certificate.explains_score, claim.certificate
        assert claim.gap <= claim.certificate.tolerance + ROUNDING, claim.library
