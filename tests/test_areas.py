"""Boxes, points and masks of maps, compared with a plain flood fill, and with pycocotools."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

import tiny
import whyclip
from whyclip.areas import connected_runs
from whyclip.certificate import Certificate
from whyclip.errors import InputError, OptionError, OutputError
from whyclip.explanation import Explanation
from whyclip.types import Box, Geometry


def explanation(maps: torch.Tensor, geometry: Geometry) -> Explanation:
    n = len(maps)
    scores = tuple(0.1 * i for i in range(n))
    return Explanation(
        model="tiny",
        method="grad_eclip",
        prompts=tuple(f"prompt {i}" for i in range(n)),
        scores=torch.tensor(scores),
        maps=maps,
        words=((),) * n,
        certificate=Certificate(scores, {"image": scores}),
        geometry=geometry,
    )


def flood(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Connected areas, pixel by pixel; corners connect."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    areas = []
    while left:
        stack, area = [left.pop()], set()
        while stack:
            y, x = stack.pop()
            area.add((y, x))
            for beside in [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if beside in left:
                    left.remove(beside)
                    stack.append(beside)
        areas.append(area)
    return areas


@given(
    st.integers(1, 9).flatmap(
        lambda width: st.lists(
            st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=9
        )
    )
)
def test_connected_areas_are_those_of_a_flood_fill(rows: list[list[bool]]) -> None:
    mask = np.array(rows, bool)
    ours = {
        frozenset((int(row), x) for row, start, end in runs for x in range(start, end))
        for runs in connected_runs(mask)
    }
    assert ours == {frozenset(area) for area in flood(mask)}


GEOMETRIES = {
    "whole": Geometry("keep", 40, 30, Box(0, 0, 40, 30)),
    "cropped": Geometry("model", 40, 30, Box(5, 0, 35, 30)),
    "padded": Geometry("pad", 40, 30, Box(0, -5, 40, 35)),
}


@pytest.mark.parametrize("threshold", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_boxes_and_masks_follow_from_the_heat_map(name: str, threshold: float) -> None:
    maps = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(3))
    ex = explanation(maps, GEOMETRIES[name])
    masks, boxes = ex.mask(threshold), ex.boxes(threshold)
    for index, heat in enumerate(ex.heatmap().numpy()):
        peak = max(v for row in heat.tolist() for v in row if v == v)
        expected = np.zeros(heat.shape, bool)
        for y in range(heat.shape[0]):
            for x in range(heat.shape[1]):
                expected[y, x] = not np.isnan(heat[y, x]) and heat[y, x] >= np.float32(
                    threshold * peak
                )
        assert np.array_equal(masks[index].numpy(), expected)
        areas = sorted(flood(expected), key=lambda a: -sum(float(heat[p]) for p in a))
        assert boxes[index] == tuple(
            (
                min(x for _, x in area),
                min(y for y, _ in area),
                max(x for _, x in area) + 1,
                max(y for y, _ in area) + 1,
            )
            for area in areas
        )
    assert all(boxes)


def test_a_bright_patch_gives_its_box_and_its_centre() -> None:
    maps = torch.zeros(2, 4, 4)
    maps[0, 1, 2] = 1.0
    maps[0, 3, 0] = 0.4
    maps[1] = -1.0
    ex = explanation(maps, Geometry("keep", 80, 40, Box(0, 0, 80, 40)))
    [box], none = ex.boxes(0.5)
    # Half of a cubic bump's height lies within the patch of 20 × 10 pixels and a bit around it.
    assert box.left <= 40 < 60 <= box.right
    assert box.right - box.left < 40
    assert none == ()
    assert not ex.mask(0.5)[1].any()
    assert ex.points(5) == (((50.0, 15.0, 1.0), (10.0, 35.0, pytest.approx(0.4))), ())
    assert ex.points()[0] == ((50.0, 15.0, 1.0),)
    assert ex.points()[0][0].relevance == 1.0


@given(
    st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0]), min_size=4, max_size=4),
        min_size=3,
        max_size=3,
    )
)
def test_points_are_local_maxima_with_the_largest_value_first(
    rows: list[list[float]],
) -> None:
    values = torch.tensor(rows)
    ex = explanation(values[None], Geometry("keep", 40, 30, Box(0, 0, 40, 30)))
    [points] = ex.points(12)
    for point in points:
        row, column = int(point.y // 10), int(point.x // 10)
        around = values[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        assert point.relevance == values[row, column] == around.max() > 0
    assert [p.relevance for p in points] == sorted((p.relevance for p in points), reverse=True)
    assert (points[0].relevance if points else 0.0) == max(0.0, float(values.max()))
    # Of equal neighbours one counts: no two points touch.
    cells = [(int(p.y // 10), int(p.x // 10)) for p in points]
    assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 1 for a in cells for b in cells if a != b)


def test_points_outside_the_image_are_left_out() -> None:
    maps = torch.tensor([[[5.0, 0.0], [0.0, 0.0], [0.0, 1.0]]])
    padded = explanation(maps, Geometry("pad", 20, 10, Box(0, -10, 20, 20)))
    assert padded.points(3) == ((),)
    whole = explanation(maps, Geometry("keep", 20, 30, Box(0, 0, 20, 30)))
    assert whole.points(3) == (((5.0, 5.0, 5.0), (15.0, 25.0, 1.0)),)


@pytest.mark.parametrize("wrong", [0, -0.5, 1.01, float("nan"), "half", True, None])
def test_a_threshold_out_of_range_is_refused(wrong: object) -> None:
    ex = explanation(torch.ones(1, 2, 2), GEOMETRIES["whole"])
    for call in (ex.mask, ex.boxes):
        with pytest.raises(OptionError, match="threshold"):
            call(wrong)  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "two"])
def test_a_number_of_points_out_of_range_is_refused(wrong: object) -> None:
    ex = explanation(torch.ones(1, 2, 2), GEOMETRIES["whole"])
    with pytest.raises(OptionError, match="k="):
        ex.points(wrong)  # type: ignore[arg-type]


def test_without_maps_there_are_no_areas(tmp_path: Path) -> None:
    ex = replace(explanation(torch.ones(1, 2, 2), GEOMETRIES["whole"]), maps=None)
    for call in (ex.mask, ex.boxes, ex.points):
        with pytest.raises(OutputError, match="no map"):
            call()
    with pytest.raises(OutputError, match="no map"):
        ex.save(tmp_path / "x.coco.json")


def test_pycocotools_reads_the_same_masks_and_boxes(tmp_path: Path) -> None:
    maps = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(1))
    cropped = explanation(maps, GEOMETRIES["cropped"])
    whole = explanation(maps.flip(0), GEOMETRIES["whole"])
    path = whyclip.save_coco(
        tmp_path / "all.json", {"a.png": cropped, "b.png": whole}, threshold=0.4
    )
    read = COCO(str(path))
    assert [read.imgs[i]["file_name"] for i in (1, 2)] == ["a.png", "b.png"]
    names = {category["id"]: category["name"] for category in read.cats.values()}
    for image_id, ex in ((1, cropped), (2, whole)):
        for index, prompt in enumerate(ex.prompts):
            prompt_annotations = [
                a for a in read.imgToAnns[image_id] if names[a["category_id"]] == prompt
            ]
            union = np.zeros((30, 40), bool)
            for annotation, box in zip(prompt_annotations, ex.boxes(0.4)[index], strict=True):
                mask = read.annToMask(annotation).astype(bool)
                assert int(mask.sum()) == annotation["area"]
                encoded = coco_mask.encode(np.asfortranarray(mask))
                assert coco_mask.toBbox(encoded).tolist() == annotation["bbox"]
                x, y, width, height = annotation["bbox"]
                assert (x, y, x + width, y + height) == box
                assert annotation["score"] == pytest.approx(float(ex.scores[index]))
                union |= mask
            assert np.array_equal(union, ex.mask(0.4)[index].numpy())


def test_an_explanation_saves_itself_as_coco(tmp_path: Path) -> None:
    model = whyclip.wrap(*tiny.openclip_parts())
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    ex = whyclip.explain(model, image, ["a dog", "a red car"])
    record = json.loads(ex.save(tmp_path / "photo.coco.json").read_text())
    assert record["images"] == [{"id": 1, "file_name": "photo", "width": 48, "height": 32}]
    boxes = [tuple(a["bbox"]) for a in record["annotations"]]
    assert boxes == [
        (b.left, b.top, b.right - b.left, b.bottom - b.top) for row in ex.boxes() for b in row
    ]
    plain = whyclip.save_coco(tmp_path / "boxes.json", {"photo.png": ex}, masks=False)
    assert all("segmentation" not in a for a in json.loads(plain.read_text())["annotations"])


@pytest.mark.parametrize("wrong", [{}, [], {"a.png": "no explanation"}])
def test_what_is_no_explanation_is_refused(wrong: object, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        whyclip.save_coco(tmp_path / "x.json", wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_tables_of_words_and_heads_and_bad_names_are_refused(tmp_path: Path) -> None:
    model = whyclip.wrap(*tiny.openclip_parts())
    image = np.zeros((32, 48, 3), np.uint8)
    for table in (whyclip.interaction(model, image, "a dog"), whyclip.heads(model, image, "a dog")):
        with pytest.raises(InputError, match="'a' has .*give the result of whyclip.explain"):
            whyclip.save_coco(tmp_path / "x.json", {"a": table})  # type: ignore[dict-item]
    ex = explanation(torch.ones(1, 2, 2), GEOMETRIES["whole"])
    for name in (5, ""):
        with pytest.raises(InputError, match="^file name .*: give the image's file name"):
            whyclip.save_coco(tmp_path / "x.json", {name: ex})  # type: ignore[dict-item]
    for path, message in (("x.png", "end it in .json"), ("no/x.json", "no such folder")):
        with pytest.raises(OutputError, match=message):
            whyclip.save_coco(tmp_path / path, {"a.png": ex})
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers() -> None:
    ex = explanation(torch.rand(1, 4, 4), GEOMETRIES["whole"])
    assert ex.boxes(np.float32(0.5)) == ex.boxes(0.5)  # type: ignore[arg-type]
    assert ex.points(np.int64(2)) == ex.points(2)  # type: ignore[arg-type]
