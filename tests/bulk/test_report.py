"""The dataset report: numbers by plain loops, planted clusters, and a page without network."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import whyclip
from bulk_runs import PROMPTS, image_folder, rows, run, view
from whyclip.bulk.clusters import chance, find_clusters, lone_peaks, peaks_at, reduced
from whyclip.bulk.report import report_of, save_report
from whyclip.bulk.statistics import corners, half_area, ring, statistics
from whyclip.errors import OutputError

SIDE = 14
SEEDS = range(5)


def blob(row: float, column: float, width: float) -> np.ndarray:
    steps = np.arange(SIDE)
    away = (steps[:, None] - row) ** 2 + (steps[None] - column) ** 2
    values = np.exp(-away / (2 * width**2))
    return values / values.sum()


def object_maps(seed: int, count: int = 200, badged: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Synthetic maps with a known truth: an object at a random place, noise, maybe a badge.

    The badge is at one place, and takes .4 to .9 of the relevance.
    """
    rng = np.random.default_rng(seed)
    maps, truth = [], rng.permutation(count) < badged * count
    for has_badge in truth:
        noise = rng.exponential(1, (SIDE, SIDE))
        values = 0.8 * blob(*rng.uniform(2, SIDE - 3, 2), rng.uniform(1, 2.5))
        values += 0.2 * noise / noise.sum()
        if has_badge:
            share = rng.uniform(0.4, 0.9)
            values = share * blob(1, 12, 1) + (1 - share) * values
        maps.append(rng.uniform(0.5, 2) * values)
    return np.stack(maps), truth


