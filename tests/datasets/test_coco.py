"""COCO in its published form: instances in three encodings, panoptic PNGs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import open_dataset
from whyclip.datasets.coco import CocoInstances, CocoPanoptic, readable
from whyclip.datasets.coco_masks import decode_region
from whyclip.errors import InputError

RNG = np.random.default_rng(0)
CATEGORIES = [
    {"supercategory": "animal", "id": 18, "name": "dog", "isthing": 1},
    {"supercategory": "person", "id": 1, "name": "person", "isthing": 1},
    {"supercategory": "wall", "id": 199, "name": "wall-other-merged", "isthing": 0},
]


def runs_of(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, counted one pixel at a time."""
    counts, current = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != current:
            counts.append(0)
            current = pixel
        counts[-1] += 1
    return counts


def compress(counts: list[int]) -> str:
    """Run lengths as COCO's string, five bits at a time."""
    text = ""
    for i, count in enumerate(counts):
        value, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits = value & 31
            value >>= 5
            more = value not in {0, -1} or bool(bits & 16) != (value == -1)
            text += chr(48 + bits + 32 * more)
    return text


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two images of 6 by 5 pixels, one without regions, and all encodings."""
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations" / "panoptic_val2017").mkdir(parents=True)
    images = []
    for number in (139, 285, 632):
        name = f"{number:012d}.jpg"
        Image.new("RGB", (6, 5), (number % 256, 0, 0)).save(tmp_path / "val2017" / name)
        images.append({"id": number, "file_name": name, "width": 6, "height": 5})
    crowd = np.zeros((5, 6), bool)
    crowd[3:, 4:] = True
    instances = [
        {"id": 1, "image_id": 632, "category_id": 18, "iscrowd": 0, "area": 4.0,
         "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]], "bbox": [0, 0, 2, 2]},
        {"id": 2, "image_id": 139, "category_id": 18, "iscrowd": 0, "area": 2.0,
         "segmentation": [[0, 0, 1, 0, 1, 1, 0, 1], [5, 4, 6, 4, 6, 5, 5, 5]]},
        {"id": 3, "image_id": 139, "category_id": 1, "iscrowd": 1, "area": 4.0,
         "segmentation": {"size": [5, 6], "counts": runs_of(crowd)}},
        {"id": 4, "image_id": 139, "category_id": 18, "iscrowd": 0, "area": 30.0,
         "segmentation": {"size": [5, 6], "counts": compress(runs_of(~crowd))}},
    ]  # fmt: skip
    segments = np.zeros((5, 6), int)
    segments[:2], segments[2:4, :3], segments[4, :3] = 3_937_500, 300, 70_000
    pixels = np.stack([segments % 256, segments // 256 % 256, segments // 65536], -1)
    png = tmp_path / "annotations" / "panoptic_val2017" / "000000000285.png"
    Image.fromarray(pixels.astype(np.uint8)).save(png)
    panoptic = [
        {"image_id": 285, "file_name": png.name, "segments_info": [
            {"id": 3_937_500, "category_id": 199, "area": 12, "iscrowd": 0},
            {"id": 300, "category_id": 18, "area": 6, "iscrowd": 0},
            {"id": 70_000, "category_id": 18, "area": 3, "iscrowd": 0},
        ]},
        {"image_id": 139, "file_name": "000000000139.png", "segments_info": []},
    ]  # fmt: skip
    for kind, regions in (("instances", instances), ("panoptic", panoptic)):
        content = {"images": images, "annotations": regions, "categories": CATEGORIES}
        (tmp_path / "annotations" / f"{kind}_val2017.json").write_text(json.dumps(content))
    return tmp_path


def test_instances(coco: Path) -> None:
    dataset = open_dataset(f"coco:{coco}")
    assert dataset.classes == ("person", "dog", "wall-other-merged")
    first, second = dataset
    assert (first.id, second.id) == ("139", "632")
    assert first.labels == ("person", "dog")
    assert first.prompts == ("a photo of a person.", "a photo of a dog.")
    assert first.image.size == (6, 5)
    assert first.masks is not None
    assert second.masks is not None
    person = np.zeros((5, 6), bool)
    person[3:, 4:] = True
    dog = ~person
    dog[4, 5] = True
    np.testing.assert_array_equal(first.masks["person"], person)
    np.testing.assert_array_equal(first.masks["dog"], dog)
    assert second.masks["dog"][:2, :2].all()
    assert second.masks["dog"].sum() == 4
    assert first.ignored is None


def test_panoptic(coco: Path) -> None:
    dataset = open_dataset(f"coco-panoptic:{coco}")
    assert dataset.names == ("person", "dog", "wall")
    (sample,) = dataset
    assert sample.id == "285"
    assert sample.labels == ("dog", "wall-other-merged")
    assert sample.prompts[1] == "a photo of a wall."
    wall, dog = np.zeros((5, 6), bool), np.zeros((5, 6), bool)
    wall[:2], dog[2:, :3] = True, True
    assert sample.masks is not None
    np.testing.assert_array_equal(sample.masks["wall-other-merged"], wall)
    np.testing.assert_array_equal(sample.masks["dog"], dog)
    np.testing.assert_array_equal(sample.ignored, ~(wall | dog))


def test_run_lengths_come_back() -> None:
    for _ in range(30):
        height, width = map(int, RNG.integers(1, 60, 2))
        mask = RNG.random((height, width)) < RNG.random() ** 3
        counts = runs_of(mask)
        for written in (counts, compress(counts)):
            region = {"size": [height, width], "counts": written}
            np.testing.assert_array_equal(decode_region(region, height, width), mask)


def inside(corners: np.ndarray, x: float, y: float) -> bool:
    """Whether a point is inside a polygon: a ray to its right crosses an odd number of edges."""
    odd = False
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            odd = not odd
    return odd


def test_polygons_are_filled_as_by_a_plain_loop() -> None:
    for _ in range(4):
        angles = np.sort(RNG.random(9)) * 2 * np.pi
        radius = 40 + 30 * RNG.random(9)
        corners = np.stack([90 + radius * np.cos(angles), 80 + radius * np.sin(angles)], 1)
        expected = np.array([[inside(corners, x + 0.5, y + 0.5) for x in range(170)]
                             for y in range(150)])  # fmt: skip
        region = decode_region([corners.ravel().tolist()], 150, 170)
        # COCO's rule differs from the centres of pixels by half a pixel along the outline.
        outline = np.linalg.norm(np.diff(corners, axis=0, append=corners[:1]), axis=1).sum()
        assert (region ^ expected).sum() < 0.6 * outline
        assert (region & expected).sum() / (region | expected).sum() > 0.95


def test_a_polygon_of_half_pixels_by_hand() -> None:
    """The triangle x + y < 3.5, taken at the centres of pixels."""
    triangle = decode_region([[0, 0, 3.5, 0, 0, 3.5]], 4, 4)
    expected = np.add.outer(np.arange(4), np.arange(4)) + 1 < 3.5
    np.testing.assert_array_equal(triangle, expected)
    beyond = decode_region([[-5, -5, 2, -5, 2, 2, -5, 2]], 4, 4)
    assert beyond.sum() == 4
    assert not decode_region([[10, 10, 12, 10, 12, 12]], 4, 4).any()
    assert not decode_region([], 4, 4).any()


def test_a_missing_pycocotools_is_one_error(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match=r"pip install 'whyclip\[coco\]'"):
        open_dataset(f"coco:{coco}")
    assert len(open_dataset(f"coco-panoptic:{coco}")) == 1, "PNGs need no pycocotools"


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ([[1, 2, 3, 4]], "three"),
        ([[1, 2, 3, 4, 5, 6, 7]], "three"),
        ({"size": [4, 4], "counts": [1, 2]}, "3 pixels for 16"),
        ({"size": [4, 4], "counts": [20, -4]}, "for 16"),
        ({"size": [4, 5], "counts": [20]}, r"\[4, 5\]"),
        ({"size": [4, 4], "counts": " "}, "not a string that COCO writes"),
        ({"size": [4, 4], "counts": "P"}, "not a string that COCO writes"),
        ({"size": [4, 4], "counts": "PPPPPPPPPPPP1"}, "not a string that COCO writes"),
        ({"size": [4, 4], "counts": "52"}, "do not fill"),
        ({"size": [4, 4], "counts": "5o7"}, "cannot be decoded|do not fill"),
        ([[0, 0, 1e300, 0, 0, 1]], "far outside"),
        ([[0, 0, float("nan"), 0, 0, 1]], "far outside"),
        ("polygon", "neither"),
    ],
)
def test_regions_that_cannot_be(region: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_region(region, 4, 4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wall-other-merged", "wall"),
        ("tree-merged", "tree"),
        ("window-blind", "blind window"),
        ("door-stuff", "door"),
        ("floor-other-merged", "floor"),
        ("wall-brick", "brick wall"),
        ("hot dog", "hot dog"),
    ],
)
def test_names_are_made_readable(name: str, words: str) -> None:
    assert readable(name) == words


def test_what_coco_cannot_use(coco: Path) -> None:
    files = coco / "annotations"
    instances, panoptic = files / "instances_val2017.json", files / "panoptic_val2017.json"
    with pytest.raises(InputError, match="instances_"):
        CocoInstances(coco / "val2017", panoptic)
    with pytest.raises(InputError, match="panoptic_"):
        CocoPanoptic(coco / "val2017", instances)
    content = json.loads(instances.read_text())
    content["annotations"][0]["image_id"] = 7
    instances.write_text(json.dumps(content))
    with pytest.raises(InputError, match="annotates image 7"):
        CocoInstances(coco / "val2017", instances)
    content["annotations"][0] |= {"image_id": 632, "category_id": 90}
    instances.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"image 632 .* unknown category"):
        list(CocoInstances(coco / "val2017", instances))
    instances.write_text('{"images": []}')
    with pytest.raises(InputError, match="has no annotations, categories"):
        CocoInstances(coco / "val2017", instances)
    instances.write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        CocoInstances(coco / "val2017", instances)
