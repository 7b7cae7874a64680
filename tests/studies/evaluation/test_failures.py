"""A sample that cannot be read is a row with its error; it costs no other sample anything."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny
import whyclip
from pictures import CLASSES, Pictures
from whyclip.datasets import Sample
from whyclip.datasets.coco import CocoInstances
from whyclip.datasets.folder import Folder
from whyclip.errors import InputError, ModelError, WhyclipWarning
from whyclip.studies.evaluation import Evaluation, evaluate

MODEL = whyclip.wrap(*tiny.openclip_parts())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhyclipWarning)
        yield


def run(dataset: Any, out: Path | None = None, **other: Any) -> Evaluation:
    options: dict[str, Any] = {"metrics": ["deletion", "iou"], "batch_size": 4, **other}
    return evaluate(MODEL, dataset, ["raw_attention"], out=out, **options)


def draw(path: Path, seed: int, size: tuple[int, int] = (40, 32)) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six images of two classes with masks, the first of each class among the last."""
    where = tmp_path / "data"
    where.mkdir()
    for number in range(6):
        draw(where / f"{number}.png", number)
        mask = np.zeros((32, 40), np.uint8)
        mask[4 + number : 20, 10:30] = 255
        Image.fromarray(mask).save(where / f"mask{number}.png")
    listed(where, range(6))
    return where


def listed(where: Path, numbers: Any) -> Folder:
    rows = [f"{n}.png,{('dog', 'cat')[n % 2]},mask{n}.png" for n in numbers]
    (where / "index.csv").write_text("\n".join(["image,label,mask", *rows]))
    return Folder(where)


def damaged(at: Path) -> None:
    (at / "2.png").write_bytes((at / "2.png").read_bytes()[:400])


def no_image(at: Path) -> None:
    (at / "2.png").write_bytes(b"<html>404</html>")


def empty_file(at: Path) -> None:
    (at / "2.png").write_bytes(b"")


def missing(at: Path) -> None:
    (at / "2.png").unlink()


def a_folder(at: Path) -> None:
    (at / "2.png").unlink()
    (at / "2.png").mkdir()


def mask_of_another_size(at: Path) -> None:
    Image.new("L", (20, 20), 255).save(at / "mask2.png")


def mask_missing(at: Path) -> None:
    (at / "mask2.png").unlink()


def mask_damaged(at: Path) -> None:
    (at / "mask2.png").write_bytes((at / "mask2.png").read_bytes()[:60])


