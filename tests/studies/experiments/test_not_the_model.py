"""Scores, best classes and accuracy of the re-run, beside the model written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import reference
import whyclip
from pictures import CLASSES
from whyclip.errors import OptionError
from whyclip.forward.readout import Heads
from whyclip.studies.claims import Finding
from whyclip.studies.experiments import ExperimentInput
from whyclip.studies.experiments.not_the_model import (
    NOTEBOOK_MODEL,
    NOTEBOOK_RERUN,
    not_the_model,
    verdicts,
)
from whyclip.studies.heads_and_geometry import add_scores
from whyclip.studies.measurements import Measurements


def rows_of(setting: ExperimentInput, **options: Any) -> dict[tuple[str, str], Any]:
    table: Any = not_the_model(setting, **options).sections[0]
    return {(row["heads"], row["geometry"]): row for row in table.rows}


def test_gap_ranks_and_accuracy_are_those_written_out(setting: ExperimentInput, plain: Any) -> None:
    bank = plain.texts(*(f"a photo of a {name}." for name in CLASSES)).double()
    gaps, same, right, lost = [], [], [], []
    for sample in setting.dataset:
        tokens = plain.tokens(sample.image)
        scores = []
        for single in (False, True):
            embedding, _ = reference.run(plain.image_tower, tokens, 0, last=1, single=single)
            scores.append([float(reference.cosine(embedding.detach(), text)) for text in bank])
        model_scores, rerun = scores
        truth = [CLASSES.index(label) for label in sample.labels]
        gaps += [abs(rerun[c] - model_scores[c]) for c in truth]
        best, best_own = int(np.argmax(rerun)), int(np.argmax(model_scores))
        same.append(float(best == best_own))
        right.append(float(best in truth))
        lost.append(float(best_own in truth) - float(best in truth))
    row = rows_of(setting)["single", "model"]
    assert row["gap"].mean == pytest.approx(np.mean(gaps), abs=1e-5)
    assert row["largest"] == pytest.approx(max(gaps), abs=1e-5)
    assert row["same_best"].mean == np.mean(same)
    assert row["right"].mean == np.mean(right)
    assert row["lost"].mean == pytest.approx(np.mean(lost))


def test_the_models_own_heads_and_geometry_are_the_model(setting: ExperimentInput) -> None:
    rows = rows_of(setting)
    assert rows["native", "model"]["largest"] < 1e-5
    assert rows["native", "model"]["ranks"].mean == pytest.approx(1)
    # The pictures are wider than high, so that keeping their proportions alone is a change.
    assert rows["native", "keep"]["gap"].mean > 1e-3
    assert rows["single", "keep"]["gap"].mean != rows["single", "model"]["gap"].mean


def test_the_notebooks_row_is_read_from_its_numbers(setting: ExperimentInput) -> None:
    row = rows_of(setting)["published notebook, 1 image: single", "keep"]
    assert row["largest"] == pytest.approx(0.3503 - 0.1715)
    assert row["gap"] == pytest.approx((0.0779 + 0.0349 + 0.0488 + 0.1788) / 4)
    assert row["ranks"] == pytest.approx(-0.8)
    assert np.argmax(NOTEBOOK_MODEL) == np.argmin(NOTEBOOK_RERUN) == 3


def planted(rows: Measurements, heads: Heads, shift: float, wrong: bool) -> None:
    """Sixty pictures with one true class of three; the re-run is shifted, or picks another."""
    for number in range(60):
        model_scores = torch.tensor([0.5, 0.2, 0.1 + 0.001 * number])
        explained = model_scores + shift
        other = explained.flip(0) if wrong else explained
        add_scores(rows, (heads, "model"), str(number), [0], model_scores, other)
        rows.add((heads, "model", "gap"), str(number), [float((model_scores - other)[0].abs())])


def test_verdicts_follow_planted_scores() -> None:
    def judged(single: tuple[float, bool], native: tuple[float, bool]) -> list[Finding]:
        rows = Measurements()
        planted(rows, "single", *single)
        planted(rows, "native", *native)
        return verdicts(rows, 1e-4)

    same, other = (0.0, False), (0.1, True)
    changed = judged(other, same)
    assert [v.verdict for v in changed] == ["pass"] * 4
    assert "1.000 [0.940, 1.000]" in changed[1].because  # 0.025 ** (1 / 60)
    # None of 60 pictures is classified worse, but a few others might be.
    expected = ["fail", "inconclusive", "fail", "fail"]
    assert [v.verdict for v in judged(same, other)] == expected
    # Another score that prefers the same classes.
    expected = ["pass", "inconclusive", "fail", "pass"]
    assert [v.verdict for v in judged((0.1, False), same)] == expected


def test_square_pictures_are_widened_by_their_edges() -> None:
    from PIL import Image

    from whyclip.studies.experiments.not_the_model import _widened

    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    wide = np.asarray(_widened(Image.fromarray(pixels)))
    assert wide.shape == (60, 80, 3)
    assert (wide[:, 10:70] == pixels).all()
    assert (wide[:, 0] == pixels[:, 0]).all()
    assert _widened(Image.new("RGB", (50, 60))).size == (50, 60)


def test_a_model_without_attention_is_refused(setting: ExperimentInput) -> None:
    opaque = replace(setting.model, classes=object())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="which not-the-model needs"):
        not_the_model(replace(setting, model=opaque))
    assert whyclip.ModelView is type(opaque)
