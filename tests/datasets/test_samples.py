"""What all datasets share: numbers, slices, draws, lazy masks; and scenes as samples."""

from __future__ import annotations

import doctest
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import dataset_kinds, open_dataset
from whyclip.datasets.annotation_files import read_codes, read_mask
from whyclip.datasets.dataset import Masks, Sample, Subset, filled_in
from whyclip.datasets.scenes import SceneSamples
from whyclip.errors import InputError, OptionError
from whyclip.scenes import Scenes
from whyclip.scenes.sprites import load_atlas

MODULES = ("dataset", "scenes", "imagenet", "imagenet_s", "coco_masks", "coco", "load")


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(import_module(f"whyclip.datasets.{module}"))
    assert result.failed == 0
    assert result.attempted > 0


def test_scenes_as_samples() -> None:
    dataset, scenes = SceneSamples(6, seed=2, objects=(2, 4)), Scenes(6, seed=2, objects=(2, 4))
    assert len(list(dataset)) == len(dataset) == 6
    for sample, scene in zip(dataset, scenes, strict=True):
        assert sample.image.tobytes() == scene.image.tobytes()
        assert set(sample.labels) <= set(dataset.classes)
        assert sample.masks is not None
        assert list(sample.masks) == list(sample.labels)
        for thing in scene.objects:
            if thing.mask.any():
                assert sample.prompts[sample.labels.index(thing.name)] == thing.phrase
                np.testing.assert_array_equal(sample.masks[thing.name], thing.mask)
            else:
                assert thing.name not in sample.labels
        assert sample.ignored is None
    assert len({sample.id for sample in dataset}) == 6


def test_samples_by_number_and_slice() -> None:
    dataset = SceneSamples(5)
    assert dataset[-1].id == dataset[4].id == dataset[3:][1].id
    assert [sample.id for sample in dataset[::2]] == [dataset[i].id for i in (0, 2, 4)]
    with pytest.raises(IndexError, match="5 of 5"):
        dataset[5]
    assert dataset.classes[dataset.number_of(dataset[0].labels[0])] == dataset[0].labels[0]
    with pytest.raises(InputError, match="'unicycle'"):
        dataset.number_of("unicycle")


def test_draws_are_distinct_in_order_and_the_seed_s() -> None:
    dataset = SceneSamples(40)
    drawn = Subset(dataset, 10, seed=1)
    assert len(drawn) == len(set(drawn.numbers)) == 10
    assert drawn.numbers == sorted(drawn.numbers) == Subset(dataset, 10, seed=1).numbers
    assert drawn.numbers != Subset(dataset, 10, seed=2).numbers
    assert set(drawn.numbers) <= set(Subset(dataset, 20, seed=1).numbers), (
        "more is the same and more"
    )
    assert drawn[3].id == dataset[drawn.numbers[3]].id
    assert len(Subset(dataset, 100)) == 40
    assert drawn.classes == dataset.classes
    with pytest.raises(InputError, match="limit=0"):
        Subset(dataset, 0)


def test_masks_are_decoded_once_and_only_when_looked_at() -> None:
    decoded = []
    masks = Masks(lambda: decoded.append(1) or {"a": np.ones((1, 1), bool)})
    assert not decoded
    assert "a" in masks
    assert len(masks) == 1
    assert masks["a"].all()
    assert decoded == [1]


def test_a_sample_says_of_which_picture_it_is() -> None:
    small = Image.new("RGB", (2, 2))
    first, second = (Sample(f"a#{i}", Path("a.png"), ("dog",), ("a dog",)) for i in (0, 1))
    assert first.image_id == second.image_id == "a.png"
    assert replace(first, source=small).image_id == "a.png", "made smaller, it is still the same"
    one, other = (Sample(f"a#{i}", small, ("dog",), ("a dog",)) for i in (0, 1))
    assert (one.image_id, other.image_id) == ("a#0", "a#1")
    assert replace(one, image_id="a").image_id == "a"


def test_datasets_open_by_name() -> None:
    assert len(open_dataset("scenes")) == 200
    scenes = open_dataset("scenes:30:4", limit=3)
    assert len(scenes) == 3
    assert 4_000_000 <= int(scenes[0].id.split("-")[1]) < 4_000_030
    assert [len(sample.labels) for sample in open_dataset("scenes:6:0:1")] == [1] * 6
    assert {
        "scenes",
        "held-out-scenes",
        "imagenet",
        "imagenet-s",
        "coco",
        "coco-panoptic",
        "folder",
        "hf",
    } <= set(dataset_kinds())
    unseen = open_dataset("held-out-scenes:20:0:2")
    atlas, usual = load_atlas(), open_dataset("scenes:20:0:2")
    for dataset, held_out in ((unseen, True), (usual, False)):
        for scene in dataset.scenes:
            for thing in scene.objects:
                pair = atlas.names.index(thing.name), atlas.styles.index(thing.style)
                assert atlas.held_out[pair] == held_out
    assert not {s.id for s in unseen} & {s.id for s in usual}
    with pytest.raises(OptionError, match="imagenet:FOLDER"):
        open_dataset("imagnet:FOLDER")
    with pytest.raises(InputError, match="scenes:many"):
        open_dataset("scenes:many")
    with pytest.raises(InputError, match="number of objects"):
        open_dataset("scenes:9:0:1:1")


@pytest.mark.parametrize(
    "name", ["imagenet", "imagenet-s", "coco", "coco-panoptic", "folder", "hf"]
)
def test_what_is_not_there_is_not_fetched(name: str, tmp_path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        open_dataset(f"{name}:{tmp_path / 'nowhere'}")


def test_templates_have_a_place_for_the_name() -> None:
    assert filled_in("{} and {}", ["a", "{b}"]) == ("a and a", "{b} and {b}")
    with pytest.raises(InputError, match="'a photo'"):
        filled_in("a photo", ["dog"])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_masks_of_every_mode(mode: str, tmp_path) -> None:
    truth = np.array([[True, False, True], [False, False, True]])
    image = Image.fromarray(truth.astype(np.uint8) * 7)
    if mode == "P":
        image.putpalette([9, 9, 9] * 256)
    elif mode == "1":
        image = Image.fromarray(truth)
    elif mode == "I;16":
        image = Image.fromarray(truth.astype(np.uint16) * 256)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), truth)


def test_masks_that_cannot_be_read(tmp_path) -> None:
    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"mask\.png"):
        read_codes(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"no file .*other\.png"):
        read_mask(tmp_path / "other.png")
