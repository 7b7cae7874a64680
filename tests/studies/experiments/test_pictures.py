"""Samples of one picture count as one, whatever the experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import Pictures
from whyclip.datasets import Sample
from whyclip.datasets.folder import Folder
from whyclip.metrics import Interval
from whyclip.report import Table
from whyclip.studies.evaluation import evaluate
from whyclip.studies.experiments import ExperimentInput
from whyclip.studies.experiments.composition import composition
from whyclip.studies.experiments.equality import equality
from whyclip.studies.experiments.experiment import ExperimentResult
from whyclip.studies.experiments.linearity import linearity
from whyclip.studies.experiments.not_the_model import not_the_model
from whyclip.studies.experiments.shrunk import Resized


class Rows(Pictures):
    """Eight samples of two pictures, as of a CSV file with four rows for each."""

    def __len__(self) -> int:
        return 8

    def sample(self, index: int) -> Sample:
        sample = super().sample(index % 4)
        return replace(sample, id=f"row {index}", image_id=f"picture {index % 2}")


@pytest.mark.parametrize("run", [composition, linearity, not_the_model])
def test_intervals_are_over_pictures(
    setting: ExperimentInput, run: Callable[..., ExperimentResult]
) -> None:
    result = run(replace(setting, dataset=Rows()))
    tables = [section for section in result.sections if isinstance(section, Table)]
    cells = [cell for table in tables for row in table.rows for cell in row.values()]
    intervals = [cell for cell in cells if isinstance(cell, Interval)]
    assert {one.groups for one in intervals} == {2}
    assert max(one.n for one in intervals) >= len(Rows())
    assert {verdict.verdict for verdict in result.findings} == {"inconclusive"}


def test_many_rows_of_two_pictures_show_no_equality(setting: ExperimentInput) -> None:
    [verdict] = equality(replace(setting, dataset=Rows())).findings
    assert verdict.verdict == "inconclusive"
    assert "there are 2" in verdict.because


def test_a_shrunk_picture_is_still_the_same(setting: ExperimentInput, tmp_path: Path) -> None:
    lines = ["image,label"]
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (90, 80, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
        lines += [f"{number}.png,{label}" for label in ("dog", "cat", "tree", "boat")]
    (tmp_path / "index.csv").write_text("\n".join(lines))
    small = Resized(Folder(tmp_path), 40)
    assert small[0].image.size == (40, 45)
    result = evaluate(setting.model, small, ["raw_attention"], ["insertion"])
    value = result.interval("raw_attention", "insertion", "score")
    assert (value.n, value.groups) == (8, 2)
