"""A CSV file of one's own images, and folders of the datasets library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import open_dataset
from whyclip.datasets.dataset import Subset
from whyclip.datasets.folder import Folder
from whyclip.datasets.huggingface import HfDataset
from whyclip.errors import InputError

MASK = np.zeros((5, 6), np.uint8)
MASK[1:3, 2:5] = 255


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (6, 5), "red").save(tmp_path / "images" / "one.png")
    Image.new("RGB", (6, 5), "blue").save(tmp_path / "two.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    return tmp_path


def test_rows_are_samples(folder: Path) -> None:
    (folder / "index.csv").write_text(
        "image,label,prompt,mask,remark\n"
        'images/one.png,dog,"a dog, asleep",mask.png,x\n'
        "images/one.png,cat,,,\n"
        "\n"
        "two.png,dog\n",
        encoding="utf-8-sig",
    )
    for spec in (folder, folder / "index.csv"):
        dataset = open_dataset(f"folder:{spec}")
        assert dataset.classes == ("dog", "cat")
        assert [sample.prompts for sample in dataset] == [
            ("a dog, asleep",),
            ("a photo of a cat.",),
            ("a photo of a dog.",),
        ]
        assert [sample.labels for sample in dataset] == [("dog",), ("cat",), ("dog",)]
        assert len({sample.id for sample in dataset}) == 3
        first, second, third = dataset
        assert first.masks is not None
        np.testing.assert_array_equal(first.masks["dog"], MASK > 0)
        assert second.masks is None
        assert third.image.getpixel((0, 0)) == (0, 0, 255)


def test_prompts_alone_are_their_own_classes(folder: Path) -> None:
    (folder / "my.csv").write_text("prompt,image\na red wall,images/one.png\n")
    (sample,) = dataset = Folder(folder / "my.csv")
    assert dataset.classes == sample.labels == sample.prompts == ("a red wall",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image\none.png\n", "columns image, label and/or prompt"),
        ("path,label\none.png,dog\n", r"\['label', 'path'\]"),
        ("image,label\n", "no row"),
        ("", "columns"),
        ("image,label\none.png,dog\n,dog\n", "line 3"),
        ("image,label,prompt\none.png,,\n", "line 2"),
    ],
)
def test_what_a_csv_must_have(text: str, message: str, folder: Path) -> None:
    (folder / "index.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        Folder(folder)


def test_a_mask_that_is_missing_is_said_when_it_is_looked_at(folder: Path) -> None:
    (folder / "index.csv").write_text("image,label,mask\ntwo.png,dog,gone.png\n")
    sample = Folder(folder)[0]
    assert sample.masks is not None
    with pytest.raises(InputError, match=r"gone\.png"):
        sample.masks["dog"]


def test_masks_are_known_of_wherever_they_begin(folder: Path) -> None:
    rows = ["two.png,dog,"] * 60
    (folder / "index.csv").write_text("\n".join(["image,label,mask", *rows]))
    assert not Folder(folder).has_masks()
    (folder / "index.csv").write_text("\n".join(["image,label,mask", *rows, "two.png,dog,m.png"]))
    assert Folder(folder).has_masks()
    drawn = Subset(Folder(folder), 5)
    assert 60 not in drawn.numbers
    assert drawn.has_masks(), "of the whole dataset, whatever was drawn"


def test_the_datasets_library(tmp_path: Path) -> None:
    import datasets as library

    images = [Image.new("RGB", (6, 5), colour) for colour in ("red", "blue")]
    coded = library.ClassLabel(names=["cat", "dog"])
    rows = library.Dataset.from_dict(
        {"image": images, "label": [1, 0], "mask": [Image.fromarray(MASK)] * 2,
         "caption": ["a dog asleep", "two cats"], "tags": [[0, 1], [0]]},
        features=library.Features(
            {"image": library.Image(), "label": coded, "mask": library.Image(),
             "caption": library.Value("string"), "tags": library.List(coded)}
        ),
    )  # fmt: skip
    library.DatasetDict({"validation": rows}).save_to_disk(tmp_path / "saved")
    dataset = open_dataset(f"hf:{tmp_path / 'saved'}#validation")
    assert dataset.classes == ("cat", "dog")
    assert [(s.labels, s.prompts) for s in dataset] == [
        (("dog",), ("a photo of a dog.",)),
        (("cat",), ("a photo of a cat.",)),
    ]
    assert dataset[1].image.getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(InputError, match="splits validation"):
        open_dataset(f"hf:{tmp_path / 'saved'}")
    with pytest.raises(InputError, match="save_to_disk"):
        open_dataset(f"hf:{tmp_path}")

    captioned = HfDataset(rows, label="caption", mask="mask")
    assert captioned[0].labels == captioned[0].prompts == ("a dog asleep",)
    assert captioned[0].masks is not None
    np.testing.assert_array_equal(captioned[0].masks["a dog asleep"], MASK > 0)
    assert HfDataset(rows, label="tags")[0].labels == ("cat", "dog")
    with pytest.raises(InputError, match="no column 'text'; the dataset has image"):
        HfDataset(rows, label="text")
    with pytest.raises(InputError, match="IterableDataset"):
        HfDataset(rows.to_iterable_dataset())
    unlabelled = rows.remove_columns("label").add_column("label", [-1, -1])
    with pytest.raises(InputError, match="row 0 has no label"):
        HfDataset(unlabelled.cast_column("label", coded))[0]
    with pytest.raises(InputError, match="str, not images"):
        HfDataset(rows, image="caption")[0]


def test_masks_of_the_datasets_library_may_be_transparent_or_missing() -> None:
    import datasets as library

    # Opaque everywhere, and so nowhere 0 if transparency counted.
    drawn = [Image.fromarray(MASK).convert(mode) for mode in ("L", "LA", "RGB", "RGBA")]
    rows = library.Dataset.from_dict(
        {"image": [Image.new("RGB", (6, 5))] * 5, "label": ["dog"] * 5, "mask": [None, *drawn]},
        features=library.Features(
            {"image": library.Image(), "label": library.Value("string"), "mask": library.Image()}
        ),
    )  # fmt: skip
    dataset = HfDataset(rows, mask="mask")
    first, *others = dataset
    assert first.masks is None
    for sample in others:
        assert sample.masks is not None
        np.testing.assert_array_equal(sample.masks["dog"], MASK > 0)
    assert dataset.has_masks()
    assert not HfDataset(rows).has_masks()
