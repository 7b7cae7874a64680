"""95 % intervals contain the true mean often enough, in the simulations of benchmarks.coverage."""

from __future__ import annotations

import json
import math

import pytest
from benchmarks.coverage import (
    BOUNDED,
    CELLS,
    IMAGES,
    LEAST,
    REPETITIONS,
    RESULT,
    Cell,
    measured,
    milliseconds,
)
from benchmarks.coverage_models import LEAST_MODELS, MODEL_CELLS, ModelCell
from benchmarks.coverage_models import measured as measured_over_models

from whyclip.stats.verdict import MIN_GROUPS

QUICK = 300
# Those that earlier intervals failed by most.
CRITICAL = (
    "mean, log-normal",
    "mean, near 1, 70 % ties",
    "clustered, log-normal",
    "clustered, larger with size",
    "paired, log-normal",
    "contrast, log-normal between images",
    "contrast, hits 0.95 and 0.8",
    "rare, −1 in 2 %",
    "rare, −1 in 10 %",
    "rare, clustered −1 in 5 %",
    "rare, 0 to 0.1 in 10 %",
    "share, 0.0278",
    "share, 0.9, clustered (0.9)",
)
BY_TITLE = {cell.title: cell for cell in CELLS}


def least(repetitions: int) -> float:
    """Three standard errors below 0.93: a true coverage of 0.93 fails once in 700 cells."""
    return LEAST - 3 * math.sqrt(LEAST * (1 - LEAST) / repetitions)


@pytest.mark.parametrize("title", CRITICAL)
@pytest.mark.parametrize("images", [MIN_GROUPS, 40])
def test_critical_cells_are_covered(title: str, images: int) -> None:
    cell = BY_TITLE[title]
    # Both sides of a contrast need enough images.
    result = measured(cell, images * (3 if cell.kind == "contrast" else 1), QUICK)
    assert result["coverage"] >= least(QUICK)
    assert cell.rare or result["bounded"] >= BOUNDED


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.title)
def test_every_cell_is_covered(cell: Cell) -> None:
    for images in IMAGES:
        result = measured(cell, images, REPETITIONS)
        assert result["coverage"] >= LEAST, (images, result)


@pytest.mark.parametrize("cell", MODEL_CELLS, ids=lambda cell: cell.title)
def test_intervals_over_models_are_covered(cell: ModelCell) -> None:
    for models, result in measured_over_models(cell, QUICK).items():
        if int(models) >= LEAST_MODELS and not cell.skewed_models:
            assert result["coverage"] >= least(QUICK), models
            assert result["bounded"] == 1


@pytest.mark.parametrize(("images", "times"), [(MIN_GROUPS, 1.4), (100, 1.15)])
def test_normal_values_have_intervals_hardly_wider_than_they_must_be(
    images: int, times: float
) -> None:
    width = measured(BY_TITLE["mean, normal"], images, QUICK)["width"]
    assert width <= times * 2 * 1.96 / math.sqrt(images)


def test_an_interval_of_100_images_takes_20_milliseconds_at_most() -> None:
    assert min(milliseconds(repetitions=5) for _ in range(3)) <= 20


def test_the_kept_result_meets_the_criteria() -> None:
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    assert kept["repetitions"] == REPETITIONS
    assert set(kept["cells"]) == set(BY_TITLE)
    for title, row in kept["cells"].items():
        assert set(map(int, row)) == set(IMAGES)
        for numbers in row.values():
            assert numbers["coverage"] >= LEAST, title
            enough = BY_TITLE[title].rare or BY_TITLE[title].kind == "contrast"
            assert enough or numbers["bounded"] >= BOUNDED, title
    for cell in MODEL_CELLS:
        for models, numbers in kept["cells over models"][cell.title].items():
            if int(models) >= LEAST_MODELS and not cell.skewed_models:
                assert numbers["coverage"] >= LEAST, cell.title
