"""Mean ranks, Friedman's test and Nemenyi's critical difference, by plain computations."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from whyclip.errors import InputError
from whyclip.stats.rankings import nemenyi_factor, ranking

# Demšar 2006, table 5: critical values for the two-tailed Nemenyi test.
TABLE = {
    0.95: (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164),
    0.90: (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920),
}
# Demšar 2006, table 6: AUC of C4.5, with m, with cf, and with both, on 14 data sets.
DEMSAR = {
    "C4.5": (.763, .599, .954, .628, .882, .936, .661, .583, .775, 1, .94, .619, .972, .957),
    "m": (.768, .591, .971, .661, .888, .931, .668, .583, .838, 1, .962, .666, .981, .978),
    "cf": (.771, .590, .968, .654, .886, .916, .609, .563, .866, 1, .965, .614, .9751, .946),
    "m+cf": (.798, .569, .967, .657, .898, .931, .685, .625, .875, 1, .962, .669, .975, .970),
}  # fmt: skip


@pytest.mark.parametrize("level", list(TABLE))
def test_the_factor_is_that_of_the_paper(level: float) -> None:
    for k, known in enumerate(TABLE[level], start=2):
        assert nemenyi_factor(k, level) == pytest.approx(known, abs=0.0015)


def test_the_example_of_the_paper() -> None:
    """Average ranks 3.143, 2.000, 2.893, 1.964; χ² = 9.28, F = 3.69; CD₀.₁₀ = 1.12 for k = 4."""
    result = ranking(DEMSAR, level=0.90)
    ranks = {name: round(rank, 3) for name, rank in result.ranks.items()}
    assert ranks == {"m+cf": 1.964, "m": 2.0, "cf": 2.893, "C4.5": 3.143}
    assert list(result.ranks) == ["m+cf", "m", "cf", "C4.5"]
    assert result.critical_difference == pytest.approx(
        2.291 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3
    )
    # F(3, 39) = 2.85 at 5 % and 3.69 is beyond it, as the paper says.
    assert 0.015 < result.p_value < 0.05
    assert result.differ("C4.5", "m+cf")
    assert result.differ("C4.5", "m")
    assert not result.differ("cf", "m+cf")
    assert result.cliques == [("m+cf", "m", "cf"), ("cf", "C4.5")]


def test_friedmans_p_value_by_permutation() -> None:
    draw = random.Random(0)
    rows = [[draw.gauss(0.5 * (m == 0), 1) for m in range(4)] for _ in range(15)]
    scores = {str(m): [row[m] for row in rows] for m in range(4)}

    def spread(table: list[list[float]]) -> float:
        sums = [0.0] * 4
        for row in table:
            for m in range(4):
                sums[m] += sum(other >= row[m] for other in row)
        return sum(s * s for s in sums)

    seen = spread(rows)
    hits = sum(spread([draw.sample(row, 4) for row in rows]) >= seen for _ in range(4000))
    assert ranking(scores).p_value == pytest.approx(hits / 4000, abs=0.03)


def test_ranks_by_counting() -> None:
    draw = random.Random(1)
    scores = {name: [draw.randint(0, 4) for _ in range(12)] for name in "abcde"}
    higher = [draw.random() < 0.5 for _ in range(12)]
    result = ranking(scores, higher_is_better=higher)
    for name, row in scores.items():
        total = 0.0
        for case in range(12):
            sign = 1 if higher[case] else -1
            better = sum(sign * other[case] > sign * row[case] for other in scores.values())
            equal = sum(other[case] == row[case] for other in scores.values())
            total += better + (equal + 1) / 2
        assert result.ranks[name] == pytest.approx(total / 12)
    assert sum(result.ranks.values()) == pytest.approx(15)


def test_cliques_are_the_largest_runs_without_a_difference() -> None:
    draw = random.Random(2)
    scores = {str(m): [draw.gauss(m / 3, 1) for _ in range(25)] for m in range(9)}
    result = ranking(scores)
    names = list(result.ranks)
    runs = [
        tuple(names[i:j])
        for i, j in itertools.combinations(range(10), 2)
        if j - i > 1 and not result.differ(names[i], names[j - 1])
    ]
    largest = [run for run in runs if not any(set(run) < set(other) for other in runs)]
    assert result.cliques == largest
    assert len(largest) > 1


def test_incomplete_cases_are_left_out_and_one_case_tells_no_difference() -> None:
    nan = math.nan
    assert ranking({"a": [1, nan, 3], "b": [0, 5, 4]}).ranks == {"a": 1.5, "b": 1.5}
    alone = ranking({"a": [1.0], "b": [0.0]})
    assert alone.cases == 1
    assert math.isnan(alone.critical_difference)
    assert math.isnan(alone.p_value)
    assert not alone.differ("a", "b")
    # Complete agreement.
    assert ranking({"a": [2.0] * 9, "b": [1.0] * 9, "c": [0.0] * 9}).p_value == 0


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(InputError, match=r"lengths \[1, 2\]"):
        ranking({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(InputError, match="needs two or more"):
        ranking({"a": [1.0]})
    with pytest.raises(InputError, match="no case"):
        ranking({"a": [math.nan], "b": [1.0]})
    with pytest.raises(InputError, match="level"):
        ranking({"a": [0.0], "b": [1.0]}, level=95)
