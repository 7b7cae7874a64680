"""``whyclip benchmark``: what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

Run = Callable[..., Any]
SCHEMA = Path(__file__).parent.parent.parent / "docs" / "schemas" / "benchmark.json"


def test_a_benchmark_of_an_untrained_model(whyclip_command: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = whyclip_command(
        "benchmark", "--models", "untrained-0", "--methods", "contribution,grad_eclip",
        "--limit", "4", "--planted", "2", "--out", out, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    content = json.loads(done.out)
    jsonschema.validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [model["model"] for model in content["models"]] == ["untrained-0"]
    assert {row["method"] for row in content["checks"]} == {
        "contribution", "grad_eclip", "random",
    }  # fmt: skip
    assert Path(content["report"]).is_file()
    assert (out / "models" / "untrained-0.json").is_file()


def test_training_says_what_was_trained(whyclip_command: Run, tmp_path: Path) -> None:
    done = whyclip_command(
        "benchmark", "--train", "--models", "untrained-0", "--weights", tmp_path, "--json"
    )
    content = json.loads(done.out)
    jsonschema.validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert content == {"trained": {}}


def test_what_cannot_be_run_is_refused_in_one_line(whyclip_command: Run, tmp_path: Path) -> None:
    for arguments, words in (
        (("--models", "bagde-0"), "bagde"),
        (("--methods", "grad_eclpi"), "grad_eclpi"),
        (("--weights", tmp_path), "whyclip benchmark --train"),
        (("--models", "badge-0", "--weights", tmp_path), "whyclip benchmark --train"),
    ):
        done = whyclip_command("benchmark", *arguments, "--out", tmp_path / "out")
        assert done.code == 2
        assert words in done.err
        assert len(done.err.strip().splitlines()) <= 2
