"""Adjusted p values, by the procedures as their papers state them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyclip.errors import InputError
from whyclip.stats.multiple import benjamini_hochberg, holm


def rejected_by_holm(p: list[float], level: float) -> set[int]:
    """Test the smallest at level/m, the next at level/(m−1), and stop at the first that fails."""
    left = sorted(range(len(p)), key=lambda i: p[i])
    rejected = set()
    while left and p[left[0]] <= level / len(left):
        rejected.add(left.pop(0))
    return rejected


def rejected_by_bh(p: list[float], level: float) -> set[int]:
    """Find the largest k with p_(k) ≤ k·level/m and reject the k smallest."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    most = 0
    for k in range(1, len(p) + 1):
        if p[order[k - 1]] <= k * level / len(p):
            most = k
    return set(order[:most])


@pytest.mark.parametrize("m", [1, 2, 7, 30])
def test_adjusted_values_reject_what_the_procedures_reject(m: int) -> None:
    rng = np.random.default_rng(m)
    for _ in range(40):
        p = (rng.random(m) ** rng.integers(1, 5)).round(3).tolist()
        for level in (0.01, 0.05, 0.0999, 0.3, 0.7):
            adjusted = {i for i, value in enumerate(holm(p)) if value <= level + 1e-12}
            assert adjusted == rejected_by_holm(p, level + 1e-12)
            adjusted = {
                i for i, value in enumerate(benjamini_hochberg(p)) if value <= level + 1e-12
            }
            assert adjusted == rejected_by_bh(p, level + 1e-12)


def test_a_known_example() -> None:
    p = [0.01, 0.02, 0.03, 0.005]
    assert holm(p).tolist() == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.02, 0.02 * 4 / 3, 0.03, 0.02])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_is_no_comparison_does_not_count(adjust: object) -> None:
    p_values = adjust([0.01, math.nan, 0.04])  # type: ignore[operator]
    assert math.isnan(p_values[1])
    assert p_values[[0, 2]].tolist() == adjust([0.01, 0.04]).tolist()  # type: ignore[operator]
    assert adjust([]).tolist() == []  # type: ignore[operator]
    for wrong in ([1.2], [-0.1], [[0.1]]):
        with pytest.raises(InputError, match="from 0 to 1"):
            adjust(wrong)  # type: ignore[operator]


def test_holm_keeps_the_chance_of_any_false_one() -> None:
    """Ten true hypotheses that depend on each other: at most 5 % of studies reject any."""
    rng = np.random.default_rng(0)
    any_holm = any_plain = 0
    for _ in range(2000):
        z = (rng.normal() + rng.normal(size=10)) / math.sqrt(2)
        p = [math.erfc(abs(x) / math.sqrt(2)) for x in z]
        any_holm += min(holm(p)) <= 0.05
        any_plain += min(p) <= 0.05
    assert any_holm / 2000 <= 0.055
    assert any_plain / 2000 > 0.2
