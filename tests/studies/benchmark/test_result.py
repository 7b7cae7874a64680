"""A benchmark's tables and verdicts, from records whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import whyclip
from whyclip.errors import OptionError, OutputError
from whyclip.selection import DEFAULTS
from whyclip.studies.benchmark import Benchmark, read_benchmark
from whyclip.studies.benchmark.defaults import choose_default
from whyclip.studies.benchmark.record import ModelRecord, Outcome
from whyclip.studies.benchmark.reliance import ORACLE, Reliance
from whyclip.studies.benchmark.run import _keep

IMAGES = [f"scene {i}" for i in range(30)]
LEVEL = {"good": 0.8, "fair": 0.5, "bad": 0.1}


def outcome(check: str, method: str, side: str, level: float, seed: int) -> Outcome:
    rng = np.random.default_rng(seed)
    values = level + rng.normal(0, 0.05, len(IMAGES))
    images = dict(zip(IMAGES, values.tolist(), strict=True))
    return Outcome(check, method, side, float(values.mean()), images)  # type: ignore[arg-type]


def reliance(kind: str, seed: int) -> Reliance:
    """Badge models rely on the badge, the others do not; ``good`` shows it, ``bad`` does not."""
    rng = np.random.default_rng(seed)
    drops = (0.5 if kind == "badge" else 0.0) + rng.normal(0, 0.05, 40)
    raw = {
        "good": drops + rng.normal(0, 0.05, 40),
        "bad": rng.normal(0, 0.2, 40),
        ORACLE: np.zeros(40),
    }
    rows = {name: tuple(values.tolist()) for name, values in raw.items()}
    return Reliance("badge", (0.6,) * 40, tuple(drops.tolist()), rows, rows)


def record(kind: str, seed: int) -> ModelRecord:
    outcomes = [
        outcome(check, method, "image", level, 10 * seed + number)
        for check in ("removed_objects", "interaction")
        for number, (method, level) in enumerate(LEVEL.items())
    ]
    outcomes += [
        outcome("exchanged_words", method, "text", 1 - level, seed)
        for method, level in LEVEL.items()
    ]
    return ModelRecord(
        f"{kind}-{seed}", kind, seed, f"{seed:x}", {"recall": "0.9"}, tuple(outcomes),
        {"badge": reliance(kind, seed)}, samples=30, seconds=2.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result() -> Benchmark:
    kinds = [("ordinary", seed) for seed in range(5)] + [("badge", 5), ("badge", 6)]
    return Benchmark(tuple(record(kind, seed) for kind, seed in kinds), seed=24)


def test_methods_are_ordered_by_their_mean_rank_on_ordinary_models(result: Benchmark) -> None:
    assert result.order("image") == (("good", 1.0), ("fair", 2.0), ("bad", 3.0))
    assert result.order("text") == (("bad", 1.0), ("fair", 2.0), ("good", 3.0))
    assert result.ranks("image")["good"].shape == (5, 2)


def test_a_check_is_the_mean_over_ordinary_models(result: Benchmark) -> None:
    interval = result.interval("interaction", "fair", "image")
    values = [
        np.mean(list(o.images.values()))
        for r in result.records[:5]
        for o in r.outcomes
        if (o.check, o.method) == ("interaction", "fair")
    ]
    assert interval.mean == pytest.approx(np.mean(values))
    assert interval.low < 0.5 < interval.high
    assert interval.high - interval.low < 0.1


def test_a_method_that_shows_the_badge_passes_and_the_object_mask_fails(
    result: Benchmark,
) -> None:
    assert result.cues == ("badge",)
    assert result.verdict("badge", "good") == "pass"
    assert result.verdict("badge", "bad") == "fail"
    assert result.verdict("badge", ORACLE) == "fail"
    assert result.follows("badge", ORACLE).mean == 0
    assert result.explained("badge")[-1] == ORACLE


def test_only_the_models_with_the_cue_and_the_ordinary_ones_count(result: Benchmark) -> None:
    every = result.follows("badge", "good")
    badge_only = result.follows("badge", "good", ordinary=False)
    assert (every.n, badge_only.n) == (7 * 40, 2 * 40)
    assert badge_only.mean < every.mean
    blind = record("blind", 9)
    more = Benchmark((*result.records, blind))
    assert more.follows("badge", "good").n == 7 * 40


def test_a_cue_that_its_models_hardly_use_is_not_judged(result: Benchmark) -> None:
    assert result.learned("badge") == pytest.approx(0.5, abs=0.02)

    def weaker(record: ModelRecord) -> ModelRecord:
        old = record.reliance["badge"]
        drops = tuple(drop / 10 for drop in old.drops)
        return replace(record, reliance={"badge": replace(old, drops=drops)})

    weak = Benchmark(tuple(map(weaker, result.records)))
    # The correlation is the same.
    assert weak.follows("badge", "good").mean == pytest.approx(result.follows("badge", "good").mean)
    assert weak.verdict("badge", "good") == "not applicable"
    assert weak.verdict("badge", ORACLE) == "not applicable"


def test_bounds_of_a_share_are_shares(result: Benchmark) -> None:
    def sure(record: ModelRecord) -> ModelRecord:
        return replace(
            record, outcomes=(outcome("exchanged_prompts", "good", "image", 1.0, record.seed),)
        )

    interval = Benchmark(tuple(map(sure, result.records))).interval(
        "exchanged_prompts", "good", "image"
    )
    assert interval.high == 1.0
    assert interval.low > 0.9


def test_the_page_and_the_json_have_the_numbers(result: Benchmark, tmp_path: Path) -> None:
    page = result.save(tmp_path)
    content = json.loads((tmp_path / "benchmark.json").read_text())
    assert content == json.loads(json.dumps(result.to_json()))
    [row] = [r for r in content["reliance"] if r["method"] == ORACLE]
    assert (row["cue"], row["verdict"], row["correlation"][0]) == ("badge", "fail", 0.0)
    text = page.read_text()
    for words in ("object_mask", "Mean ranks", "reliance on badge", "recall@k"):
        assert words in text


def test_records_are_read_again_as_they_were(result: Benchmark, tmp_path: Path) -> None:
    for each in result.records:
        _keep(tmp_path / "models" / f"{each.model}.json", each, "same")
    again = read_benchmark(tmp_path)
    assert [r.model for r in again.records] == [r.model for r in result.records]
    before, after = result.to_json(), again.to_json()
    for a, b in zip(before["checks"], after["checks"], strict=True):
        assert a["value"] == pytest.approx(b["value"], abs=2e-4)
    with pytest.raises(OutputError, match="no benchmark results"):
        read_benchmark(tmp_path / "other")


def test_a_record_without_a_part_is_refused(result: Benchmark) -> None:
    content = result.records[0].to_json()
    del content["outcomes"]
    with pytest.raises(OutputError, match="outcomes"):
        ModelRecord.from_json(content)


def test_a_benchmark_resumes_and_measures_again_what_changed(tmp_path: Path) -> None:
    def run(**changed: int) -> Benchmark:
        numbers = {"limit": 4, "planted": 2, **changed}
        return whyclip.benchmark(
            ["untrained-0"], ["contribution"], out=tmp_path, **numbers  # type: ignore[arg-type]
        )  # fmt: skip

    first = run()
    file = tmp_path / "models" / "untrained-0.json"
    written = file.stat().st_mtime_ns
    again = run()
    assert file.stat().st_mtime_ns == written
    # The values themselves, so that ranks are the same as well.
    assert again.records == first.records
    assert set(first.records[0].reliance) == {"badge", "written", "background"}
    run(planted=3)
    assert file.stat().st_mtime_ns != written


def test_what_cannot_be_benchmarked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--train"):
        whyclip.benchmark(weights=tmp_path)
    with pytest.raises(OptionError, match="limit=1"):
        whyclip.benchmark(limit=1)


def test_the_default_is_the_best_that_explains_the_score(result: Benchmark) -> None:
    today = DEFAULTS["image"][0]
    levels = {"rollout": 0.9, "contribution": 0.8, today: 0.4, "random": 0.0}

    def renamed(record: ModelRecord) -> ModelRecord:
        outcomes = [
            outcome(check, method, "image", level, 10 * record.seed + number)
            for check in ("removed_objects", "interaction")
            for number, (method, level) in enumerate(levels.items())
        ]
        return replace(record, outcomes=tuple(outcomes))

    records = tuple(map(renamed, result.records))
    choice = choose_default(Benchmark(records), "image")
    # Rollout is better, but its scope is the attention.
    assert (choice.best, choice.rank, choice.today) == ("contribution", 2.0, today)
    assert choice.ahead.mean == 1.0
    assert choice.default == "contribution"
    levels["contribution"] = 0.401
    close = choose_default(Benchmark(tuple(map(renamed, result.records))), "image")
    assert close.ahead.low <= 0
    assert close.default == today
    with pytest.raises(OptionError, match=DEFAULTS["text"][0]):
        choose_default(Benchmark(records), "text")
