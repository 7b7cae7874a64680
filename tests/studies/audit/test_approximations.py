"""Photographs with masks in their published formats: what is painted over, and what is absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import whyclip
from approximate_toy import of_holes, of_nouns
from whyclip.datasets.coco import CocoInstances
from whyclip.datasets.dataset import Dataset, Sample
from whyclip.datasets.folder import Folder
from whyclip.datasets.imagenet_s import ImageNetS
from whyclip.studies.audit import Audit, audit
from whyclip.studies.audit.absent import AbsentNouns, Swap
from whyclip.studies.audit.answer import answers
from whyclip.studies.audit.inpainted import hole_of
from whyclip.types import Box

NAMES = ("person", "apple", "traffic light", "dog", "boat")
SYNSETS = ("n01440764", "n01443537", "n02123045")
CHECKS = ["inpainted_objects", "absent_classes", "absent_nouns"]
WHOLE = Box(0, 0, 32, 32)


def noise(number: int) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 90, (32, 32, 3), np.uint8)
    pixels[4:14, 4:14] += np.array([160, 10 * number, 0], np.uint8)
    pixels[16:30, 18:28] += np.array([0, 150, 10 * number], np.uint8)
    return pixels


def coco(root: Path) -> CocoInstances:
    """Three images with two rectangles each, as polygons."""
    (root / "val2017").mkdir(parents=True)
    images, regions = [], []
    for number in range(3):
        Image.fromarray(noise(number)).save(root / "val2017" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 32, "height": 32})
        for category, (x0, y0, x1, y1) in ((number, (4, 4, 14, 14)), (4, (18, 16, 28, 30))):
            polygon = [x0, y0, x1, y0, x1, y1, x0, y1]
            regions.append({"image_id": number, "category_id": category, "segmentation": [polygon]})
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    content = {"images": images, "annotations": regions, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return CocoInstances(root / "val2017", root / "instances.json")


def imagenet_s(root: Path) -> ImageNetS:
    """Three images, each with its class in the middle and a corner that is ignored."""
    for number, synset in enumerate(SYNSETS):
        ids = np.zeros((32, 32, 3), np.uint8)
        ids[8:20, 8:20, 0] = number + 1
        ids[:2, :2] = (232, 3, 0)
        for folder, pixels, suffix in (
            ("validation", noise(number), "JPEG"),
            ("validation-segmentation", ids, "png"),
        ):
            place = root / folder / synset
            place.mkdir(parents=True)
            Image.fromarray(pixels).save(place / f"a.{suffix}")
    (root / "categories.txt").write_text("\n".join(SYNSETS))
    return ImageNetS(root, categories=root / "categories.txt")


MAKE: dict[str, Any] = {"coco": coco, "imagenet-s": imagenet_s}


@pytest.mark.parametrize("name", MAKE)
def test_methods_that_are_told_the_drops_follow_them(
    view: whyclip.ModelView, tmp_path: Path, name: str
) -> None:
    """The drops are measured a second time by the planted methods, image by image."""
    data = MAKE[name](tmp_path)
    result = audit(view, data, [of_holes(view, data), of_nouns(view, data)], CHECKS, limit=3)
    holes = result.finding("told_holes", "inpainted_objects")
    nouns = result.finding("told_nouns", "absent_nouns", "text")
    assert holes is not None
    assert holes.value is not None
    assert nouns is not None
    assert nouns.value is not None
    objects = 2 if name == "coco" else 1
    # Prompts times objects of three images; both nouns of a pair for each label.
    assert (holes.value.n, nouns.value.n) == (3 * objects**2, 3 * objects * 2)
    # Relevance is drawn between the centres of patches, so that some of it lies beside the object.
    assert holes.value.mean > 0.9
    assert nouns.value.mean == pytest.approx(1, abs=1e-4)


def test_they_are_part_of_an_audit_of_photographs(view: whyclip.ModelView, tmp_path: Path) -> None:
    result = audit(view, coco(tmp_path), ["contribution"], limit=3, edited=1, patches=2)
    measured = {f.check for f in result.of("contribution") if f.value is not None}
    assert {"inpainted_objects", "patch_masked"} <= measured
    # The rule that its calibration on scenes did not meet.
    assert "absent_nouns" not in {finding.check for finding in result.findings}
    [rough] = [answer for answer in answers(result) if answer.startswith("Approximations")]
    assert "inpainted_objects" in rough


def test_without_masks_nothing_is_painted_over(view: whyclip.ModelView, tmp_path: Path) -> None:
    lines = ["image,label"]
    for number in range(3):
        Image.fromarray(noise(number)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{NAMES[number]}")
    (tmp_path / "index.csv").write_text("\n".join(lines))
    result: Audit = audit(view, Folder(tmp_path), ["contribution"], CHECKS, limit=3)
    for check in ("inpainted_objects", "absent_classes"):
        finding = result.finding("contribution", check)
        assert finding is not None
        assert (finding.verdict, finding.why_not) == ("not applicable", "needs masks")
    nouns = result.finding("contribution", "absent_nouns", "text")
    assert nouns is not None
    # Three labels leave two that are absent, one for the pair and one in a noun's place.
    assert nouns.value is not None
    assert nouns.value.n == 6


def area(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_hole_is_two_pixels_wider_and_spares_other_labels() -> None:
    masks = {"dog": area(10, 20, 10, 20), "cat": area(10, 20, 20, 26)}
    hole = hole_of("dog", masks, WHOLE)
    np.testing.assert_array_equal(hole, area(8, 22, 8, 22) & ~masks["cat"])
    large = {"dog": np.zeros((400, 300), bool)}
    large["dog"][100:200, 100:200] = True
    hole = hole_of("dog", large, Box(0, 0, 300, 400))
    assert hole is not None
    # One hundredth of the shorter edge.
    assert hole.sum() == 106**2


@pytest.mark.parametrize(
    ("masks", "box"),
    [
        ({}, WHOLE),
        ({"dog": np.zeros((32, 32), bool)}, WHOLE),
        ({"dog": np.ones((32, 32), bool)}, WHOLE),
        # With its two pixels, all but two columns of 32.
        ({"dog": area(0, 32, 0, 28)}, WHOLE),
        # The model does not see it, or sees nothing else.
        ({"dog": area(0, 32, 0, 4)}, Box(8, 0, 24, 32)),
        ({"dog": area(0, 32, 8, 24)}, Box(8, 0, 24, 32)),
        # Others cover it.
        ({"dog": area(0, 9, 0, 9), "cat": np.ones((32, 32), bool)}, WHOLE),
    ],
)
def test_what_cannot_be_painted_over(masks: dict[str, np.ndarray], box: Box) -> None:
    assert hole_of("dog", masks, box) is None


class Named(Dataset):
    """One sample of given labels."""

    name = "named"

    def __init__(self, labels: tuple[str, ...], *, names: tuple[str, ...] = NAMES) -> None:
        self.classes, self.names, self.labels = NAMES, names, labels

    def __len__(self) -> int:
        return 1

    def sample(self, index: int) -> Sample:
        prompts = tuple(self.prompt_of(label) for label in self.labels)
        masks = {"boat": np.ones((2, 2), bool)}
        return Sample("one", Image.new("RGB", (2, 2)), self.labels, prompts, masks)


def after(prompt: str, swap: Swap) -> tuple[str, str]:
    """The words that a swap says it exchanges, and the prompt with the rest of it alone."""
    start, end = swap.words[0][0], swap.words[-1][1]
    return prompt[start:end], prompt[:start]


@pytest.mark.parametrize("seed", range(8))
def test_nouns_are_exchanged_for_classes_that_are_neither_labels_nor_masks(seed: int) -> None:
    data = Named(("traffic light", "dog"))
    probes = AbsentNouns(data, seed).probes(data[0])
    assert probes == AbsentNouns(data, seed).probes(data[0])
    assert len(probes) == 4
    for probe in probes:
        for swap in probe.swaps:
            old, before = after(probe.prompt, swap)
            assert (old in {"traffic light", "dog"}) == (swap.kind != "absent")
            assert (old in {"person", "apple"}) == (swap.kind == "absent")
            assert swap.prompt != probe.prompt
            assert swap.prompt.startswith(before.removesuffix("an ").removesuffix("a "))
            assert "boat" not in swap.prompt
        kinds = sorted(swap.kind for swap in probe.swaps)
        assert kinds == (["absent", "present"] if " and " in probe.prompt else ["single"])


def test_the_absent_noun_of_a_pair_is_first_or_last() -> None:
    data, prompts = Named(("dog",)), set()
    for seed in range(40):
        single, pair = AbsentNouns(data, seed).probes(data[0])
        assert single.prompt == "a photo of a dog."
        prompts.add(pair.prompt)
    assert {"a photo of a dog and an apple.", "a photo of a person and a dog."} <= prompts


@pytest.mark.parametrize(
    "data",
    [
        Named(NAMES[:4]),
        # All classes have one name, or the prompt does not name its class.
        Named(("dog",), names=("dog",) * 5),
    ],
)
def test_without_two_absent_names_there_are_no_probes(data: Named) -> None:
    assert AbsentNouns(data, 0).probes(data[0]) == ()
