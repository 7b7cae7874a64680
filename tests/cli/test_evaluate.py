"""``whyclip evaluate``, ``metrics`` and ``datasets``, as a user meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from whyclip.datasets import dataset_kinds
from whyclip.metrics import METRICS


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of noise with labels and masks."""
    where = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for number, label in enumerate(("dog", "cat", "dog")):
        noise = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(where / f"{number}.png")
        mask = np.zeros((32, 40), np.uint8)
        mask[8:20, 10:30] = 255
        Image.fromarray(mask).save(where / f"mask{number}.png")
        rows.append({"image": f"{number}.png", "label": label, "mask": f"mask{number}.png"})
    with (where / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["image", "label", "mask"])
        writer.writeheader()
        writer.writerows(rows)
    return where / "photos.csv"


def test_a_table_in_the_terminal_and_a_report_in_the_folder(
    whyclip_command: Any, folder: Path, photos: Path, tmp_path: Path
) -> None:
    command = [
        "evaluate", "--data", f"folder:{photos}", "--model", folder,
        "--methods", "grad_eclip:spatial=none,maskclip", "--methods", "game",
        "--metrics", "iou,insertion", "--seed", 3, "--out", tmp_path / "out",
    ]  # fmt: skip
    done = whyclip_command(*command)
    assert done.code == 0, done.err
    for text in ("grad_eclip:spatial=none", "maskclip", "game", "random", "IoU ↑", "Insertion"):
        assert text in done.out
    assert f"wrote {tmp_path / 'out' / 'index.html'}" in done.err
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["methods"]["grad_eclip:spatial=none"]["options"]["spatial"] == "none"
    report = (tmp_path / "out" / "report.md").read_text()
    assert "whyclip evaluate --data" in report
    assert "--methods grad_eclip:spatial=none,maskclip,game" in report
    again = whyclip_command(*command, "--batch-size", 2)
    assert again.out == done.out
    assert "3 samples, by an earlier run" in (tmp_path / "out" / "report.md").read_text()
    other = whyclip_command(
        *command[:-2], "--sides", "image", "--limit", 2, "--out", tmp_path / "2"
    )
    assert other.code == 0
    assert len((tmp_path / "2" / "samples.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "grad_eclpi"], "did you mean"),
        (["--methods", "grad_eclip:spacial=none"], "spatial"),
        (["--methods", "grad_eclip:spatial"], "KEY=VALUE"),
        (["--metrics", "iuo"], "unknown metric 'iuo'"),
        (["--prompt", "truth"], "'--prompt': 'truth' is not one of 'gt', 'pred'"),
        (["--protocol", "rices"], "rise"),
        (["--sides", "left"], "unknown side 'left'"),
        (["--data", "scene:5"], "scenes"),
        (["--data", "folder:gone.csv"], "gone.csv"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(
    whyclip_command: Any,
    photos: Path,
    folder: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
) -> None:
    given = ["evaluate", "--data", f"folder:{photos}", "--model", folder, "--out", tmp_path / "o"]
    done = whyclip_command(*given, *options)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "o" / "samples.jsonl").exists()


def test_without_data_other_models_are_asked_for_it(whyclip_command: Any, folder: Path) -> None:
    done = whyclip_command("evaluate", "--model", folder)
    assert done.code == 2
    assert "--data is required" in done.err


def test_an_interruption_says_how_to_go_on(
    whyclip_command: Any, folder: Path, photos: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whyclip.studies.evaluation.run.Run.records", stop)
    done = whyclip_command(
        "evaluate", "--data", f"folder:{photos}", "--model", folder, "--methods", "game",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 130
    assert "resumes" in done.err


def test_metrics_lists_every_metric_and_shows_a_formula(whyclip_command: Any) -> None:
    done = whyclip_command("metrics")
    assert done.code == 0
    for metric in METRICS.values():
        assert metric.name in done.out
    one = whyclip_command("metrics", "iou")
    assert "|above ∩ mask| / |above ∪ mask|" in one.out
    assert "Args" not in one.out
    assert whyclip_command("metrics", "iuo").code == 2


def test_datasets_lists_every_kind(whyclip_command: Any) -> None:
    done = whyclip_command("datasets")
    assert done.code == 0
    for kind in dataset_kinds().values():
        assert f"{kind.name}:{kind.form}" in done.out
