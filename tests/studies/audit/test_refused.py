"""An audit replaces no other report, and takes no threshold that decides by itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from audit_toy import Toy
from whyclip.errors import OptionError, OutputError
from whyclip.metrics import Interval
from whyclip.stats.verdict import judge
from whyclip.studies.audit import CHECKS, audit
from whyclip.studies.audit.check import check_threshold


def run(view: Any, out: Path, **other: Any) -> None:
    options: dict[str, Any] = {"checks": ["score_gap"], "limit": 2, **other}
    audit(view, Toy(2), ["contribution"], out=out, **options).save(out)


def test_the_same_audit_may_write_again_and_another_may_not(view: Any, tmp_path: Path) -> None:
    run(view, tmp_path)
    before = (tmp_path / "audit.json").read_bytes()
    run(view, tmp_path, thresholds={"score_gap": 0.5})
    assert b"0.5" in (tmp_path / "audit.json").read_bytes() != before
    before = (tmp_path / "audit.json").read_bytes()
    for other in ({"seed": 1}, {"checks": ["score_gap", "word_removal"]}):
        with pytest.raises(OutputError, match=r"holds another report \(audit\.json\)"):
            run(view, tmp_path, **other)
    assert (tmp_path / "audit.json").read_bytes() == before


@pytest.mark.parametrize("name", ["index.html", "report.md"])
def test_a_report_of_something_else_stays(view: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=f"holds another report \\({name}\\)"):
        run(view, tmp_path)
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_files_in_the_folder_do_not_matter(view: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    run(view, tmp_path)
    assert (tmp_path / "audit.json").exists()


IMPOSSIBLE = {
    "patch_masked": (2, 1.0, -1.5, math.nan),
    "best_prompt": (1.0, -0.1, 90),
    "score_gap": (0.0, -1e-3, 3),
    "shuffled_weights": (-1.0, 1.01),
    "completeness": (0.0, -1),
    "accuracy": (1.0, -2),
}


@pytest.mark.parametrize(
    ("name", "threshold"), [(name, t) for name, given in IMPOSSIBLE.items() for t in given]
)
def test_impossible_thresholds_are_refused(view: Any, name: str, threshold: float) -> None:
    with pytest.raises(OptionError, match=f"{name}.* is impossible: values of {name} lie between"):
        audit(view, Toy(2), ["contribution"], thresholds={name: threshold})


def test_a_fact_has_no_threshold(view: Any) -> None:
    for name in (one.name for one in CHECKS.values() if one.fact):
        with pytest.raises(OptionError, match="is a fact"):
            audit(view, Toy(2), ["contribution"], thresholds={name: 0.5})


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_every_check_knows_its_range_and_passes_the_best_value(name: str) -> None:
    check = CHECKS[name]
    if check.fact:
        return
    check_threshold(check, check.threshold)
    low, high = check.bounds
    assert low < high
    best = high if check.higher_is_better else low
    sure = Interval(best, best, best, 50, 50)
    assert judge(sure, check.threshold, higher_is_better=check.higher_is_better) == "pass"
