"""Where regions come from: COCO's segments, scenes, boxes, masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny
import whyclip
from whyclip.datasets import open_dataset
from whyclip.errors import InputError
from whyclip.regions import classify_regions, region_image

# Segments as the PNG paints them, (id, category, left, top, right, bottom, crowd).
SEGMENTS = [
    (3_937_500, 199, 0, 0, 60, 20, 0),
    (300, 18, 5, 22, 20, 40, 0),
    (70_001, 18, 30, 22, 50, 45, 0),
    (9_000_000, 1, 52, 24, 60, 44, 1),
    (41, 1, 22, 42, 28, 48, 0),
]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """One image of 60 by 50 pixels with a wall, two dogs, a crowd and a tiny person."""
    (tmp_path / "val2017").mkdir()
    pngs = tmp_path / "annotations" / "panoptic_val2017"
    pngs.mkdir(parents=True)
    Image.new("RGB", (60, 50), "green").save(tmp_path / "val2017" / "000000000007.jpg")
    pixels = np.zeros((50, 60, 3), np.uint8)
    infos = []
    for number, category, left, top, right, bottom, crowd in SEGMENTS:
        pixels[top:bottom, left:right] = number % 256, number // 256 % 256, number // 65536
        box = [left, top, right - left, bottom - top]
        infos.append(
            {"id": number, "category_id": category, "iscrowd": crowd, "bbox": box,
             "area": box[2] * box[3]}
        )  # fmt: skip
    Image.fromarray(pixels).save(pngs / "000000000007.png")
    write(tmp_path, infos)
    return tmp_path


def write(root: Path, infos: list[dict[str, Any]]) -> None:
    content = {
        "images": [{"id": 7, "file_name": "000000000007.jpg", "width": 60, "height": 50}],
        "annotations": [
            {"image_id": 7, "file_name": "000000000007.png", "segments_info": infos}
        ],
        "categories": [
            {"supercategory": "person", "isthing": 1, "id": 1, "name": "person"},
            {"supercategory": "animal", "isthing": 1, "id": 18, "name": "dog"},
            {"supercategory": "wall", "isthing": 0, "id": 199, "name": "wall-other-merged"},
        ],
    }  # fmt: skip
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content))


def infos_of(root: Path) -> list[dict[str, Any]]:
    content = json.loads((root / "annotations" / "panoptic_val2017.json").read_text())
    return content["annotations"][0]["segments_info"]


def test_segments_of_panoptic(coco: Path) -> None:
    result = region_image(open_dataset(f"coco-panoptic:{coco}"), 0)
    assert result.id == "7"
    assert result.image.size == (60, 50)
    assert [(one.label, one.kind) for one in result.regions] == [
        ("wall-other-merged", "stuff"),
        ("dog", "thing"),
        ("dog", "thing"),
    ]
    for region, (_, _, left, top, right, bottom, _) in zip(result.regions, SEGMENTS, strict=False):
        assert region.box == (left, top, right, bottom)
        expected = np.zeros((50, 60), bool)
        expected[top:bottom, left:right] = True
        np.testing.assert_array_equal(region.mask, expected)
    # The person has 6 by 6 pixels; boxes of 8 by 8 count.
    assert result.left_out == {"crowd": 1, "box below 8×8 pixels": 1}


def test_a_box_is_the_one_of_the_file(coco: Path) -> None:
    infos = infos_of(coco)
    infos[1]["bbox"] = [4, 21, 17, 20]
    del infos[2]["bbox"]
    write(coco, infos)
    regions = region_image(open_dataset(f"coco-panoptic:{coco}"), 0).regions
    assert regions[1].box == (4, 21, 21, 41)
    assert regions[2].box == (30, 22, 50, 45), "without a bbox: around the mask"


def test_segments_of_which_no_pixel_is_there(coco: Path) -> None:
    infos = infos_of(coco)
    infos[1]["id"] = 5
    write(coco, infos)
    result = region_image(open_dataset(f"coco-panoptic:{coco}"), 0)
    assert len(result.regions) == 2
    assert result.left_out["empty mask"] == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"category_id": 5}, "unknown category"),
        ({"bbox": "wide"}, "bbox 'wide'"),
        ({"bbox": [1, 2, 3]}, "give 4 numbers"),
    ],
)
def test_segments_that_cannot_be(coco: Path, changed: Any, message: str) -> None:
    infos = infos_of(coco)
    infos[1] |= changed
    write(coco, infos)
    with pytest.raises(InputError, match=message):
        region_image(open_dataset(f"coco-panoptic:{coco}"), 0)


def test_a_png_of_another_size(coco: Path) -> None:
    png = coco / "annotations" / "panoptic_val2017" / "000000000007.png"
    with Image.open(png) as image:
        image.resize((30, 25), Image.Resampling.NEAREST).save(png)
    with pytest.raises(InputError, match=r"the mask of 7 has 30x25 pixels and its image 60x50"):
        region_image(open_dataset(f"coco-panoptic:{coco}"), 0)


def test_instances_are_single_regions(coco: Path) -> None:
    def square(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
        return [[left, top, right, top, right, bottom, left, bottom]]

    annotations = [
        {"id": i, "image_id": 7, "category_id": 18, "iscrowd": 0, "area": 9,
         "segmentation": square(left, 4, left + 10, 14), "bbox": [left, 4, 10, 10]}
        for i, left in enumerate((2, 20))
    ]  # fmt: skip
    content = {
        "images": [{"id": 7, "file_name": "000000000007.jpg", "width": 60, "height": 50}],
        "annotations": annotations,
        "categories": [{"id": 18, "name": "dog"}],
    }
    (coco / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    regions = region_image(open_dataset(f"coco:{coco}"), 0).regions
    assert [one.box for one in regions] == [(2, 4, 12, 14), (20, 4, 30, 14)]
    assert [one.kind for one in regions] == ["thing", "thing"]
    assert all(one.mask is not None and one.mask.sum() == 100 for one in regions)


def test_scenes_and_samples_drawn_from_them() -> None:
    scenes = open_dataset("scenes:30")
    drawn = open_dataset("scenes:30", limit=4, seed=1)
    for index, sample in enumerate(drawn):
        result = region_image(drawn, index)
        assert result.id == sample.id
        assert [one.label for one in result.regions] == list(sample.labels)
        for region in result.regions:
            assert region.mask is not None
            assert sample.masks is not None
            np.testing.assert_array_equal(region.mask, sample.masks[region.label])
            left, top, right, bottom = map(int, region.box)
            assert region.mask.sum() == region.mask[top:bottom, left:right].sum()
            assert region.mask[top].any()
            assert region.mask[:, right - 1].any()
    assert len(scenes) == 30


def test_rows_of_a_csv_file_are_boxes_without_masks(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text(
        "image,left,top,right,bottom,label\n"
        "a.png,0,0,20,30,dog\na.png,20,5.5,40,30,cat\na.png,1,1,5,5,cat\n"
    )
    result = region_image(open_dataset(f"boxes:{tmp_path / 'boxes.csv'}"), 0)
    assert [(one.label, one.box, one.mask) for one in result.regions] == [
        ("dog", (0, 0, 20, 30), None),
        ("cat", (20, 5.5, 40, 30), None),
    ]
    assert result.left_out == {"box below 8×8 pixels": 1}


def test_masks_of_other_datasets(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    mask = np.zeros((30, 40), np.uint8)
    mask[4:20, 7:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(0 * mask).save(tmp_path / "empty.png")
    (tmp_path / "index.csv").write_text(
        "image,label,mask\na.png,dog,mask.png\na.png,cat,empty.png\na.png,cow,\n"
    )
    dataset = open_dataset(f"folder:{tmp_path}")
    first, second, third = (region_image(dataset, index) for index in range(3))
    assert [one.box for one in first.regions] == [(7, 4, 30, 20)]
    assert second.regions == ()
    assert second.left_out == {"empty mask": 1}
    assert third.regions == ()
    assert not third.left_out


def test_each_kind_of_region_is_counted_apart(coco: Path) -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    result = classify_regions(view, f"coco-panoptic:{coco}", template="a {}")
    assert {kind: counts.n for kind, counts in result.counts.items()} == {
        "boxes": 2,
        "thing masks": 2,
        "stuff masks": 1,
    }
    boxes, things, stuff = (result.counts[kind].total.sum(0) for kind in result.counts)
    np.testing.assert_array_equal(boxes, [0, 2, 0])
    np.testing.assert_array_equal(things, [0, 2, 0])
    np.testing.assert_array_equal(stuff, [0, 0, 1])
    assert result.top == (1,), "of three classes, five best are no question"
    assert result.left_out == {"crowd": 1, "box below 8×8 pixels": 1}
    assert result.save(coco / "out").is_file()
