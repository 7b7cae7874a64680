"""``whyclip finetune``, as a user meets it."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

import small_runs
import whyclip
from whyclip.finetuning.checkpoint import checkpoints, step_of
from whyclip.finetuning.logs import read_log

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
FAST = ("--batch-size", 4, "--learning-rate", "1e-3", "--warmup", 2, "--extractor", "rules")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_runs.openclip_folder(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images with captions; one more is broken and one caption is empty."""
    where = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(14):
        noise = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(where / f"{number}.png")
        word = small_runs.WORDS[number % 6]
        rows.append({"image": f"{number}.png", "caption": f"a {word} beside the old boat"})
    (where / "3.png").write_bytes(b"no image")
    rows[5]["caption"] = " "
    with (where / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["image", "caption"])
        writer.writeheader()
        writer.writerows(rows)
    return where / "photos.csv"


def test_train_on_a_table_and_load_the_result(
    whyclip_command: Callable[..., Any], start: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ["finetune", start, f"csv:{photos}", "--out", out, "--epochs", 2, *FAST]
    dry = whyclip_command(*command, "--dry-run")
    assert dry.code == 0, dry.err
    assert not out.exists()
    for words in ("(100.0%)", "steps       6 of 4 images", "examples    14", "old boat"):
        assert words in dry.out
    done = whyclip_command(*command)
    assert done.code == 0, done.err
    for words in ("steps    6", "global", "local", "skipped  2 examples"):
        assert words in done.out
    assert f"wrote {out / 'model'}" in done.err
    for reason in ("cannot be read; for example", "empty caption; for example row 5"):
        assert reason in done.err
    assert [row["step"] for row in read_log(out / "metrics.csv")] == [1, 2, 3, 4, 5, 6]
    assert read_log(out / "metrics.csv")[-1]["skipped"] == 2
    view = whyclip.load(str(out / "model"), "cpu")
    assert view.fingerprint != whyclip.load(str(start), "cpu").fingerprint
    assert list((out / "tensorboard").iterdir())
    other = whyclip_command(*command, "--seed", 1)
    assert other.code == 2
    assert "seed (was 0, now 1)" in other.err
    part = whyclip_command(*command, "--fraction", ".999")
    assert part.code == 2
    assert "selection (was '', now 'fraction 0.999 of seed 0')" in part.err
    never = whyclip_command(*command, "--resume", "never")
    assert never.code == 2
    assert "holds a run at step 6" in never.err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--precision", "fp8"), "'--precision': 'fp8' is not one of 'fp32', 'bf16', 'fp16'"),
        (("--ema", "1"), "ema=1.0 is not below 1"),
        (("--steps", "3", "--epochs", "1"), "exclude each other"),
        (("--learning-rate", "0"), "learning_rate=0.0"),
        (("--guidance", "grad_elcip"), "did you mean grad_eclip"),
        (("--template", "a photo"), "has no {} for the phrase"),
        (("--fraction", "0"), "fraction=0.0"),
        (("--extractor", "nonesuch"), "nonesuch"),
        (("--batch-size", "500"), "smaller batch"),
        (("--device", "cuda:77"), "cuda:77"),
        (("--removal", "10"), "removal=10 needs masks"),
        (("--lora", "100000", "--batch-size", "4"), "above the rank of every layer, at most 32"),
        (("--out", "x" * 300), "File name too long"),
        (("--relevance", "1", "--mask-column", "seg"), "relevance=1 needs masks"),
    ],
)
def test_wrong_input_is_one_line(
    whyclip_command: Callable[..., Any], start: Path, photos: Path, tmp_path: Path,
    wrong: tuple[str, ...], words: str,
) -> None:  # fmt: skip
    done = whyclip_command("finetune", start, f"csv:{photos}", "--out", tmp_path / "run", *wrong)
    assert done.code == 2, done.err
    assert words in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--batch-size", "500"), "smaller batch"),
        (("--precision", "fp16", "--device", "cpu"), "needs a GPU"),
        (("--removal", "10"), "removal=10 needs masks"),
    ],
)
def test_a_dry_run_fails_where_training_would(
    whyclip_command: Callable[..., Any], start: Path, photos: Path, tmp_path: Path,
    wrong: tuple[str, ...], words: str,
) -> None:  # fmt: skip
    command = ["finetune", start, f"csv:{photos}", "--out", tmp_path / "run", *FAST]
    assert whyclip_command(*command, "--dry-run").code == 0
    done = whyclip_command(*command, "--dry-run", *wrong)
    assert done.code == 2, done.err
    assert words in done.err


