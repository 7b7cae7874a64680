"""Which intervals say that two methods differ."""

from __future__ import annotations

import math

import pytest

from whyclip.metrics import Interval
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.evaluation.summary import excludes_zero


@pytest.mark.parametrize(
    ("low", "high", "differs"),
    [
        (0.0, 0.0, False),
        (0.0, 1.0, False),
        (-1.0, 0.0, False),
        (-1.0, 1.0, False),
        (1e-9, 1.0, True),
        (-1.0, -1e-9, True),
        (math.nan, math.nan, False),
    ],
)
def test_an_interval_that_touches_zero_holds_it(low: float, high: float, differs: bool) -> None:
    assert excludes_zero(Interval((low + high) / 2, low, high, 40, 40)) == differs
    assert not excludes_zero(Interval((low + high) / 2, low, high, 40, MIN_GROUPS - 1))
