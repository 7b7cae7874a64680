"""Region classification as a whole: perfect features, chance, batches, reports, refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import whyclip
from families import SMALL
from levels import PATCH, directions, level_of, level_view
from whyclip.datasets import Dataset, Sample, open_dataset
from whyclip.datasets.dataset import Subset
from whyclip.errors import InputError, OptionError, UnsupportedModelError
from whyclip.regions import (
    class_embeddings,
    classify,
    classify_regions,
    prepare_regions,
    region_accuracy,
)

CLASSES = 6
GRID = 4


class Mosaics(Dataset):
    """Squares of whole patches in the colours of their classes; some images are half as high."""

    name = "mosaics"

    def __init__(self, n: int, scale: int = 1, wrong: int = 0) -> None:
        self.n, self.scale, self.wrong = n, scale, wrong
        self.classes = self.names = tuple(f"class {i}" for i in range(CLASSES))

    def __len__(self) -> int:
        return self.n

    def sample(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        rows = GRID // (1 + index % 2)
        numbers = rng.permutation(CLASSES)[: rows // 2 * 2]
        side = PATCH * self.scale
        image = Image.new("RGB", (GRID * side, rows * side), level_of(int(numbers[0])))
        masks = {}
        for place, number in enumerate(numbers):
            left, top = place % 2 * 2 * side, place // 2 * 2 * side
            mask = np.zeros(image.size[::-1], bool)
            mask[top : top + 2 * side, left : left + 2 * side] = True
            masks[self.classes[number]] = mask
            painted = (int(number) + (index < self.wrong)) % CLASSES
            image.paste(level_of(painted), (left, top, left + 2 * side, top + 2 * side))
        return Sample(str(index), image, tuple(masks), tuple(masks), masks)


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts())


@pytest.mark.parametrize("scale", [1, 3])
def test_perfect_features_get_everything_right(scale: int) -> None:
    view = level_view(CLASSES, GRID)
    prepared = prepare_regions(view, Mosaics(12, scale))
    result = classify(view, prepared, directions=directions(CLASSES), batch_size=5)
    assert result.n_images == 12
    assert result.n_regions == 6 * 4 + 6 * 2
    assert set(result.counts) == {"boxes", "thing masks"}
    for counts in result.counts.values():
        assert counts.macc(1) == counts.macc(5) == 1
        assert counts.n == 36
    assert result.confusions() == []
    assert result.left_out == {}


def test_wrong_features_are_counted_by_class_and_pair() -> None:
    """In 4 of 12 images each region looks like the next class."""
    view = level_view(CLASSES, GRID)
    data = Mosaics(12, wrong=4)
    result = classify(view, prepare_regions(view, data), directions=directions(CLASSES))
    right, wrong = np.zeros(CLASSES), np.zeros(CLASSES)
    for index in range(12):
        for label in data[index].labels:
            (wrong if index < 4 else right)[int(label.split()[1])] += 1
    expected = float(np.mean(right / (right + wrong)))
    assert result.counts["boxes"].macc(1) == pytest.approx(expected)
    assert result.counts["thing masks"].macc(1) == pytest.approx(expected)
    pairs = {(one.true, one.predicted): one.count for one in result.confusions()}
    assert pairs == {
        (f"class {i}", f"class {(i + 1) % CLASSES}"): int(wrong[i])
        for i in range(CLASSES)
        if wrong[i]
    }
    assert list(pairs.values()) == sorted(pairs.values(), reverse=True)
    assert sum(len(one.regions) for one in result.confusions()) == wrong.sum()


def test_random_features_get_chance(view: whyclip.ModelView) -> None:
    drawn = torch.randn(CLASSES, view.width, generator=torch.Generator().manual_seed(0))
    drawn = torch.nn.functional.normalize(drawn, dim=-1)
    prepared = prepare_regions(view, Mosaics(60, 2))
    # The labels of another order of the classes, so that colours do not tell them apart.
    values = []
    for seed in range(8):
        order = torch.randperm(CLASSES, generator=torch.Generator().manual_seed(seed))
        values.append(region_accuracy(view, prepared, directions=drawn[order])["boxes"].macc())
    assert np.mean(values) == pytest.approx(1 / CLASSES, abs=0.08)


def test_batches_and_preparing_at_once_change_nothing(view: whyclip.ModelView) -> None:
    data = open_dataset("scenes:7")
    few = classify_regions(view, data, template="{}", batch_size=2)
    many = classify_regions(view, "scenes:7", template="{}", batch_size=50)
    once = classify(view, prepare_regions(view, data), template="{}", batch_size=3)
    embeddings = class_embeddings(view, data, "{}")
    again = classify(view, prepare_regions(view, data), directions=embeddings)
    for other in (many, once, again):
        for name in ("image", "labels", "box_rank", "mask_rank", "box_best", "pixel_boxes"):
            np.testing.assert_array_equal(
                getattr(few.outcome, name), getattr(other.outcome, name), err_msg=name
            )
        assert few.ids == other.ids


def test_embeddings_are_means_over_templates(view: whyclip.ModelView) -> None:
    from open_clip import OPENAI_IMAGENET_TEMPLATES, SimpleTokenizer

    data = Mosaics(1)
    embeddings = class_embeddings(view, data)
    tokenizer = SimpleTokenizer(context_length=tiny.CONTEXT)
    module: Any = view.module
    for number in (0, 4):
        texts = [template(data.names[number]) for template in OPENAI_IMAGENET_TEMPLATES]
        assert len(texts) == 80
        with torch.no_grad():
            each = module.encode_text(tokenizer(texts), normalize=True)
        mean = each.mean(0)
        torch.testing.assert_close(embeddings[number], mean / mean.norm(), atol=1e-5, rtol=1e-4)
    single = class_embeddings(view, data, "a red {}")
    with torch.no_grad():
        embedding = module.encode_text(tokenizer(["a red class 2"]), normalize=True)[0]
    torch.testing.assert_close(single[2], embedding, atol=1e-5, rtol=1e-4)


def test_a_saved_result_can_be_read_back(tmp_path: Path) -> None:
    view = level_view(CLASSES, GRID)
    data = Mosaics(12, wrong=4)
    result = classify(view, prepare_regions(view, data), directions=directions(CLASSES))
    page = result.described(command="whyclip regions mosaics").save(tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "Most frequent confusions, boxes" in text
    assert "data:image/png" in text
    content = json.loads((tmp_path / "regions.json").read_text(encoding="utf-8"))
    assert content["kinds"]["boxes"]["macc"]["top1"]["mean"] == pytest.approx(
        result.counts["boxes"].macc()
    )
    with (tmp_path / "regions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.n_regions
    right = [row["box_best"] == row["class"] for row in rows]
    assert sum(right) == result.counts["boxes"].correct[1].sum()
    assert [row["box_rank"] == "1" for row in rows] == right


def test_crops_show_their_region() -> None:
    from whyclip.regions.pages import crops

    view = level_view(CLASSES, GRID)
    result = classify(
        view, prepare_regions(view, Mosaics(4, 3, wrong=4)), directions=directions(CLASSES)
    )
    for confusion in result.confusions():
        painted = result.classes.index(confusion.predicted)
        for crop in crops(result, confusion):
            middle = crop.getpixel((crop.width // 2, crop.height // 2))
            assert middle == level_of(painted)


def test_images_that_cannot_be_read_are_counted(view: whyclip.ModelView) -> None:
    class Broken(Mosaics):
        def sample(self, index: int) -> Sample:
            if index == 1:
                raise InputError("image 1 is damaged")
            return super().sample(index)

    result = classify_regions(view, Broken(4), template="{}", batch_size=3)
    assert result.failed == {1: "image 1 is damaged"}
    assert result.numbers == (0, 2, 3)
    drawn = Subset(Broken(4), 1)
    drawn.numbers = [1]
    with pytest.raises(InputError, match="no image of mosaics has a region.*image 1 is damaged"):
        classify_regions(view, drawn, template="{}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "a dog"}, "template 'a dog' has no {}"),
        ({"top": (0,)}, r"top=\(0,\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"size": 33}, "size=33 is not a multiple"),
    ],
)
def test_options_out_of_range(view: whyclip.ModelView, options: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        classify_regions(view, Mosaics(1), **options)


def test_models_that_cannot_be_measured() -> None:
    view = whyclip.wrap(*SMALL["vit-average"]())
    with pytest.raises(UnsupportedModelError, match="no dense features .* averages its patches"):
        classify_regions(view, Mosaics(1))
    model, *rest = tiny.openclip_parts()
    view = whyclip.wrap(model, *rest)
    model.train()
    with pytest.raises(UnsupportedModelError, match="training mode"):
        classify_regions(view, Mosaics(1), template="{}")
    model.eval()
    with torch.no_grad():
        model.visual.proj[0, 0] = torch.nan
    with pytest.raises(UnsupportedModelError, match="NaN"):
        classify_regions(view, Mosaics(1), template="{}")


def test_prepared_for_another_model(view: whyclip.ModelView) -> None:
    prepared = prepare_regions(view, Mosaics(2), size=64)
    assert region_accuracy(view, prepared, template="{}")["boxes"].n == 6
    other = whyclip.wrap(*tiny.openclip_parts(patch_size=16))
    with pytest.raises(InputError, match=r"prepared for 64×64 pixels in patches of 8; .* of 16"):
        classify(other, prepared, template="{}")
    model, preprocess, tokenizer = tiny.openclip_parts()
    preprocess.transforms[-1].mean = (0.0, 0.0, 0.0)
    with pytest.raises(InputError, match="another normalisation"):
        classify(whyclip.wrap(model, preprocess, tokenizer), prepared, template="{}")


def test_pooling_heads_and_transformers(tmp_path: Path) -> None:
    """A SigLIP of transformers, with a head that pools, from the data to the page."""
    view = whyclip.wrap(*SMALL["siglip"]())
    result = classify_regions(view, Mosaics(6, 2), template="a {}")
    assert result.counts["boxes"].n == 18
    assert result.save(tmp_path).is_file()
