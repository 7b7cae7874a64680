"""``whyclip audit``: table, report, memory, and what is refused before any work is done."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import whyclip

Run = Callable[..., Any]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six pictures with prompts, and nothing else."""
    rng = np.random.default_rng(0)
    lines = ["image,prompt"]
    for number, prompt in enumerate(["a dog", "a red car", "two cats"] * 2):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{prompt}")
    (tmp_path / "photos.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "photos.csv"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where audits are remembered; nothing is there yet."""
    monkeypatch.setenv("WHYCLIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def arguments(folder: Path, photos: Path, tmp_path: Path) -> tuple[Any, ...]:
    """A small audit of those pictures, but for how many."""
    options = ("--model", folder, "--data", f"folder:{photos}", "--methods", "contribution")
    return ("audit", *options, "--edited", 1, "--out", tmp_path / "out")


@pytest.mark.usefixtures("cache")
def test_a_model_and_pictures_of_ones_own(
    whyclip_command: Run, folder: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = whyclip_command(
        "audit", "--model", folder, "--data", f"folder:{photos}", "--methods", "contribution",
        "--methods", "grad_eclip:heads=single:qk=out_proj", "--limit", 5, "--edited", 2,
        "--threshold", "score_gap=0.01", "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "contribution" in done.out
    assert "grad_eclip:heads=single:qk=out_proj" in done.out
    rows = list(csv.DictReader((out / "findings.csv").open()))
    reasons = {row["check"]: row["why_not"] for row in rows if row["verdict"] == "not applicable"}
    assert reasons["accuracy"] == "needs labels"
    assert reasons["prompts_follow"] == "needs masks"
    assert {r["threshold"] for r in rows if r["check"] == "score_gap"} == {"0.01"}
    record = json.loads((out / "audit.json").read_text())
    assert (record["samples"], record["edited"]) == (5, 2)
    assert "--threshold score_gap=0.01" in (out / "report.md").read_text()


def test_an_audit_need_not_be_remembered(
    whyclip_command: Run, arguments: tuple[Any, ...], cache: Path
) -> None:
    assert whyclip_command(*arguments, "--limit", 3, "--no-keep").code == 0
    assert not cache.exists()
    # A cache that cannot be written is no reason to lose the audit.
    cache.write_text("a file")
    done = whyclip_command(*arguments, "--limit", 3)
    assert done.code == 0
    assert "audit not saved: " in done.err


@pytest.mark.usefixtures("cache")
def test_only_a_whole_audit_is_remembered(
    whyclip_command: Run, folder: Path, photos: Path, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    view = whyclip.load(str(folder))
    runs = count()

    def remembered(*more: object) -> int | None:
        # The last --out counts; a folder is not taken for another audit.
        done = whyclip_command(*arguments, *more, "--out", tmp_path / str(next(runs)))
        assert done.code == 0, done.err
        explanation = whyclip.explain(
            view, photos.parent / "0.png", ["a dog"], method="contribution"
        )
        link = explanation.audit
        partial = "--checks" in more or "--threshold" in more
        assert ("audit not saved: only runs with all checks" in done.err) == partial
        return None if link is None else link.samples

    parts = (("--checks", "score_gap"), ("--threshold", "score_gap=0.01"))
    for part in parts:
        assert remembered("--limit", 2, *part) is None
    assert remembered("--limit", 3) == 3
    for part in parts:
        assert remembered("--limit", 2, *part) == 3, "the whole one stays in its place"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "openclip:ViT-B-16/openai"), "--data is missing"),
        (("--checks", "scoregap"), "did you mean score_gap"),
        (("--threshold", "score_gap"), "CHECK=NUMBER"),
        (("--threshold", "score_gap=low"), "CHECK=NUMBER"),
        (("--threshold", "nonsense=1"), "unknown check"),
        (("--methods", "grad_eclip:head=single"), "did you mean heads"),
        (("--methods", "grad"), "unknown method"),
        (("--data", "photos"), "unknown dataset"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_one_line(
    whyclip_command: Run, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = whyclip_command("audit", *arguments, "--out", tmp_path / "out")
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("cache")
def test_another_audit_is_not_written_over_and_the_same_one_says_so(
    whyclip_command: Run, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    command = (*arguments, "--limit", 2, "--checks", "score_gap")
    assert whyclip_command(*command).code == 0
    before = (tmp_path / "out" / "audit.json").read_bytes()
    other = whyclip_command(*arguments, "--limit", 2, "--checks", "score_gap", "--seed", 1)
    assert other.code == 2
    assert "holds another report (audit.json); name another folder" in other.err
    assert (tmp_path / "out" / "audit.json").read_bytes() == before
    again = whyclip_command(*command, "--threshold", "score_gap=0.5")
    assert again.code == 0
    assert "the report of the same audit in" in again.err
    done = whyclip_command(*command, "--threshold", "patch_masked=2")
    assert done.code == 2
    assert "threshold patch_masked=2 is impossible" in done.err
