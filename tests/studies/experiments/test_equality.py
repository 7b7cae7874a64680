"""The largest difference over a dataset, beside the same by plain loops."""

from __future__ import annotations

from dataclasses import replace

import pytest

import whyclip
from pictures import Pictures
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.experiments import ExperimentInput, equality


def worst_by_loops(setting: ExperimentInput, other: str) -> float:
    """Over images and words of every sample: signed maps, one layer for images."""
    worst = 0.0
    for sample in setting.dataset:
        for prompt in sample.prompts:
            one, two = (
                whyclip.explain(setting.model, sample.image, prompt, method=name, relu=False)
                for name in ("grad_eclip", other)
            )
            maps = [ex.maps[0].flatten().tolist() for ex in (one, two) if ex.maps is not None]
            words = [[word.relevance for word in ex.words[0]] for ex in (one, two)]
            for a, b in (maps, words):
                scale = max(map(abs, [*a, *b]))
                worst = max(worst, max(abs(x - y) for x, y in zip(a, b, strict=True)) / scale)
    return worst


class Enough(Pictures):
    def __len__(self) -> int:
        return MIN_GROUPS


def test_equal_maps_are_called_equal(setting: ExperimentInput) -> None:
    setting = replace(setting, dataset=Enough())
    result = equality.equality(setting)
    assert [verdict.verdict for verdict in result.findings] == ["pass"]
    rows = {(row["case"], row["side"]): row for row in result.sections[0].rows}  # type: ignore[union-attr]
    assert all(rows["signed, every layer", side]["equal"] for side in ("image", "text"))
    assert rows["signed", "image"]["n"] == sum(len(s.prompts) for s in setting.dataset)
    assert not any(row["equal"] for (case, _), row in rows.items() if "against" in case)


def test_other_maps_are_not(setting: ExperimentInput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equality, "OTHER", "contribution")
    monkeypatch.setattr(equality, "CONTROL", "grad_eclip")
    monkeypatch.setattr(equality, "CASES", {"signed": {"relu": False}})
    [verdict] = equality.equality(setting).findings
    assert verdict.verdict == "fail"
    assert f"{worst_by_loops(setting, 'contribution'):.1e}" in verdict.because
