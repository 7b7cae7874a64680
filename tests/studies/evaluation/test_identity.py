"""A folder belongs to one model, with its preprocessing, and to one dataset, with its contents."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_clip.transform import image_transform
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tiny
import whyclip
from pictures import Pictures
from whyclip.datasets import Dataset
from whyclip.datasets.folder import Folder
from whyclip.datasets.scenes import SceneSamples
from whyclip.errors import OutputError
from whyclip.models import ModelView
from whyclip.studies.candidates import class_candidates
from whyclip.studies.evaluation import Evaluation, evaluate
from whyclip.types import Precision

MODEL = whyclip.wrap(*tiny.openclip_parts())


def run(out: Path | None, dataset: Dataset, model: ModelView = MODEL, **other: Any) -> Evaluation:
    return evaluate(model, dataset, ["raw_attention"], ["iou"], out=out, **other)


ROWS = ("image,label,prompt,mask", "0.png,dog,a big dog,mask.png", "1.png,cat,,")


def written(folder: Path, *rows: str) -> Folder:
    (folder / "index.csv").write_text("\n".join(rows or ROWS))
    return Folder(folder)


def drawn(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), np.uint8)
    # Black rows compress to nothing, so that no two seeds have files of one size.
    noise[: 2 + 5 * seed] = 0
    Image.fromarray(noise).save(path)


@pytest.fixture
def two_rows(tmp_path: Path) -> Folder:
    folder = tmp_path / "data"
    folder.mkdir()
    for number, name in enumerate(("0.png", "1.png", "mask.png", "other.png")):
        drawn(folder / name, number)
    return written(folder)


HEAD, FIRST, SECOND = ROWS
CHANGES: dict[str, Callable[[Path], Any]] = {
    "prompt": lambda at: written(at, HEAD, FIRST.replace("big", "small"), SECOND),
    "another mask": lambda at: written(at, HEAD, FIRST.replace("mask", "other"), SECOND),
    "one mask more": lambda at: written(at, HEAD, FIRST, SECOND + "other.png"),
    "another picture": lambda at: written(at, HEAD, "other" + FIRST[1:], SECOND),
    "picture drawn anew": lambda at: drawn(at / "1.png", 4),
    "mask drawn anew": lambda at: drawn(at / "mask.png", 4),
}


@pytest.mark.parametrize("what", CHANGES)
def test_only_rows_that_were_changed_are_measured_again(
    two_rows: Folder, tmp_path: Path, what: str
) -> None:
    first = run(tmp_path / "out", two_rows)
    again = run(tmp_path / "out", Folder(two_rows.root))
    assert repr(again.rows) == repr(first.rows)
    assert again.facts["measured before"].startswith("2 samples")
    CHANGES[what](two_rows.root)
    changed = run(tmp_path / "out", Folder(two_rows.root))
    assert changed.facts["measured before"].startswith("1 samples")
    assert repr(changed.rows) == repr(run(None, Folder(two_rows.root)).rows)
    lines = (tmp_path / "out" / "samples.jsonl").read_text().splitlines()
    ids = [record.sample for record in changed.records]
    assert set(ids) <= {json.loads(line)["sample"] for line in lines}


def test_rows_that_were_all_changed_are_another_dataset(two_rows: Folder, tmp_path: Path) -> None:
    run(tmp_path / "out", two_rows)
    for number, name in enumerate(("0.png", "1.png"), 4):
        drawn(two_rows.root / name, number)
    with pytest.raises(OutputError, match="its dataset: none of its samples"):
        run(tmp_path / "out", Folder(two_rows.root))


def test_the_next_checkpoint_in_the_same_module_is_another_model(tmp_path: Path) -> None:
    """A view is evaluated again after its module has loaded other weights."""
    module, *rest = tiny.openclip_parts()
    view = whyclip.wrap(module, *rest)
    first = run(tmp_path / "out", Pictures(), view)
    module.load_state_dict(tiny.openclip_parts(seed=1)[0].state_dict())
    with pytest.raises(OutputError, match="its weights"):
        run(tmp_path / "out", Pictures(), view)
    second = run(tmp_path / "other", Pictures(), view)
    assert repr(second.rows) != repr(first.rows)
    fresh = run(None, Pictures(), whyclip.wrap(*tiny.openclip_parts(seed=1)))
    assert repr(second.rows) == repr(fresh.rows), "classes.safetensors is not the first model's"
    assert second.subjects == fresh.subjects


def test_other_scenes_are_another_dataset(tmp_path: Path) -> None:
    def scenes(seed: int = 0, **options: Any) -> SceneSamples:
        return SceneSamples(2, seed, **options)

    run(tmp_path, scenes(), data="scenes")
    again = run(tmp_path, scenes(), data="scenes")
    assert again.facts["measured before"].startswith("2 samples")
    for other in (scenes(1), scenes(held_out="only"), scenes(objects=1)):
        assert (len(other), other.name, other.classes) == (2, "scenes", scenes().classes)
        with pytest.raises(OutputError, match="its dataset: contents"):
            run(tmp_path, other, data="scenes")


def test_another_preprocessing_is_another_model(tmp_path: Path) -> None:
    model, _, tokenizer = tiny.openclip_parts()

    def shown(**options: Any) -> ModelView:
        preprocess = image_transform(tiny.IMAGE_SIZE, is_train=False, **options)
        return whyclip.wrap(model, preprocess, tokenizer)

    run(tmp_path, Pictures())
    assert run(tmp_path, Pictures(), shown()).facts["measured before"].startswith("5 samples")
    for options in ({"mean": (0.4, 0.5, 0.5)}, {"resize_mode": "squash"}):
        with pytest.raises(OutputError, match="its preprocessing"):
            run(tmp_path, Pictures(), shown(**options))


def test_classes_of_another_model_are_not_taken_for_its_own(tmp_path: Path) -> None:
    run(tmp_path, Pictures(), prompt="pred")
    for name in ("plan.json", "samples.jsonl"):
        (tmp_path / name).unlink()
    other = whyclip.wrap(*tiny.openclip_parts(seed=1))
    result = run(tmp_path, Pictures(), other, prompt="pred")
    assert result.subjects == run(None, Pictures(), other, prompt="pred").subjects
    directions = class_candidates(other, Pictures()).targets.directions
    assert load_file(tmp_path / "classes.safetensors")["directions"].equal(directions)


@pytest.mark.parametrize(
    ("precision", "templates"), [("bf16", ("a photo of a {}.",)), ("fp32", ("a drawing of a {}",))]
)
def test_classes_are_read_only_where_they_are_the_same(
    tmp_path: Path, precision: Precision, templates: tuple[str, ...]
) -> None:
    keep = tmp_path / "classes.safetensors"
    first = class_candidates(MODEL, Pictures(), "fp32", keep).targets.directions
    # What is read is what the file says, even where that was tampered with.
    tampered, metadata = load_file(keep), safe_open(keep, "pt").metadata()
    tampered["directions"] = tampered["directions"].flip(0)
    save_file(tampered, keep, metadata)
    assert class_candidates(MODEL, Pictures(), "fp32", keep).targets.directions.equal(first.flip(0))
    other = class_candidates(MODEL, Pictures(templates), precision, keep).targets.directions
    assert other.equal(class_candidates(MODEL, Pictures(templates), precision).targets.directions)
