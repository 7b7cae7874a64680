"""ImageNet and ImageNet-S in the layouts they are published in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import open_dataset
from whyclip.datasets.imagenet import ImageNet, synset_names
from whyclip.datasets.imagenet_s import ImageNetS
from whyclip.errors import ImageError, InputError

TENCH, GOLDFISH, MISSILE, PROJECTILE = "n01440764", "n01443537", "n03773504", "n04008634"


def picture(path: Path, colour: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), (colour, 9, 9)).save(path, "JPEG")
    return path


def test_the_classes_are_in_their_standard_order() -> None:
    synsets = list(synset_names())
    assert len(synsets) == 1000
    assert synsets == sorted(synsets)
    # From the published list of classes: number, synset, name.
    for number, synset, name in (
        (0, TENCH, "tench"),
        (281, "n02123045", "tabby cat"),
        (999, "n15075141", "toilet paper"),
    ):
        assert synsets[number] == synset
        assert synset_names()[synset] == name


def test_folders_by_synset(tmp_path: Path) -> None:
    picture(tmp_path / GOLDFISH / "ILSVRC2012_val_00000007.JPEG", 200)
    picture(tmp_path / TENCH / "ILSVRC2012_val_00000293.JPEG")
    picture(tmp_path / TENCH / "ILSVRC2012_val_00000002.JPEG")
    (tmp_path / TENCH / "notes.txt").write_text("no image")
    dataset = open_dataset(f"imagenet:{tmp_path}")
    assert [(sample.id[-3:], sample.labels) for sample in dataset] == [
        ("002", (TENCH,)),
        ("293", (TENCH,)),
        ("007", (GOLDFISH,)),
    ]
    assert dataset[2].prompts == ("a photo of a goldfish.",)
    assert dataset[2].masks is None
    assert dataset[2].image.getpixel((0, 0))[0] > 150
    assert [dataset.number_of(sample.labels[0]) for sample in dataset] == [0, 0, 1]
    assert dataset.names[1] == "goldfish"


def test_two_classes_of_one_name_stay_two(tmp_path: Path) -> None:
    picture(tmp_path / MISSILE / "a.JPEG")
    picture(tmp_path / PROJECTILE / "b.JPEG")
    dataset = ImageNet(tmp_path, template="{}")
    assert dataset[0].prompts == dataset[1].prompts == ("missile",)
    assert len(set(dataset.classes)) == 1000
    assert dataset.number_of(dataset[0].labels[0]) != dataset.number_of(dataset[1].labels[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val.txt", "one.JPEG 1\ntwo.JPEG 0\n\n"),
        ("val.txt", f"one.JPEG {GOLDFISH}\ntwo.JPEG {TENCH}\n"),
        (
            "LOC_val_solution.csv",
            f"ImageId,PredictionString\none,{GOLDFISH} 85 1 499 272 \n"
            f"two,{TENCH} 1 2 3 4 {TENCH} 5 6 7 8 \n",
        ),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_one_folder_with_a_list(name: str, text: str, beside: bool, tmp_path: Path) -> None:
    images = tmp_path / "val"
    picture(images / "one.JPEG", 200)
    picture(images / "two.JPEG")
    (tmp_path if beside else images).joinpath(name).write_text(text)
    dataset = ImageNet(images)
    assert [(sample.id, sample.labels) for sample in dataset] == [
        ("one", (GOLDFISH,)),
        ("two", (TENCH,)),
    ]
    assert dataset[0].image.getpixel((0, 0))[0] > 150


def test_what_imagenet_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val\.txt or LOC_val_solution\.csv"):
        ImageNet(tmp_path)
    labels = tmp_path / "truth.txt"
    for text in ("490\n361\n", "a.JPEG 1000\n", "a.JPEG -1\n", "a.JPEG cat\n", "a.JPEG 1 2\n"):
        labels.write_text(text)
        with pytest.raises(InputError, match=r"entry 1: .* development kit"):
            ImageNet(tmp_path, labels=labels)
    labels.write_text("")
    with pytest.raises(InputError, match="no images"):
        ImageNet(tmp_path, labels=labels)
    labels.write_text("gone.JPEG 5\n")
    with pytest.raises(ImageError, match=r"gone\.JPEG"):
        _ = ImageNet(tmp_path, labels=labels)[0].image
    (tmp_path / "n00000001").mkdir()
    with pytest.raises(InputError, match="n00000001"):
        ImageNet(tmp_path)


@pytest.fixture
def imagenet_s(tmp_path: Path) -> Path:
    """Three classes; ids by the order of synsets, whatever the order of the list."""
    root = tmp_path / "ImageNetS3"
    ids = np.array([[0, 1, 1, 1000], [2, 2, 3, 0]])
    for synset in (TENCH, MISSILE):
        picture(root / "validation" / synset / "ILSVRC2012_val_00000001.JPEG")
        file = root / "validation-segmentation" / synset / "ILSVRC2012_val_00000001.png"
        file.parent.mkdir(parents=True)
        pixels = np.stack([ids % 256, ids // 256, np.zeros_like(ids)], -1).astype(np.uint8)
        Image.fromarray(pixels).save(file)
    (tmp_path / "categories.txt").write_text(f"{MISSILE}\n{TENCH}\n{GOLDFISH}\n")
    return root


def test_segmentations_of_imagenet_s(imagenet_s: Path) -> None:
    dataset = ImageNetS(imagenet_s, categories=imagenet_s.parent / "categories.txt")
    assert dataset.classes == (TENCH, GOLDFISH, MISSILE)
    assert dataset.names == ("tench", "goldfish", "missile")
    first, second = dataset
    assert (first.labels, second.labels) == ((TENCH,), (MISSILE,))
    assert second.prompts == ("a photo of a missile.",)
    assert first.masks is not None
    assert set(first.masks) == {TENCH, GOLDFISH, MISSILE}
    assert first.masks[TENCH].tolist() == [[False, True, True, False], [False] * 4]
    assert first.masks[MISSILE].tolist() == [[False] * 4, [False, False, True, False]]
    assert first.ignored is not None
    assert first.ignored.tolist() == [[False, False, False, True], [False] * 4]


def test_ids_beyond_one_byte(tmp_path: Path) -> None:
    synsets = list(synset_names())[:300]
    for synset in synsets:
        (tmp_path / "validation" / synset).mkdir(parents=True)
    (tmp_path / "validation-segmentation" / synsets[-1]).mkdir(parents=True)
    picture(tmp_path / "validation" / synsets[-1] / "x.JPEG")
    pixels = np.array([[[300 % 256, 300 // 256, 0], [300 // 256, 300 % 256, 0]]], np.uint8)
    file = tmp_path / "validation-segmentation" / synsets[-1] / "x.png"
    Image.fromarray(pixels[:, :1]).save(file)
    sample = open_dataset(f"imagenet-s:{tmp_path}")[0]
    assert sample.masks is not None
    assert list(sample.masks) == [synsets[-1]]
    Image.fromarray(pixels).save(file)
    with pytest.raises(InputError, match=f"id {256 * 44 + 1}, but there are 300"):
        list(open_dataset(f"imagenet-s:{tmp_path}")[0].masks or ())


def test_what_imagenet_s_cannot_use(imagenet_s: Path) -> None:
    with pytest.raises(InputError, match="2 classes"):
        ImageNetS(imagenet_s)
    categories = imagenet_s.parent / "categories.txt"
    categories.write_text(f"{TENCH}\n{GOLDFISH}\n")
    with pytest.raises(InputError, match=f"folder '{MISSILE}'"):
        ImageNetS(imagenet_s, categories=categories)
    categories.write_text("tench\n")
    with pytest.raises(InputError, match="'tench'"):
        ImageNetS(imagenet_s, categories=categories)
    with pytest.raises(InputError, match="train-semi"):
        ImageNetS(imagenet_s, split="train-semi")
