"""An evaluation that was cut off goes on, and no folder mixes two evaluations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
import whyclip
from pictures import Pictures
from whyclip.datasets import Sample
from whyclip.datasets.dataset import Subset
from whyclip.errors import InputError, OutputError
from whyclip.studies.evaluation import Evaluation, evaluate

MODEL = whyclip.wrap(*tiny.openclip_parts())
METRICS = ["deletion", "iou", "word_insertion"]


def run(out: Path | None, dataset: Any = None, **other: Any) -> Evaluation:
    options: dict[str, Any] = {"methods": ["grad_eclip"], "metrics": METRICS, **other}
    return evaluate(MODEL, dataset or Pictures(), out=out, **options)


class CutOff(Pictures):
    """Someone pulls the plug at the fourth sample."""

    def sample(self, index: int) -> Sample:
        if index == 3:
            raise KeyboardInterrupt
        return super().sample(index)


def cut_off(folder: Path) -> list[str]:
    """A run that ends early; the ids of the samples it wrote."""
    with pytest.raises(KeyboardInterrupt):
        run(folder, CutOff(), batch_size=2)
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return [json.loads(line)["sample"] for line in lines]


def test_what_goes_on_is_what_was_never_cut_off(tmp_path: Path) -> None:
    assert cut_off(tmp_path) == ["picture 0", "picture 1", "picture 2"]
    dataset = Pictures()
    resumed, whole = run(tmp_path, dataset, batch_size=2), run(None, batch_size=2)
    assert sorted(set(dataset.looked_at) - {0}) == [3, 4], "0 is asked whether it has masks"
    assert [row[:-1] for row in resumed.rows] == [row[:-1] for row in whole.rows]
    values, others = ([row.value for row in one.rows] for one in (resumed, whole))
    assert values == pytest.approx(others, abs=1e-6, nan_ok=True)
    assert any(value != value for value in values), "a NaN survives the file, too"
    for method in whole.methods:
        curves = (one.curve(method, "deletion", "score") for one in (resumed, whole))
        first, second = (curve.scores for curve in curves)
        assert first == pytest.approx(second, abs=1e-6)
    assert resumed.facts["measured before"].startswith("3 samples")


def test_half_a_line_is_measured_again(tmp_path: Path) -> None:
    cut_off(tmp_path)
    file = tmp_path / "samples.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    resumed = run(tmp_path)
    assert resumed.facts["measured before"].startswith("2 samples")
    assert len(file.read_text().splitlines()) == 5
    assert [json.loads(line)["number"] for line in file.read_text().splitlines()] == [*range(5)]


def test_a_finished_one_is_read_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path)
    monkeypatch.setattr("whyclip.studies.evaluation.run.Run._sample", None)
    monkeypatch.setattr("whyclip.encoded_classes.encode_prompts", None)
    second = run(tmp_path)
    assert repr(second.rows) == repr(first.rows), "bit for bit, NaN too"
    assert second.facts["took"] == first.facts["took"], "it took what it took at first"


def test_more_may_be_drawn_later(tmp_path: Path) -> None:
    few = run(tmp_path, Subset(Pictures(), 2, seed=1))
    more = run(tmp_path, Subset(Pictures(), 4, seed=1))
    assert more.facts["measured before"].startswith("2 samples")
    ids = [record.sample for record in more.records]
    assert ids == [sample.id for sample in Subset(Pictures(), 4, seed=1)]
    assert {record.sample for record in few.records} < set(ids)
    again = run(tmp_path, Subset(Pictures(), 2, seed=1))
    assert repr(again.rows) == repr(few.rows)


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "metrics": ({"metrics": ["deletion", "word_insertion"]}, "its metrics: iou, now: fewer"),
    "methods": ({"methods": ["contribution"]}, "its methods: grad_eclip, now: contribution"),
    "options": (
        {"methods": {"grad_eclip": {"spatial": "none"}}},
        "its methods: grad_eclip options spatial loosened, now: grad_eclip options spatial none",
    ),
    "seed": ({"seed": 5}, "random options seed 0, now: random options seed 5"),
    "prompt": ({"prompt": "pred"}, "its prompt: gt, now: pred"),
    "geometry": ({"geometry": "pad"}, "its geometry: model, now: pad"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


@pytest.mark.parametrize("what", CHANGES)
def test_another_question_in_the_same_folder_is_refused(finished: Path, what: str) -> None:
    before = (finished / "samples.jsonl").read_bytes()
    changes, message = CHANGES[what]
    with pytest.raises(OutputError) as caught:
        run(finished, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (finished / "samples.jsonl").read_bytes() == before


def test_other_weights_under_the_same_name_are_refused(finished: Path) -> None:
    other = whyclip.wrap(*tiny.openclip_parts(seed=1))
    assert other.name == MODEL.name
    with pytest.raises(OutputError, match="its weights"):
        evaluate(other, Pictures(), ["grad_eclip"], METRICS, out=finished)


def test_another_dataset_is_refused(finished: Path) -> None:
    class Fewer(Pictures):
        def __len__(self) -> int:
            return 4

    with pytest.raises(OutputError, match="its dataset: samples 5, now: samples 4"):
        run(finished, Fewer())


def test_other_texts_for_the_classes_are_refused(finished: Path) -> None:
    with pytest.raises(OutputError, match="its dataset: classes"):
        run(finished, Pictures(("a bad photo of a {}.",)))


def test_another_batch_size_is_not_another_question(finished: Path) -> None:
    assert run(finished, batch_size=3).facts["measured before"].startswith("5 samples")


def broken_plan(folder: Path) -> None:
    (folder / "plan.json").write_text("{")


def lost_plan(folder: Path) -> None:
    (folder / "plan.json").unlink()


def foreign_line(folder: Path) -> None:
    (folder / "samples.jsonl").write_text('{"number": 0}\n')


def foreign_classes(folder: Path) -> None:
    (folder / "classes.safetensors").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_plan, "plan.json"),
        (lost_plan, "no plan.json"),
        (foreign_line, "lacks 'sample'"),
        (foreign_classes, "classes.safetensors"),
    ],
)
def test_a_damaged_folder_is_an_output_error(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    run(tmp_path)
    damage(tmp_path)
    with pytest.raises(OutputError, match=message):
        run(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        run(tmp_path / "file" / "out")


def test_a_label_that_is_no_class_names_the_sample() -> None:
    class Strange(Pictures):
        def sample(self, index: int) -> Sample:
            sample = super().sample(index)
            return Sample(sample.id, sample.source, ("unicorn",), ("a unicorn",), sample.masks)

    with pytest.raises(
        InputError, match="sample 'picture 0': 'unicorn' is not one of the 6 classes"
    ):
        run(None, Strange())
