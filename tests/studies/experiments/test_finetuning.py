"""The fine-tuning experiment: its scenes, its measures against loops, and its verdicts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from whyclip.errors import OptionError, WhyclipError
from whyclip.finetuning.batch import Example, make_batch
from whyclip.finetuning.passes import run_with_gradients
from whyclip.finetuning.scene_table import CONCEPTS, PHRASE_TEMPLATE, SIDE, SceneTable, draw_table
from whyclip.finetuning.small_clip import small_clip
from whyclip.models import ModelView
from whyclip.regions.counts import Counts
from whyclip.regions.dense import dense_features
from whyclip.scenes.captions import phrase
from whyclip.scenes.drawing import draw
from whyclip.scenes.layout import keys_of, sample_layouts
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments import finetuning_runs as runs
from whyclip.studies.experiments import finetuning_starts as starts
from whyclip.studies.experiments import get_experiment
from whyclip.studies.experiments.finetuning_report import findings_of
from whyclip.studies.experiments.finetuning_runs import (
    ARMS,
    Measured,
    Record,
    Task,
    load_records,
    measure,
    row_batches,
    run_task,
    save_records,
)
from whyclip.studies.experiments.run import reproduce

SCENES = 40


@pytest.fixture(scope="module")
def view() -> ModelView:
    return small_clip()


@pytest.fixture(scope="module")
def table(view: ModelView) -> SceneTable:
    return draw_table(view, SCENES, split="val")


def test_a_scene_does_not_depend_on_how_many_are_drawn(view: ModelView, table: SceneTable) -> None:
    few = draw_table(view, 3, split="val")
    assert torch.equal(few.images, table.images[:3])
    assert few.captions == table.captions[:3]


def test_boxes_and_shares_are_those_of_the_visible_pixels(table: SceneTable) -> None:
    keys = keys_of(np.arange(SCENES), "val")
    layout = sample_layouts(load_atlas(), keys, side=SIDE, concepts=CONCEPTS)
    masks = draw(load_atlas(), layout, SIDE, SIDE, masks=True)[1]
    assert masks is not None
    for row in range(SCENES):
        for slot in range(4):
            ys, xs = np.nonzero(masks[row, slot].numpy())
            expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else [0, 0, 0, 0]
            assert table.boxes[row, slot].tolist() == expected
            cells = masks[row, slot].reshape(7, 16, 7, 16).float().mean((1, 3)).flatten()
            assert torch.allclose(table.shares[row, slot].float(), cells, atol=1e-3)


def test_a_batch_is_the_one_that_examples_give(view: ModelView, table: SceneTable) -> None:
    rows = torch.tensor([5, 2, 9])
    batch = table.batch(rows)
    examples = []
    for row in rows.tolist():
        image = Image.fromarray(table.images[row].permute(1, 2, 0).numpy())
        named = [table.phrases[n] for n in table.named[row].tolist() if n >= 0]
        examples.append(Example(str(row), image, table.captions[row], tuple(named)))
    expected = make_batch(view, examples, extract=lambda _: [], template=PHRASE_TEMPLATE)
    assert torch.equal(batch.pixels, expected.pixels)
    assert torch.equal(batch.captions, expected.captions)

    def readable(one: object) -> list[tuple[int, tuple[int, ...]]]:
        pairs, phrases = one.pairs.tolist(), one.phrases.tolist()  # type: ignore[attr-defined]
        return sorted((image, tuple(phrases[phrase])) for image, phrase in pairs)

    assert readable(batch) == readable(expected)


def test_a_caption_names_the_objects_that_its_phrases_are_of(table: SceneTable) -> None:
    names = load_atlas().names
    for row in range(SCENES):
        for slot, number in enumerate(table.named[row].tolist()):
            if number >= 0:
                assert names[int(table.concepts[row, slot])] in table.phrases[number]


def test_measures_are_those_of_plain_loops(view: ModelView, table: SceneTable) -> None:
    measures = measure(view, table)
    names = load_atlas().names[:CONCEPTS]
    ids = view.tokenizer([PHRASE_TEMPLATE.format(phrase(name)) for name in names])
    with torch.no_grad():
        classes = F.normalize(view.text.encode(ids), dim=-1)
        run = run_with_gradients(view.image, table.pixels(torch.arange(SCENES)))
        dense = dense_features(view.image, run.inputs[-1], 49)
        scores = F.normalize(view.image.encode(table.pixels(torch.arange(SCENES))), dim=-1)
    scores = scores @ classes.T
    right, total = np.zeros(CONCEPTS), np.zeros(CONCEPTS)
    hits = 0
    for row in range(SCENES):
        present = [int(c) for c in table.concepts[row] if c >= 0]
        best = scores[row].argsort(descending=True)[: len(present)].tolist()
        hits += len(set(best) & set(present))
        for slot in range(4):
            left, top, right_, bottom = table.boxes[row, slot].tolist()
            if (right_ - left) * (bottom - top) < 64:
                continue
            label = int(table.concepts[row, slot])
            feature = (table.shares[row, slot].float()[:, None] * dense[row]).sum(0)
            total[label] += 1
            right[label] += int((classes @ feature).argmax()) == label
    there = total > 0
    assert measures.masks.macc() == pytest.approx((right[there] / total[there]).mean())
    assert measures.recall == pytest.approx(hits / int((table.concepts >= 0).sum()))


def test_a_share_of_the_scenes_is_fixed_and_each_epoch_shows_all_of_it() -> None:
    def epochs(share: float, seed: int) -> list[set[int]]:
        drawn = row_batches(100, 5, share, seed)
        per_epoch = round(100 * share) // 5
        return [
            {int(i) for _ in range(per_epoch) for i in next(drawn)} for _ in range(3)
        ]  # fmt: skip

    first, second, third = epochs(0.2, 0)
    assert len(first) == 20
    assert first == second == third
    assert epochs(0.2, 0)[0] == first
    assert epochs(0.2, 1)[0] != first
    with pytest.raises(WhyclipError, match="1% of 100"):
        next(row_batches(100, 5, 0.01, 0))


def test_training_leaves_the_start_alone_and_depends_on_the_seed_alone(
    view: ModelView, table: SceneTable
) -> None:
    before = view.fingerprint
    settings = dataclasses.replace(runs.SETTINGS, batch_size=8)

    def once(seed: int) -> float:
        task = Task("weak", 1.0, "grad_eclip", seed)
        record = run_task(task, view, table, table, steps=2, settings=settings)
        return record.losses["local"]

    assert once(0) == once(0) != once(1)
    assert view.fingerprint == before


def _counts(accuracy: float, n: int = 400) -> Counts:
    total = np.ones((n, 4))
    correct = (np.random.default_rng(0).random((n, 4)) < accuracy).astype(float)
    return Counts(total, {1: correct, 5: np.ones((n, 4))})


def _record(arm: str, accuracy: float, recall: int = 3) -> Record:
    counts = _counts(accuracy)
    # Equal values would say little about other scenes.
    hits = recall + np.random.default_rng(recall).permutation([-1.0, 1.0] * 200)
    losses = {"global": 1.0, "local": 2.0}
    return Record(Task("weak", 1.0, arm, 0), Measured(counts, counts, hits, hits * 0 + 4), losses)


def test_verdicts_follow_the_numbers() -> None:
    accuracies = dict.fromkeys(ARMS, 0.3) | {"grad_eclip": 0.7, "true": 0.72, "global": 0.4}
    records = [_record(arm, value) for arm, value in accuracies.items()]
    outcomes = {
        verdict.claim.title.removeprefix("From the weak start: "): verdict.verdict
        for verdict in findings_of(records, seed=0, steps=1).findings
    }
    assert outcomes == {
        "Grad-ECLIP's maps teach more than random maps": "pass",
        "Grad-ECLIP's maps teach more than uniform maps": "pass",
        "the global loss alone helps": "pass",
        "the local loss with Grad-ECLIP helps beyond the global loss": "pass",
        "even random maps help beyond the global loss": "fail",
        "Grad-ECLIP comes within 5 points of true masks": "pass",
        "zero-shot recall falls by less than 2 points": "pass",
    }


def test_maps_that_teach_no_more_than_random_ones_are_not_called_better() -> None:
    records = [_record(arm, 0.5) for arm in ARMS]
    first, *_ = findings_of(records, seed=0, steps=1).findings
    assert first.verdict != "pass"


def test_an_arm_that_loses_recall_is_no_success() -> None:
    records = [_record("original", 0.3), _record("grad_eclip", 0.9, recall=2)]
    findings = findings_of(records, seed=0, steps=1)
    assert findings.findings[-1].verdict == "fail"
    [row] = [r for r in findings.sections[1].rows if "Grad-ECLIP" in r["arm"]]  # type: ignore[union-attr]
    assert row["success"] == "no"


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    records = [_record("random", 0.5), _record("original", 0.2)]
    save_records(records, tmp_path / "kept.npz")
    for before, after in zip(records, load_records(tmp_path / "kept.npz"), strict=True):
        assert after.task == before.task
        assert after.losses == before.losses
        assert np.array_equal(after.measured.boxes.correct[1], before.measured.boxes.correct[1])
        assert after.measured.recall == before.measured.recall


def test_the_experiment_runs_from_start_to_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHYCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(starts, "STEPS", {"weak": 2, "strong": 3})
    monkeypatch.setattr(starts, "SCENES", 32)
    small = dataclasses.replace(runs.SETTINGS, batch_size=8)
    monkeypatch.setattr(starts, "RECIPE", dataclasses.replace(small, warmup=1))
    monkeypatch.setitem(run_task.__kwdefaults__, "settings", small)
    monkeypatch.setattr("whyclip.studies.experiments.finetuning.FINETUNED_ON", 32)
    options = {"arms": "original+global+random+grad_eclip", "steps": 1, "seeds": 2}
    report = reproduce(get_experiment("finetuning"), limit=12, **options)
    page = report.save(tmp_path / "report").read_text(encoding="utf-8")
    assert "maps teach more than random maps" in page
    assert starts.start_file("weak").exists()
    rows = (tmp_path / "report" / "every-training.csv").read_text().splitlines()
    assert len(rows) == 1 + 1 + 3 * 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"arms": "grad_eclipse"}, "grad_eclipse"),
        ({"shares": "0.1+x"}, "0.1+x"),
        ({"shares": "2"}, "'2'"),
        ({"seeds": 0}, "seeds=0"),
        ({"records": "nowhere.npz"}, "nowhere.npz"),
    ],
)
def test_options_that_cannot_be_used_are_quoted(options: dict[str, object], named: str) -> None:
    with pytest.raises(OptionError, match=re.escape(named)):
        reproduce(get_experiment("finetuning"), limit=5, **options)
