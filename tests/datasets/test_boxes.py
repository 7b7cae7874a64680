"""A CSV file of boxes, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import open_dataset
from whyclip.datasets.boxes import Boxes
from whyclip.errors import InputError

HEADER = "image,left,top,right,bottom,label\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / "images" / "one.png")
    turned = Image.new("RGB", (40, 30), "blue")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path


def boxes(folder: Path, rows: str, header: str = HEADER) -> Path:
    file = folder / "boxes.csv"
    file.write_text(header + rows)
    return file


def test_images_with_all_of_their_boxes(folder: Path) -> None:
    file = boxes(
        folder,
        "images/one.png,0,0,10,10,dog\nturned.jpg,5,30,30,40,cat\n"
        "images/one.png,20.5,4,40.4,12,dog\nimages/one.png,1,2,3,4,cat\n",
    )
    dataset = open_dataset(f"boxes:{file}")
    assert isinstance(dataset, Boxes)
    assert dataset.classes == ("cat", "dog")
    first, second = dataset
    assert first.labels == ("dog", "cat")
    assert first.masks is not None
    expected = np.zeros((30, 40), bool)
    expected[0:10, 0:10], expected[4:12, 20:40] = True, True
    np.testing.assert_array_equal(first.masks["dog"], expected)
    # Upright, this image is 30 pixels wide and 40 high.
    assert second.image.size == (30, 40)
    assert second.masks is not None
    assert second.masks["cat"].shape == (40, 30)
    assert dataset.items[0][1][1].right == 40, "an edge up to a pixel outside is clipped"
    assert dataset.prompt_of("cat") == "a photo of a cat."


def test_other_boxes_are_another_state(folder: Path) -> None:
    before = Boxes(boxes(folder, "images/one.png,0,0,10,10,dog\n")).state_of(0)
    assert Boxes(boxes(folder, "images/one.png,0,0,10,10,dog\n")).state_of(0) == before
    assert Boxes(boxes(folder, "images/one.png,0,0,11,10,dog\n")).state_of(0) != before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("images/one.png,9,0,9,10,dog\n", r"line 2: box \(9, 0, 9, 10\) is empty"),
        ("images/one.png,9,5,19,3,dog\n", "is empty; give left < right and top < bottom"),
        ("images/one.png,0,0,10,35,dog\n", r"\(0, 0, 10, 35\) lies outside its image of 40x30"),
        ("images/one.png,-4,0,10,9,dog\n", "lies outside"),
        ("images/one.png,40,0,40.5,9,dog\n", "lies outside"),
        ("turned.jpg,0,0,40,30,dog\n", "outside its image of 30x40 pixels"),
        ("images/one.png,a,0,10,9,dog\n", r"box \(a, 0, 10, 9\) is not four numbers"),
        ("images/one.png,nan,0,10,9,dog\n", "is not four numbers"),
        ("images/one.png,0,0,10\n", r"line 2: give an image and a label"),
        ("images/one.png,0,0,10,,dog\n", r"\(0, 0, 10, \) is not four numbers"),
        (",0,0,10,9,dog\n", "give an image and a label"),
        ("../one.png,0,0,10,9,dog\n", r"names '../one.png', outside its folder.*--outside"),
        ("", "no row below its header"),
    ],
)
def test_rows_that_cannot_be(folder: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Boxes(boxes(folder, rows))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image,x,y,w,h,label\n", r"has unknown columns \['h', 'w', 'x', 'y'\]; give a CSV"),
        ("image,left,top,right,bottom,label,score\n", r"unknown columns \['score'\]"),
        ("image,left,top,right,bottom\n", r"missing or repeated columns \['label'\]"),
        ("", "missing"),
    ],
)
def test_columns_that_cannot_be(folder: Path, header: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Boxes(boxes(folder, "", header))


def test_files_outside_where_allowed(folder: Path) -> None:
    (folder / "tables").mkdir()
    file = boxes(folder / "tables", "../images/one.png,0,0,10,10,dog\n")
    with pytest.raises(InputError, match="outside its folder"):
        open_dataset(f"boxes:{file}")
    assert len(open_dataset(f"boxes:{file}", outside=True)) == 1


def test_missing_files_are_found_when_they_are_read(folder: Path) -> None:
    dataset = Boxes(boxes(folder, "gone.png,0,0,10,10,dog\n"))
    with pytest.raises(InputError, match=r"gone\.png"):
        _ = dataset[0].image
