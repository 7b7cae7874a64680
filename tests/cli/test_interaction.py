"""``whyclip interaction`` does what the library does."""

from __future__ import annotations

import json
import re
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
    command = ("interaction", picture, "a red car", "--model", folder, "--geometry", "keep")
    done = whyclip_command(*command, "--out", out, "--out", tmp_path / "words.html")
    assert done.code == 0
    interaction = whyclip.interaction(model, picture, "a red car", geometry="keep")
    prompts = json.loads(out.read_text(encoding="utf-8"))["prompts"]
    assert [prompt["prompt"] for prompt in prompts] == ["a", "red", "car"]
    values = torch.tensor([prompt["map"]["values"] for prompt in prompts])
    torch.testing.assert_close(values, interaction.matrix.flatten(1), atol=1e-6, rtol=1e-5)
    assert f"score {interaction.score:.3f}; the table sums to {interaction.score:.3f}\n" in done.out
    for pair in interaction.pairs(5):
        assert f"{pair.value:+.4f}  {pair.word.text}  at x {round(pair.box.left)} to" in done.out
    for word in interaction.sums:
        amounts = (word.regions, word.remainder, word.total)
        cells = r"\s+".join(re.escape(f"{value:+.4f}") for value in amounts)
        assert re.search(rf"^{word.word.text}\s+{cells}\s*$", done.out, re.MULTILINE)
    assert done.err.count("wrote ") == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["", "--out", "words.html"], "prompt #1 is empty"),
        (["a dog", "--out", "words.gif"], "'.gif'"),
        (["a dog", "--geometry", "kept"], "keep"),
        (["a dog", "a cat"], "unexpected extra argument"),
        (["a dog", "--words", "banzhaf"], "unknown kind of words 'banzhaf'"),
        (["a dog", "--regions", "banzhaf:sample=2"], "samples"),
        (["a dog", "--against", ""], "prompt #1 is empty"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    whyclip_command: Run, folder: Path, picture: Path, wrong: list[str], message: str
) -> None:
    done = whyclip_command("interaction", picture, *wrong, "--model", folder)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_ways_and_opponents_are_the_librarys(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path, tmp_path: Path
) -> None:
    command = ("interaction", picture, "a red car", "--model", folder, "--pairs", "0")
    more = ("--words", "shapley", "--regions", "first_order", "--against", "a dog")
    done = whyclip_command(*command, *more, "--out", tmp_path / "table.csv")
    assert done.code == 0
    ways: dict[str, Any] = {"words": "shapley", "regions": "first_order"}
    interaction = whyclip.interaction(model, picture, "a red car", against="a dog", **ways)
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == interaction.to_csv()
    assert f"sums to {interaction.score:.3f}; {interaction.gap:+.3f} is unattributed" in done.out
    assert "at x" not in done.out
