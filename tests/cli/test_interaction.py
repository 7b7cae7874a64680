"""``whyclip interaction`` does what the library does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import whyclip

Run = Callable[..., Any]


def test_the_files_hold_what_the_library_finds(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "words.json"
    asked = ("interaction", picture, "a red car", "--model", folder, "--geometry", "keep")
    done = whyclip_command(*asked, "--out", out, "--out", tmp_path / "words.html")
    assert done.code == 0
    own = whyclip.interaction(model, picture, "a red car", geometry="keep")
    prompts = json.loads(out.read_text(encoding="utf-8"))["prompts"]
    assert [prompt["prompt"] for prompt in prompts] == ["a", "red", "car"]
    values = torch.tensor([prompt["map"]["values"] for prompt in prompts])
    torch.testing.assert_close(values, own.matrix.flatten(1), atol=1e-6, rtol=1e-5)
    assert f"score {own.score:.3f}; all pairs add up to {own.total:.3f}" in done.out
    assert done.err.count("wrote ") == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["", "--out", "words.html"], "prompt #1 is empty"),
        (["a dog", "--out", "words.gif"], "'.gif'"),
        (["a dog", "--geometry", "kept"], "keep"),
        (["a dog", "a cat"], "unexpected extra argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    whyclip_command: Run, folder: Path, picture: Path, wrong: list[str], message: str
) -> None:
    done = whyclip_command("interaction", picture, *wrong, "--model", folder)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
