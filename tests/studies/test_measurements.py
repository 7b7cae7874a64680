"""Rows with their images give the intervals of plain lists; verdicts have one scale."""

from __future__ import annotations

import random

import pytest

from whyclip.audit_index import link_of, link_to_json
from whyclip.metrics import Interval, interval, paired_difference
from whyclip.stats.verdict import (
    MIN_GROUPS,
    Verdict,
    excludes_zero,
    judge,
    judge_worst,
    verdict_of,
)
from whyclip.studies.measurements import Measurements


def test_rows_by_key_are_plain_lists() -> None:
    draw = random.Random(0)
    rows, a, b, images = Measurements(), [], [], []
    for number in range(30):
        for _ in range(draw.randint(1, 3)):
            a.append(draw.random())
            b.append(draw.random())
            images.append(f"image {number}")
            rows.add("a", images[-1], [a[-1]])
            rows.add(("b", 1), images[-1], [b[-1]])
    assert list(rows) == ["a", ("b", 1)]
    assert rows["a"].values == a
    assert rows.interval("a") == interval(a, groups=images)
    assert rows.difference("a", ("b", 1)) == paired_difference(a, b, groups=images)
    assert rows.interval("a").groups == 30
    with pytest.raises(KeyError):
        rows.interval("c")


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        ("holds", "pass"),
        ("does not hold", "fail"),
        ("cannot be told", "inconclusive"),
        ("undecided", "inconclusive"),
        ("not measured", "not applicable"),
        ("fail", "fail"),
    ],
)
def test_words_of_earlier_files_are_read(earlier: str, now: Verdict) -> None:
    assert verdict_of(earlier) == now


def test_other_words_are_no_verdicts() -> None:
    with pytest.raises(ValueError, match="perhaps"):
        verdict_of("perhaps")


@pytest.mark.parametrize("images", [MIN_GROUPS - 1, MIN_GROUPS])
def test_one_least_number_of_images_for_every_kind_of_verdict(images: int) -> None:
    enough = images == MIN_GROUPS
    value = Interval(0.5, 0.4, 0.6, images, images)
    assert (judge(value, 0, higher_is_better=True) == "pass") == enough
    assert (judge(value, 0, higher_is_better=False) == "fail") == enough
    assert excludes_zero(value) == enough
    assert (judge_worst([1e-9], images, 1e-5) == "pass") == enough


def test_a_link_of_an_earlier_version_is_read() -> None:
    record = {
        "date": "2026-01-02T03:04:05Z",
        "dataset": "scenes",
        "samples": 60,
        "verdicts": {"image": {"itself": "undecided", "consistent": "not measured"}},
        "failed": [],
        "file": "audit.json",
    }
    link = link_of(record)
    assert link.verdicts["image"] == {"fidelity": "inconclusive", "consistency": "not applicable"}
    assert link_of(link_to_json(link)) == link
    assert "model fidelity inconclusive, performance consistency not applicable" in str(link)
