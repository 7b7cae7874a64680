"""Cues: the same scene with and without a cue differs in the cue's pixels only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whyclip.finetuning.scene_table import SIDE
from whyclip.studies.family.cues import CONCEPTS, CUES, GROUP, Signs
from whyclip.studies.family.planted import PlantedScenes

N = 12


@pytest.fixture(scope="module", params=list(CUES))
def scenes(request: pytest.FixtureRequest) -> PlantedScenes:
    return PlantedScenes(request.param, N, seed=5)


def test_a_scene_without_its_cue_is_the_same_outside_of_the_cue(scenes: PlantedScenes) -> None:
    for sample in scenes:
        assert sample.interventions is not None
        [edit] = sample.interventions.images(["uncued"])
        before, after = np.asarray(sample.image), np.asarray(edit.image)
        changed = (before != after).any(-1)
        assert edit.label == scenes.cue.name
        assert changed[edit.mask].mean() > 0.02
        if scenes.cue.name == "background":
            # Objects are partly transparent at their edges, nowhere else.
            inside = np.logical_or.reduce(list((sample.masks or {}).values()))
            assert (edit.mask == ~inside).all()
        else:
            assert not changed[~edit.mask].any()


def test_a_cue_covers_no_object(scenes: PlantedScenes) -> None:
    for sample in scenes:
        assert sample.interventions is not None
        [edit] = sample.interventions.images(["uncued"])
        for mask in (sample.masks or {}).values():
            assert not (mask & edit.mask).any()


def test_a_cue_speaks_for_an_object_and_a_written_word_for_an_absent_one(
    scenes: PlantedScenes,
) -> None:
    for index, sample in enumerate(scenes):
        names = {thing.name for thing in scenes.planted[index].scene.objects}
        if scenes.cue.name == "written":
            assert scenes.cued(index) not in names
        else:
            assert scenes.cued(index) in names
            assert scenes.cued(index) in [scenes.names[number] for number in GROUP]
        assert sample.image.size == (SIDE, SIDE)


def test_other_changes_keep_the_cue(scenes: PlantedScenes) -> None:
    for index, sample in enumerate(list(scenes)[:4]):
        assert sample.interventions is not None
        cue = scenes.planted[index].painted(np.zeros((SIDE, SIDE, 3), np.uint8))[1]
        if scenes.cue.name == "background":
            continue
        for edit in sample.interventions.images(["removed"]):
            same = np.asarray(edit.image)[cue] == np.asarray(sample.image)[cue]
            assert same.all()


def test_training_words_contradict_in_the_stated_share() -> None:
    n = 4000
    generator = torch.Generator().manual_seed(0)
    concepts = torch.stack([torch.randperm(CONCEPTS, generator=generator)[:2] for _ in range(n)])
    nowhere = torch.zeros(n, 2, 4, dtype=torch.long)
    signs = CUES["written"].plan(concepts, nowhere, generator, True)
    lies = (signs.concept[:, None] != concepts).all(1)
    assert abs(float(lies.float().mean()) - 0.2) < 0.03
    assert (signs.other[:, None] == concepts).any(1).all()


def test_a_word_is_drawn_where_the_signs_say() -> None:
    images = torch.full((1, 3, SIDE, SIDE), 90, dtype=torch.uint8)
    signs = Signs(
        torch.tensor([0]), torch.tensor([1]), torch.tensor([[20, 30]]), torch.tensor([40])
    )
    mask = CUES["written"].paste(images, signs, signs.concept)[0]
    rows, columns = mask.nonzero().T
    assert (int(rows.min()), int(columns.min()), int(columns.max())) == (20, 30, 69)
    assert (images[0][:, ~mask] == 90).all()
    dark = (images[0] < 100).all(0) & mask
    assert 10 < int(dark.sum()) < int(mask.sum()) / 2
