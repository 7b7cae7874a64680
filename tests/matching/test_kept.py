"""The page shows what the kept study measured, and the kept models are those that it used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.captions_only import captions_only, kept_at
from benchmarks.reference import auroc_by_image, images_and_truth

from whyclip.finetuning.scene_table import CONCEPTS, PHRASE_TEMPLATE
from whyclip.matching.encode import encode_images, prompt_directions
from whyclip.scenes.captions import phrase
from whyclip.scenes.sprites import load_atlas

ROOT = Path(__file__).parent.parent.parent
KEPT = json.loads((ROOT / "benchmarks" / "reference.json").read_text(encoding="utf-8"))


def test_the_page_shows_the_numbers_that_were_kept() -> None:
    page = (ROOT / "docs" / "match-reliability.md").read_text(encoding="utf-8")
    for name in ("one template", "ten phrasings", "long tail"):
        for kind, measured in KEPT[name]["scores"].items():
            if kind == "z among images":
                continue
            assert f"{measured['auroc']:.3f}" in page
            if kind != "raw score":
                low, high = measured["less raw interval"]
                assert f"({measured['less raw']:+.3f} [{low:+.3f}, {high:+.3f}])" in page
    for name in ("false matches", "false matches, long tail"):
        for key in ("mean rate", "within", "folder mean rate"):
            assert f"{100 * KEPT[name][key]:.1f} %" in " ".join(page.split())
        assert KEPT[name]["within"] >= 0.93


def test_the_kept_criteria_follow_from_the_kept_numbers() -> None:
    long_tail = KEPT["long tail"]["scores"]
    both = long_tail["mean of both percentiles"]["less raw interval"][0] > 0
    assert KEPT["criteria"]["5 means of both percentiles separate better, long tail"] == both
    alone = long_tail["percentile among images"]["less raw interval"][0] > 0
    assert KEPT["criteria"]["5 percentiles among images separate better, long tail"] == alone


@pytest.mark.parametrize(("long_tail", "part"), [(False, "one template"), (True, "long tail")])
def test_the_kept_models_score_as_in_the_study(long_tail: bool, part: str) -> None:
    view = captions_only(long_tail=long_tail)
    prompts = [PHRASE_TEMPLATE.format(phrase(n)) for n in load_atlas().names[:CONCEPTS]]
    images, truth = images_and_truth(view, 80, 7)
    scores = (encode_images(view, images) @ prompt_directions(view, prompts).T).numpy()
    area = auroc_by_image(scores.astype(np.float64), truth).mean()
    assert area == pytest.approx(KEPT[part]["scores"]["raw score"]["auroc"], abs=0.06)
    assert kept_at(long_tail=long_tail).stat().st_size < 2**20


def weighted_auroc(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Share of pairs in the right order, one by one, where images have weights."""
    right, pairs = 0.0, 0.0
    for i, p in zip(*np.nonzero(truth), strict=True):
        for j, n in zip(*np.nonzero(~truth), strict=True):
            a, b = scores[i, p], scores[j, n]
            pairs += weights[i] * weights[j]
            right += weights[i] * weights[j] * (1.0 if a > b else 0.5 if a == b else 0.0)
    return right / pairs


def test_an_image_counts_in_the_auroc_as_a_little_more_of_it_does() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 5, (10, 4)).astype(np.float64)
    truth = generator.random((10, 4)) < 0.4
    once, step = np.ones(10), 1e-5
    values = auroc_by_image(scores, truth)
    area = weighted_auroc(scores, truth, once)
    assert values.mean() == pytest.approx(area)
    for image in range(10):
        more = weighted_auroc(scores, truth, once + step * (np.arange(10) == image))
        assert values[image] == pytest.approx(area + 10 * (more - area) / step, abs=1e-3)
