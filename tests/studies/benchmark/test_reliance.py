"""Reliance on a cue, against plain loops over pixels and patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import whyclip
from whyclip.models import ModelView
from whyclip.scenes.captions import phrase
from whyclip.selection import variants_of
from whyclip.studies.benchmark.reliance import ORACLE, measure_reliance, patch_weights
from whyclip.studies.family.planted import PlantedScenes
from whyclip.studies.family.recipe import Member, new_model

GRID, PATCH = 7, 16


@pytest.fixture(scope="module")
def model() -> ModelView:
    return new_model(Member("ordinary", 4))


@pytest.mark.parametrize("cue", ["badge", "written", "background"])
def test_reliance_and_relevance_are_those_of_single_runs(model: ModelView, cue: str) -> None:
    scenes = PlantedScenes(cue, 3, seed=2)
    reliance = measure_reliance(model, scenes, variants_of(["contribution"]))
    for index, sample in enumerate(scenes):
        prompt = phrase(scenes.cued(index))
        assert sample.interventions is not None
        [edit] = sample.interventions.images(["uncued"])
        with_cue = whyclip.explain(model, sample.image, prompt, method="contribution")
        without = whyclip.explain(model, edit.image, prompt, method="contribution")
        score, other = (float(ex.scores.flatten()[0]) for ex in (with_cue, without))
        assert reliance.scores[index] == pytest.approx(score, abs=1e-5)
        assert reliance.drops[index] == pytest.approx(score - other, abs=1e-5)
        relevance = torch.as_tensor(with_cue.maps).reshape(GRID, GRID)
        on_cue = everything = on_object = 0.0
        object_mask = (sample.masks or {}).get(scenes.cued(index), np.zeros((112, 112), bool))
        for row in range(GRID):
            for column in range(GRID):
                part = (
                    slice(row * PATCH, (row + 1) * PATCH),
                    slice(column * PATCH, (column + 1) * PATCH),
                )
                touched = edit.mask[part].mean()
                weight = touched if cue == "background" else float(touched > 0)
                on_cue += weight * float(relevance[row, column])
                everything += abs(float(relevance[row, column]))
                on_object += weight * float(object_mask[part].mean())
        assert reliance.raw["contribution"][index] == pytest.approx(on_cue, abs=1e-5)
        assert reliance.shares["contribution"][index] == pytest.approx(
            on_cue / everything, abs=1e-4
        )
        assert reliance.raw[ORACLE][index] == pytest.approx(on_object, abs=1e-5)


def test_a_small_cue_counts_whole_patches_and_a_background_its_share() -> None:
    mask = np.zeros((112, 112), bool)
    mask[15:18, 40:44] = True
    weights = patch_weights(mask, (GRID, GRID))
    assert weights.nonzero().tolist() == [[0, 2], [1, 2]]
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    wide = np.ones((112, 112), bool)
    wide[:8, :16] = False
    assert patch_weights(wide, (GRID, GRID))[0, :2].tolist() == [0.5, 1.0]
