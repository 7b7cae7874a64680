"""``whyclip explain`` does what the library does, with every option reaching it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import whyclip
from whyclip.cli.explain import explain as explain_command

Run = Callable[..., Any]


def flat(record: dict[str, Any]) -> torch.Tensor:
    return torch.tensor([prompt["map"]["values"] for prompt in record["prompts"]])


def test_the_files_hold_what_the_library_finds(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"why{ending}" for ending in (".json", ".npz", ".html", ".png")]
    flags = [part for path in outputs for part in ("--out", path)]
    done = whyclip_command("explain", picture, "a dog", "a red car", "--model", folder, *flags)
    assert done.code == 0
    explanation = whyclip.explain(model, picture, ["a dog", "a red car"])
    assert explanation.maps is not None
    record = json.loads(outputs[0].read_text(encoding="utf-8"))
    assert torch.allclose(flat(record), explanation.maps.flatten(1), atol=1e-6)
    words = [[word["word"] for word in prompt["words"]] for prompt in record["prompts"]]
    assert words == [["a", "dog"], ["a", "red", "car"]]
    loaded = whyclip.load_explanation(outputs[1])
    assert loaded.maps is not None
    assert torch.allclose(loaded.maps, explanation.maps, atol=1e-6)
    assert "red" in outputs[2].read_text(encoding="utf-8")
    with Image.open(outputs[3]) as figure:
        assert min(figure.size) > 300
    assert [line for line in done.err.splitlines() if line.startswith("wrote ")]


def test_the_summary_names_prompts_scores_and_the_certificate(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path
) -> None:
    done = whyclip_command("explain", picture, "a dog", "a red car", "--model", folder)
    explanation = whyclip.explain(model, picture, ["a dog", "a red car"])
    for label, score in zip(explanation.labels, explanation.scores.tolist(), strict=True):
        row = next(line for line in done.out.splitlines() if line.startswith(label))
        assert f"{score:.3f}" in row
    assert "● explains the model's score" in done.out
    assert done.err == ""


def test_a_single_head_is_certified_as_a_changed_model(
    whyclip_command: Run, folder: Path, picture: Path
) -> None:
    done = whyclip_command(
        *("explain", picture, "a dog", "--model", folder),
        *("--method", "grad_eclip", "--option", "heads=single"),
    )
    assert done.code == 0
    assert "▲ explains a modified computation" in done.out


@pytest.mark.parametrize("command", ["explain", "interaction"])
def test_a_file_that_the_library_reads_otherwise_is_not_certified(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path, command: str
) -> None:
    """The command line passes files on as they are, turned ones too."""
    turned, out = tmp_path / "turned.png", tmp_path / "why.json"
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(picture) as image:
        image.convert("RGB").save(turned, exif=exif)
    done = whyclip_command(command, turned, "a dog", "-m", folder, "--out", out)
    assert done.code == 0, done.err
    certificate = json.loads(out.read_text(encoding="utf-8"))["certificate"]
    assert "EXIF orientation (3)" in certificate["modified_input"][0]
    assert not certificate["explains_score"]


def test_the_score_check_can_be_switched_off(
    whyclip_command: Run, folder: Path, picture: Path
) -> None:
    done = whyclip_command("explain", picture, "a dog", "-m", folder, "--check", "none")
    assert "score check not run" in done.out
    assert "●" not in done.out


@pytest.mark.parametrize("side", ["image", "text"])
def test_one_side_alone(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path, side: str
) -> None:
    out = tmp_path / "why.json"
    whyclip_command("explain", picture, "a dog", "-m", folder, "--side", side, "--out", out)
    [prompt] = json.loads(out.read_text(encoding="utf-8"))["prompts"]
    assert (prompt["map"] is not None) == (side == "image")
    assert bool(prompt["words"]) == (side == "text")


def test_against_explains_the_difference_of_the_scores(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    def scores(*prompts: str) -> list[float]:
        out = tmp_path / "why.json"
        whyclip_command("explain", picture, *prompts, "--model", folder, "--out", out)
        record = json.loads(out.read_text(encoding="utf-8"))
        return [prompt["score"] for prompt in record["prompts"]]

    dog, cat = scores("a dog", "a cat")
    [difference] = scores("a dog", "--against", "a cat")
    assert difference == pytest.approx(dog - cat, abs=1e-5)


def test_geometry_keep_covers_the_whole_picture(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "why.json"
    whyclip_command("explain", picture, "a dog", "-m", folder, "--geometry", "keep", "--out", out)
    [prompt] = json.loads(out.read_text(encoding="utf-8"))["prompts"]
    assert prompt["map"]["box"] == [0, 0, 48, 32]
    assert prompt["map"]["grid"] == [4, 6]


def test_method_options_arrive_with_their_types(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "why.json"
    flags = ("--method", "grad_eclip", "-o", "layers=2", "-o", "relu=false", "-o", "spatial=none")
    whyclip_command("explain", picture, "a dog", "-m", folder, *flags, "--out", out)
    record = json.loads(out.read_text(encoding="utf-8"))
    explanation = whyclip.explain(
        model, picture, "a dog", method="grad_eclip", layers=2, relu=False, spatial="none"
    )
    assert explanation.maps is not None
    assert torch.allclose(flat(record), explanation.maps.flatten(1), atol=1e-6)
    assert float(flat(record).min()) < 0
    assert record["options"]["layers"] == 2


def test_a_prompt_that_is_cut_is_a_note_and_not_an_error(
    whyclip_command: Run, folder: Path, picture: Path
) -> None:
    prompt = " ".join(["dog"] * 90 + ["zebra"])
    done = whyclip_command("explain", picture, prompt, "--model", folder)
    assert done.code == 0
    assert done.err.startswith("note: ")
    assert "zebra" in done.err


def test_defaults_are_those_of_the_library() -> None:
    command = inspect.signature(explain_command).parameters
    library = inspect.signature(whyclip.explain).parameters
    for name in ("geometry", "precision", "against"):
        assert command[name].default == library[name].default
    assert command["method"].default is None  # then the library chooses


def test_heads_are_the_librarys(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView, picture: Path, tmp_path: Path
) -> None:
    command = ("explain", picture, "a dog", "a red car", "--model", folder, "--against", "a cat")
    done = whyclip_command(*command, "--heads", tmp_path / "heads.csv")
    assert done.code == 0
    heads = whyclip.heads(model, picture, ["a dog", "a red car"], against=["a cat"])
    assert (tmp_path / "heads.csv").read_text(encoding="utf-8") == heads.to_csv()
    for index, prompt in enumerate(heads.prompts):
        [line] = [line for line in done.out.splitlines() if line.startswith(f"{prompt}: layer")]
        for head in heads.top(5, index):
            assert f"layer {head.layer} head {head.head} {head.value:+.3f}" in line
    wrong = whyclip_command(*command, "--heads", tmp_path / "heads.json")
    assert wrong.code == 2
    assert "--heads" in wrong.err
    assert "heads.json" in wrong.err
    page = str(tmp_path / "both.html")
    both = whyclip_command(*command, "--heads", page, "--out", page)
    assert both.code == 2
    assert "also given as --out" in both.err
    many = whyclip_command("explain", picture.parent, "a dog", "--heads", tmp_path / "x.png")
    assert many.code == 2
    assert "takes one image" in many.err