FAULTS = (damaged, no_image, empty_file, missing, a_folder, mask_of_another_size, mask_missing,
          mask_damaged)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_one_broken_sample_is_a_row_and_all_others_are_measured(
    data: Path, tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    whole = run(Folder(data))
    fault(data)
    with pytest.warns(WhyclipWarning, match=r"1 of 6 samples failed; first: '2.png#0': "):
        result = run(Folder(data), tmp_path / "out")
    assert [record.sample for record in result.failed] == ["2.png#0"]
    error = result.failed[0].error
    assert "\n" not in error
    assert ("mask" if "mask" in fault.__name__ else "2.png") in error
    others = [row for row in whole.rows if row.sample != "2.png#0"]
    assert [row[:-1] for row in result.rows] == [row[:-1] for row in others]
    values = [row.value for row in others]
    assert [row.value for row in result.rows] == pytest.approx(values, abs=1e-6, nan_ok=True)
    rows = [json.loads(x) for x in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert [row["sample"] for row in rows if row["error"]] == ["2.png#0"]
    assert len(rows) == 6


def test_the_report_counts_and_lists_them_until_they_are_repaired(
    data: Path, tmp_path: Path
) -> None:
    original = (data / "2.png").read_bytes()
    damaged(data)
    missing_one = listed(data, [0, 1, 2, 3, 4, 5])
    (data / "5.png").unlink()
    result = run(missing_one, tmp_path / "out")
    result.save(tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "2 of 6 samples failed" in report
    assert "2 of 6 samples failed" in (tmp_path / "out" / "index.html").read_text()
    with (tmp_path / "out" / "failed-samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == ["2.png#0", "5.png#0"]
    assert "2.png" in rows[0]["error"]

    # One is repaired, the other removed from the table.
    (data / "2.png").write_bytes(original)
    repaired = run(listed(data, range(5)), tmp_path / "out")
    assert repaired.facts["measured before"].startswith("4 samples")
    assert not repaired.failed
    fresh = run(Folder(data))
    assert [row[:-1] for row in repaired.rows] == [row[:-1] for row in fresh.rows]
    assert repaired.subjects == fresh.subjects
    repaired.save(tmp_path / "out")
    assert "failed" not in (tmp_path / "out" / "report.md").read_text()
    assert not (tmp_path / "out" / "failed-samples.csv").exists()
    assert 'error":""' in (tmp_path / "out" / "samples.jsonl").read_text()


def test_finished_rows_stay_valid_whatever_becomes_of_the_file_list(
    data: Path, tmp_path: Path
) -> None:
    run(listed(data, range(5)), tmp_path / "out")
    for numbers in ([1, 2, 3, 4], [3, 1, 4, 5], range(6)):
        result = run(listed(data, numbers), tmp_path / "out")
        known = 4 if 5 not in numbers else 3 if len(numbers) == 4 else 6
        assert result.facts["measured before"].startswith(f"{known} samples"), numbers
        fresh = run(Folder(data))
        assert result.subjects == fresh.subjects, "classes come in another order"
        assert [row[:-1] for row in result.rows] == [row[:-1] for row in fresh.rows]


class AllBroken(Pictures):
    def sample(self, index: int) -> Sample:
        sample = super().sample(index)
        return Sample(sample.id, Path(f"gone{index}.png"), sample.labels, sample.prompts)


def test_a_run_without_any_result_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 5 samples .*'picture 0': .*gone0\.png"):
        run(AllBroken(), tmp_path / "new" / "out", metrics=["deletion"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(InputError):
        run(AllBroken(), tmp_path, metrics=["deletion"])
    assert [p.name for p in tmp_path.iterdir() if p.name == "mine.txt"] == ["mine.txt"]


def test_a_model_that_fails_ends_the_run_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explain(*_: object) -> None:
        raise ModelError("no attention here")

    monkeypatch.setattr("whyclip.studies.cases.CaseSetup.explained", explain)
    with pytest.raises(ModelError, match="sample 'picture 0': no attention here"):
        run(Pictures(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sample_that_cannot_even_be_described_is_a_row(tmp_path: Path) -> None:
    class Strange(Pictures):
        def sample(self, index: int) -> Sample:
            if index == 0:
                raise InputError("row 0 has no label")
            sample = super().sample(index)
            if index == 1:
                return Sample(sample.id, sample.source, ("unicorn",), ("a unicorn",))
            return sample

    result = run(Strange(), tmp_path / "out", prompt="pred")
    errors = [record.error for record in result.failed]
    assert errors == ["row 0 has no label", f"'unicorn' is not one of the {len(CLASSES)} classes "
                      "of pictures"]  # fmt: skip
    assert len(result.records) == 3


def test_failures_do_not_depend_on_the_batch_size(data: Path) -> None:
    damaged(data)
    mask_missing(data)
    one, many = (run(Folder(data), batch_size=size) for size in (1, 64))
    assert [row[:-1] for row in one.rows] == [row[:-1] for row in many.rows]
    assert [r.error for r in one.failed] == [r.error for r in many.failed]


def test_an_annotation_of_a_missing_file_is_a_row(data: Path, tmp_path: Path) -> None:
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 32, "width": 40} for n in range(4)]
        + [{"id": 4, "file_name": "4.png"}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"image_id": n, "category_id": 1 + n % 2, "segmentation": [[2, 2, 30, 2, 30, 30]]}
            for n in range(5)
        ],
    }
    content["annotations"][3]["segmentation"] = {"size": [32, 40], "counts": "not"}  # type: ignore[index]
    (tmp_path / "a.json").write_text(json.dumps(content))
    (data / "1.png").unlink()
    result = run(CocoInstances(data, tmp_path / "a.json"))
    assert [record.sample for record in result.records] == ["0", "2"]
    errors = {record.sample: record.error for record in result.failed}
    assert "1.png" in errors["1"]
    assert "run lengths" in errors["3"]
    assert "lacks 'height'" in errors["number 4"]


def test_a_row_of_the_datasets_library_with_a_broken_image_is_a_row() -> None:
    import datasets as library
    from whyclip.datasets.huggingface import HfDataset

    images = [{"bytes": encoded(n), "path": None} for n in range(4)]
    images[1]["bytes"] = images[1]["bytes"][:50]  # type: ignore[index]
    images[2]["bytes"] = b"no image"  # type: ignore[assignment]
    features = {"image": library.Image(decode=False), "label": library.Value("string")}
    rows = library.Dataset.from_dict(
        {"image": images, "label": ["dog", "cat", "dog", "cat"]},
        features=library.Features(features),
    ).cast_column("image", library.Image())
    result = run(HfDataset(rows), metrics=["deletion"])
    assert [record.sample for record in result.records] == ["0", "3"]
    assert len(result.failed) == 2
    for record in result.failed:
        assert "cannot be read" in record.error


def encoded(seed: int) -> bytes:
    from io import BytesIO

    pixels = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
