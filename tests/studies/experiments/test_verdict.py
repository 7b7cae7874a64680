"""Verdicts say what the planted numbers say, both ways."""

from __future__ import annotations

import math

import pytest

from whyclip.metrics import Interval
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.claims import is_above, is_below, worst_is_below

MANY = (80, 40)


@pytest.mark.parametrize(
    ("ends", "above", "below"),
    [
        ((0.3, 0.5), "pass", "fail"),
        ((-0.5, 0.1), "fail", "pass"),
        ((0.1, 0.3), "inconclusive", "inconclusive"),
    ],
)
def test_the_whole_interval_decides(ends: tuple[float, float], above: str, below: str) -> None:
    interval = Interval(sum(ends) / 2, *ends, *MANY)
    assert is_above("x", "y", interval, 0.2).verdict == above
    assert is_below("x", "y", interval, 0.2).verdict == below


def test_the_sentence_has_claim_numbers_and_bound() -> None:
    yes = str(is_above("Cats win", "difference", Interval(0.25, 0.2, 0.3, *MANY), 0.1))
    assert yes == ("Cats win: **pass**. The difference is 0.250 [0.200, 0.300], n = 80; above 0.1.")
    no = str(is_below("Cats lose", "difference", Interval(0.25, 0.2, 0.3, *MANY), 0.1))
    assert no == (
        "Cats lose: **fail**. The difference is 0.250 [0.200, 0.300], n = 80; not below 0.1."
    )


def test_a_bound_on_the_end_of_the_interval_is_not_above() -> None:
    assert is_above("x", "y", Interval(0.2, 0.0, 0.4, *MANY), 0).verdict == "inconclusive"
    assert is_above("x", "y", Interval(0.0, 0.0, 0.0, *MANY), 0).verdict == "fail"


def test_few_pictures_decide_nothing() -> None:
    sure = Interval(0.5, 0.4, 0.6, 300, MIN_GROUPS - 1)
    verdict = is_above("x", "y", sure, 0)
    assert verdict.verdict == "inconclusive"
    assert f"{MIN_GROUPS} images" in verdict.because
    assert is_above("x", "y", sure._replace(groups=MIN_GROUPS), 0).verdict == "pass"
    one = Interval(0.5, math.nan, math.nan, 1, 1)
    assert is_above("x", "y", one, 0).verdict == "inconclusive"
    assert "nan" not in str(is_above("x", "y", one, 0))


def test_a_claim_of_equality_falls_by_its_worst_case() -> None:
    def outcome(values: list[float], pictures: int = MIN_GROUPS) -> str:
        return worst_is_below("x", "y", values, pictures, 1e-5).verdict

    assert outcome([1e-7, 3e-7]) == "pass"
    assert outcome([1e-7, 2e-5, 1e-7]) == outcome([1e-5]) == "fail"
    # NaN is greater than nothing, so that max() would leave it out wherever it stands.
    assert outcome([1e-7, math.nan]) == outcome([math.nan, 1e-7]) == "inconclusive"
    assert outcome([]) == "not applicable"


def test_few_pictures_can_refute_equality_and_cannot_show_it() -> None:
    few = MIN_GROUPS - 1
    equal = worst_is_below("x", "y", [1e-7] * 99, few, 1e-5)
    assert equal.verdict == "inconclusive"
    assert f"at least {MIN_GROUPS} images are needed, there are {few}" in equal.because
    assert worst_is_below("x", "y", [1e-7] * 98 + [1.0], 1, 1e-5).verdict == "fail"