@pytest.mark.parametrize("seed", SEEDS)
def test_a_planted_badge_is_found(seed: int) -> None:
    maps, truth = object_maps(seed, badged=0.1)
    [cluster] = find_clusters(maps)
    members = np.zeros(len(maps), bool)
    members[list(cluster.members)] = True
    assert (members & truth).sum() >= 0.9 * members.sum()
    assert (members & truth).sum() >= 0.9 * truth.sum()
    assert cluster.place == (1, 12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_badge_beside_the_object_is_found(seed: int) -> None:
    """The badge never has most of the relevance, so that no map peaks there."""
    rng = np.random.default_rng(seed)
    objects = [blob(*rng.uniform(2, 9, 2), rng.uniform(1, 2)) for _ in range(200)]
    maps = np.stack(objects) + 0.1 * rng.dirichlet(np.ones(SIDE**2), 200).reshape(200, SIDE, SIDE)
    truth = rng.permutation(200) < 24
    for number in truth.nonzero()[0]:
        share = rng.uniform(0.15, 0.25)
        maps[number] *= (1 - share) / maps[number].sum()
        maps[number, 12:, 12:] += share / 4 * np.array([[1.1, 1], [1, 0.9]])
    peaks = np.stack(np.unravel_index(maps.reshape(200, -1).argmax(1), (SIDE, SIDE)), 1)
    assert ((peaks[truth] >= 12).all(1)).mean() < 0.9
    [cluster] = find_clusters(maps)
    members = np.isin(np.arange(200), cluster.members)
    assert (members & truth).sum() >= 0.9 * members.sum()
    assert (members & truth).sum() >= 0.9 * truth.sum()
    assert cluster.place == (12, 12)


def test_lone_peaks_stand_out_of_their_neighbours() -> None:
    rng = np.random.default_rng(3)
    small = reduced(rng.exponential(1, (200, 7, 7)) ** 4)
    result = lone_peaks(small)
    for n, row, column in np.ndindex(*small.shape):
        around = [
            small[n, row + y, column + x]
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
            if (y or x) and 0 <= row + y < 7 and 0 <= column + x < 7
        ]
        value = small[n, row, column]
        lone = value >= 0.1 and value > max(around) and np.mean(around) <= 0.2 * value
        assert result[n, row, column] == lone
    assert 0 < result.mean() < 0.5


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_claimed_where_nothing_is_planted(seed: int) -> None:
    assert find_clusters(object_maps(seed)[0]) == []


def test_no_cluster_of_central_objects_or_few_maps_or_empty_ones() -> None:
    rng = np.random.default_rng(0)
    central = [blob(*rng.normal(SIDE / 2, 2, 2), 1.5) for _ in range(200)]
    assert find_clusters(np.stack(central)) == []
    assert find_clusters(object_maps(0, 20, badged=0.5)[0]) == []
    assert find_clusters(np.zeros((200, SIDE, SIDE))) == []


def test_reduced_maps_hold_the_relevance_of_their_cells() -> None:
    maps = np.random.default_rng(0).normal(size=(3, SIDE, SIDE))
    for small, values in zip(reduced(maps), maps, strict=True):
        positive = values.clip(0)
        for r in range(7):
            for c in range(7):
                cell = positive[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].sum() / positive.sum()
                assert small[r, c] == pytest.approx(cell, abs=1e-6)


def test_chance_is_the_tail_of_a_poisson_distribution() -> None:
    for count, expected in ((3, 0.9), (20, 0.9), (1, 5.0), (8, 7.5)):
        terms = [math.exp(-expected) * expected**k / math.factorial(k) for k in range(count, 120)]
        assert chance(count, expected) == pytest.approx(sum(terms), rel=1e-6)


def test_expected_peaks_are_counted_around() -> None:
    peaks = np.array([[5, 5]] * 6 + [[5, 6], [7, 7], [4, 4], [8, 5], [0, 0]])
    count, expected = peaks_at(peaks, (5, 5), (SIDE, SIDE))
    # Three peaks lie in the 24 patches around; (8, 5) and (0, 0) lie outside.
    assert (count, expected) == (6, pytest.approx(3 / 24))


def test_areas() -> None:
    assert ring((4, 5)).sum() == 14
    assert corners((8, 8)).sum() == 4 * 4
    assert half_area(np.array([[4.0, 1.0], [2.0, 1.0]])) == 1 / 4
    assert half_area(np.ones((2, 5))) == 1 / 2


def test_statistics_by_plain_loops(tmp_path: Path) -> None:
    result = run(
        image_folder(tmp_path / "images"), tmp_path / "out", method="grad_eclip:relu=false"
    )
    numbers = statistics(result)
    assert (numbers.images, numbers.errors, numbers.distinct) == (14, 1, 2)
    assert [entry.prompt for entry in numbers.prompts] == PROMPTS
    for entry in numbers.prompts:
        prompt_rows = [row for row in rows(result) if row["prompt"] == entry.prompt]
        assert entry.scores == [row["score"] for row in prompt_rows]
        maps = [np.array(row["map"]).reshape(row["grid"]) for row in prompt_rows]
        scaled = np.stack([values / np.abs(values).max() for values in maps])
        np.testing.assert_allclose(entry.mean, scaled.mean(0), atol=1e-6)
        np.testing.assert_allclose(entry.spread, scaled.std(0), atol=1e-6)
        borders = []
        for values in maps:
            total = values.clip(0).sum()
            inner = values[1:-1, 1:-1].clip(0).sum()
            borders += [(total - inner) / total] if total > 0 else []
        assert entry.border == pytest.approx(borders)
    words = {word: (count, mean) for word, count, mean in numbers.words}
    relevance = [
        w["relevance"] for row in rows(result) for w in row["words"] or () if w["word"] == "dog"
    ]
    assert words["dog"] == (len(relevance), pytest.approx(np.mean(relevance)))


def test_the_page_needs_no_network_and_runs_its_own_script_only(tmp_path: Path) -> None:
    run(image_folder(tmp_path / "images"), tmp_path / "out")
    text = save_report(tmp_path / "out").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    [policy] = re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', text)
    scripts = set(re.findall(r"<script>(.*?)</script>", text, re.S))
    assert len(scripts) == 1
    digest = b64encode(sha256(scripts.pop().encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    # 13 readable images for each of two prompts, sorted by score within each.
    for gallery in re.findall(r'class="gallery".*?</figure>', text, re.S):
        scores = [float(score) for score in re.findall(r'data-score="([^"]*)"', gallery)]
        assert len(scores) == 13
        assert scores == sorted(scores, reverse=True)
    assert "No such cluster was found" in text


def test_a_planted_place_is_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of synthetic maps, written where a run's own would be."""
    from whyclip.bulk import report

    result = run(image_folder(tmp_path / "images"), tmp_path / "out")
    maps, _ = object_maps(0, badged=0.1)
    numbers = statistics(result)
    entry = numbers.prompts[0]
    entry.maps, entry.kept = list(maps), [0] * len(maps)
    monkeypatch.setattr(report, "statistics", lambda *_: numbers)
    page = report_of(result).page()
    assert f"{PROMPTS[0]}: cluster 1" in page
    assert f"{PROMPTS[1]}: cluster" not in page


def test_a_run_without_explanations_has_no_report(tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images", 1, broken=0)
    whyclip.explain_bulk(view(), str(images), PROMPTS, out=tmp_path / "out", workers=0)
    with pytest.raises(OutputError, match="no explained image"):
        save_report(tmp_path / "out")