def test_masks_that_cannot_be_used_are_named(
    whyclip_command: Callable[..., Any], start: Path, photos: Path, tmp_path: Path,
) -> None:  # fmt: skip
    """Training continues without them, so a user would not notice."""
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes((photos.parent / f"{number % 3}.png").read_bytes())
    Image.new("L", (9, 7), 255).save(tmp_path / "small.png")
    Image.new("L", (40, 32), 0).save(tmp_path / "empty.png")
    Image.new("L", (40, 32), 255).save(tmp_path / "mask.png")
    ends = {}
    for mask in ("small", "empty", "mask"):
        marks = [f"{mask}.png" if number % 4 == 0 else "" for number in range(12)]
        rows = [f"{number}.png,a red car,{mark}" for number, mark in enumerate(marks)]
        table = tmp_path / f"{mask}.csv"
        table.write_text("\n".join(["image,caption,mask", *rows]) + "\n")
        command = [
            "finetune", start, f"csv:{table}", "--out", tmp_path / mask, "--epochs", 1, *FAST,
        ]  # fmt: skip
        ends[mask] = whyclip_command(*command, "--removal", 10)
        assert ends[mask].code == 0, ends[mask].err
    wrong = ".*mask has 9x7 pixels, its image 40x32"
    message = f"skipped 3 examples: mask cannot be used; for example row \\d+: {wrong}"
    assert re.search(message, ends["small"].err)
    for mask in ("small", "empty"):
        assert "no training image had a usable mask" in ends[mask].err
    assert "skipped" not in ends["empty"].err
    assert "mask" not in ends["mask"].err.replace(str(tmp_path / "mask"), "")


def test_both_records_follow_the_schema(
    whyclip_command: Callable[..., Any], start: Path, photos: Path, tmp_path: Path
) -> None:
    schema = json.loads((SCHEMAS / "finetune.json").read_text(encoding="utf-8"))
    trained, preview = ({"$schema": schema["$schema"], **one} for one in schema["anyOf"])
    command = ["finetune", start, f"csv:{photos}", "--out", tmp_path / "run", *FAST, "--json"]
    done = whyclip_command(*command, "--steps", 2, "--dry-run")
    [line] = done.out.splitlines()
    record = json.loads(line)
    jsonschema.validate(record, preview)
    assert (record["steps"], record["examples"], len(record["captions"])) == (2, 14, 3)
    assert record["trained"] == record["parameters"]
    done = whyclip_command(*command, "--steps", 2)
    [line] = done.out.splitlines()
    record = json.loads(line)
    jsonschema.validate(record, trained)
    assert (record["steps"], record["resumed"]) == (2, 0)
    assert sum(fault["number"] for fault in record["faults"]) == record["skipped"]
    assert Path(record["folder"]) == tmp_path / "run" / "model"
    last = read_log(tmp_path / "run" / "metrics.csv")[-1]
    assert record["losses"] == pytest.approx({name: last[name] for name in record["losses"]})
    again = json.loads(whyclip_command(*command, "--steps", 2).out)
    jsonschema.validate(again, trained)
    assert again["resumed"] == 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**record, "losses": {"loss": "low"}}, trained)


def test_a_missing_extra_is_named(
    whyclip_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyclip.cli.finetune.find_spec", lambda _: None)
    done = whyclip_command("finetune", "mini", "scenes:10", "--out", tmp_path / "run")
    assert done.code == 2
    assert done.err == (
        "whyclip: finetune needs Accelerate; install it with pip install 'whyclip[train]'\n"
    )


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(start: Path, photos: Path, tmp_path: Path) -> None:
    words = ["finetune", start, f"csv:{photos}", "--out", tmp_path / "run", "--steps", 400, *FAST]
    command = [sys.executable, "-m", "whyclip", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "metrics.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.is_file() and log.read_text().count("\n") > 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    (last,) = checkpoints(tmp_path / "run")
    assert f"stopped after step {step_of(last)} of 400" in said
    assert "the same command resumes" in said
    assert "Traceback" not in said
