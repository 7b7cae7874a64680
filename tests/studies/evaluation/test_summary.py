"""Means, differences and marks of best, on values whose answers are known."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
import whyclip
from pictures import Pictures
from whyclip.datasets import Sample
from whyclip.errors import OptionError
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.evaluation import (
    Evaluation,
    ExplainedPrompt,
    evaluate,
    main_tables,
    make_setup,
    summarise,
)
from whyclip.studies.evaluation.case_record import CaseRecord, PromptRecord
from whyclip.studies.evaluation.figures import curves, dots

MODEL = whyclip.wrap(*tiny.openclip_parts())
METHODS = ("good", "equal", "bad", "random")


def planted(values: dict[str, list[float]], metric: str = "iou", per_image: int = 1) -> Evaluation:
    """An evaluation whose values are given: a list for each method, some subjects a picture."""
    setup = make_setup(MODEL, Pictures(), {name: {} for name in ("game", "maskclip")}, [metric])
    setup = setup.__class__(
        tuple(renamed(setup.methods[0], name) for name in values), setup.metrics, seed=0
    )
    [read, *_] = setup.metrics[0].readings or ("",)
    number = len(next(iter(values.values())))
    records = []
    for start in range(0, number, per_image):
        measured = []
        for index in range(start, min(start + per_image, number)):
            subject = ExplainedPrompt("dog", 0, "a dog", 0, "dog", index % 3 == 0)
            cells = {(name, metric, read): row[index] for name, row in values.items()}
            measured.append(PromptRecord(subject, cells))
        records.append(CaseRecord(start, str(start), f"image {start}", False, measured))
    return Evaluation(setup, tuple(records), {})


def renamed(variant: Any, name: str) -> Any:
    return replace(variant, label=name)


def noisy(shift: float, seed: int, n: int = 60) -> list[float]:
    return (shift + 0.05 * np.random.default_rng(seed).standard_normal(n)).tolist()


def test_the_best_is_marked_only_where_it_is_more_than_chance() -> None:
    hard = np.random.default_rng(9).standard_normal(60)
    base = {"good": noisy(0.8, 1), "bad": noisy(0.5, 2), "random": noisy(0.1, 3)}
    # What makes a sample hard is the same for all, and hides the difference from plain intervals.
    shared = {name: (np.array(row) + hard).tolist() for name, row in base.items()}
    lines = {line.method: line for line in summarise(planted(shared))}
    assert [name for name, line in lines.items() if line.best] == ["good"]
    assert lines["good"].value.low < lines["bad"].value.high, "only pairing can tell them apart"
    equal = {**shared, "equal": (np.array(noisy(0.8, 4)) + hard).tolist()}
    assert not any(line.best for line in summarise(planted(equal)))
    table = main_tables(summarise(planted(shared)))[0]
    assert table.best == {(0, "iou")}


def test_of_two_methods_with_the_same_values_none_is_best() -> None:
    row = noisy(0.8, 1)
    lines = summarise(planted({"good": row, "equal": row, "random": noisy(0.1, 3)}))
    assert not any(line.best for line in lines)
    [second] = [line for line in lines if line.method == "equal"]
    assert second.to_best is not None
    # They are equal in 60 of 60 cases; in up to 6 % of others they may differ.
    unseen = 1 - 0.025 ** (1 / 60)
    assert (second.to_best.low, second.to_best.high) == pytest.approx((-unseen, unseen))
    assert not main_tables(lines)[0].best


@pytest.mark.parametrize("per_image", [1, 4])
def test_few_pictures_have_no_best(per_image: int) -> None:
    for pictures, best in ((MIN_GROUPS - 1, set()), (MIN_GROUPS, {"good"})):
        n = per_image * pictures
        values = {"good": noisy(0.8, 1, n), "bad": noisy(0.5, 2, n), "random": noisy(0.1, 3, n)}
        lines = summarise(planted(values, per_image=per_image))
        assert {line.method for line in lines if line.best} == best
        assert bool(main_tables(lines)[0].best) == bool(best)


def test_lower_is_better_where_the_metric_says_so() -> None:
    values = {"good": noisy(0.8, 1), "bad": noisy(0.5, 2), "random": noisy(0.1, 3)}
    [best] = [line for line in summarise(planted(values, "deletion")) if line.best]
    assert best.method == "random"


def test_differences_are_means_of_differences() -> None:
    values = {"good": noisy(0.8, 1), "bad": noisy(0.5, 2), "random": noisy(0.1, 3)}
    lines = {line.method: line for line in summarise(planted(values))}
    difference = np.mean(np.array(values["bad"]) - np.array(values["random"]))
    assert lines["bad"].to_control is not None
    assert lines["bad"].to_best is not None
    assert lines["bad"].to_control.mean == pytest.approx(difference)
    assert lines["bad"].to_best.mean == pytest.approx(
        np.mean(np.array(values["bad"]) - np.array(values["good"]))
    )
    assert lines["random"].to_control is None
    assert lines["good"].to_best is None


def test_subjects_of_one_picture_are_drawn_together() -> None:
    row = np.repeat([0.0, 1.0] * 10, 5).tolist()
    together = planted({"good": row, "random": row}, per_image=5).interval("good", "iou")
    apart = planted({"good": row, "random": row}).interval("good", "iou")
    assert (together.n, together.groups, apart.groups) == (100, 20, 100)
    assert together.high - together.low > 1.8 * (apart.high - apart.low)


class Rows(Pictures):
    """Five samples of two pictures."""

    def sample(self, index: int) -> Sample:
        return replace(super().sample(index), image_id=f"picture {index % 2}")


def test_samples_of_one_picture_are_drawn_together() -> None:
    result = evaluate(MODEL, Rows(), ["raw_attention"], ["iou"])
    assert {record.image for record in result.records} == {"picture 0", "picture 1"}
    value = result.interval("raw_attention", "iou")
    assert (value.n, value.groups) == (7, 2)


def test_right_and_wrong_are_told_apart() -> None:
    row = [1.0 if i % 3 == 0 else 0.25 for i in range(30)]
    result = planted({"good": row, "random": [0.0] * 30})
    assert result.interval("good", "iou", correct=True).mean == 1
    assert result.interval("good", "iou", correct=False).mean == 0.25
    assert result.difference("good", "random", "iou", correct=False).mean == 0.25
    assert result.accuracy.mean == pytest.approx(1 / 3)


def test_what_was_not_measured_is_said_with_the_nearest() -> None:
    result = planted({"good": [1.0], "random": [0.0]})
    for arguments, message in (
        (("godo", "iou"), "did you mean good"),
        (("good", "ious"), "did you mean iou"),
        (("good", "iou", "top1"), "unknown reading of iou 'top1'"),
    ):
        with pytest.raises(OptionError, match=message):
            result.values(*arguments)
    with pytest.raises(OptionError, match="has no curve"):
        result.curve("good", "iou")


def test_everything_is_written(tmp_path: Path) -> None:
    result = evaluate(
        MODEL, Pictures(), ["grad_eclip"], ["deletion", "iou", "word_deletion"], out=tmp_path,
        command="whyclip evaluate --data pictures",
    )  # fmt: skip
    page = result.save(tmp_path)
    html = page.read_text(encoding="utf-8")
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        "faithfulness-image.csv", "faithfulness-words.csv", "location.csv", "differences.csv",
        "every-reading.csv", "values.csv", "report.md", "samples.jsonl",
        "curves-of-deletion-and-insertion.png", "means-with-intervals.png",
    } <= names  # fmt: skip
    assert "whyclip evaluate --data pictures" in html
    with (tmp_path / "values.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == pytest.approx(
        [row.value for row in result.rows], nan_ok=True
    )
    with (tmp_path / "location.csv").open(encoding="utf-8", newline="") as file:
        [first, control] = csv.DictReader(file)
    values = result.values("grad_eclip", "iou")
    assert float(first["iou"]) == pytest.approx(np.nanmean(values))
    assert int(first["iou_n"]) == np.isfinite(values).sum() == 7, "one picture has no mask"
    assert float(first["iou_low"]) <= float(first["iou"]) <= float(first["iou_high"])
    assert control["method"] == "random"


def test_the_data_frame_has_a_row_for_each_value() -> None:
    result = planted({"good": [1.0, 0.5], "random": [0.0, 0.25]})
    frame = result.to_dataframe()
    assert frame.groupby("method").value.mean().to_dict() == {"good": 0.75, "random": 0.125}


def test_figures_show_what_the_tables_say() -> None:
    result = evaluate(MODEL, Pictures(), ["grad_eclip", "maskclip"], ["insertion", "iou"])
    drawn = curves(result)
    assert drawn is not None
    panels = [panel for panel in drawn.axes if panel.get_visible()]
    assert [panel.get_title() for panel in panels] == ["Insertion, top-1 ↑", "Insertion, score ↑"]
    for panel, read in zip(panels, ("top1", "score"), strict=True):
        for line, method in zip(panel.lines, result.methods, strict=True):
            curve = result.curve(method, "insertion", read)
            assert np.allclose(line.get_xdata(), 100 * curve.amounts)
            assert np.allclose(line.get_ydata(), curve.scores)
    lines = summarise(result)
    shown = [panel for panel in dots(lines).axes if panel.get_visible()]
    assert len(shown) == 3
    marks = [line for line in shown[2].lines if line.get_marker() in "oD"]
    for mark, method in zip(marks, result.methods, strict=True):
        assert mark.get_xdata()[0] == pytest.approx(result.interval(method, "iou").mean)
    assert curves(planted({"good": [1.0], "random": [0.0]})) is None
