"""Whatever is wrong with the input: one line on stderr, exit code 2, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from whyclip.cli.terminal import one_line

Run = Callable[..., Any]


@pytest.fixture
def refused(
    whyclip_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run a command that must fail; give back its one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        done = whyclip_command(*arguments)
        assert done.code == 2
        assert done.out == ""
        [line] = done.err.splitlines()
        assert line.startswith("whyclip: ")
        assert "Traceback" not in line
        assert sorted(tmp_path.rglob("*")) == before
        return str(line)

    return run


def save_noise(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def no_such_file(folder: Path) -> Path:
    return folder / "nowhere.png"


def directory(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    return folder / "pictures"


def text_named_png(folder: Path) -> Path:
    (folder / "text.png").write_text("a dog and a red car\n" * 20)
    return folder / "text.png"


def truncated_jpeg(folder: Path) -> Path:
    path = save_noise(folder / "cut.jpg", 64, 64)
    path.write_bytes(path.read_bytes()[:1500])
    return path


def empty_file(folder: Path) -> Path:
    (folder / "empty.png").touch()
    return folder / "empty.png"


def one_pixel(folder: Path) -> Path:
    return save_noise(folder / "one.png", 1, 1)


def absurdly_wide(folder: Path) -> Path:
    return save_noise(folder / "wide.png", 20000, 30)


BAD_PICTURES = [
    no_such_file,
    directory,
    text_named_png,
    truncated_jpeg,
    empty_file,
    one_pixel,
    absurdly_wide,
]


@pytest.mark.parametrize("command", ["explain", "compare"])
@pytest.mark.parametrize("make", BAD_PICTURES, ids=lambda make: make.__name__)
def test_bad_pictures(
    refused: Callable[..., str], tmp_path: Path, make: Callable[[Path], Path], command: str
) -> None:
    path = make(tmp_path)
    line = refused(command, path, "a dog", "--out", tmp_path / "out.png")
    assert path.name in line


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_an_empty_prompt(refused: Callable[..., str], picture: Path, prompt: str) -> None:
    assert "prompt #2 is empty" in refused("explain", picture, "a dog", prompt)
    assert "is empty" in refused("explain", picture, "a dog", "--against", prompt)


def test_no_prompt(refused: Callable[..., str], picture: Path) -> None:
    assert "no prompt given" in refused("explain", picture)
    line = refused("explain")
    assert "PROMPT" in line
    assert "whyclip explain --help" in line


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--method", "gradeclip"), "grad_eclip"),
        (("--geometry", "keeep"), "keep"),
        (("--side", "images"), "image"),
        (("--precision", "bf32"), "fp32"),
        (("--method", "grad_eclip", "--option", "head=single"), "heads"),
        (("--method", "grad_eclip", "--option", "heads=one"), "'single'"),
        (("--method", "grad_eclip", "--option", "layers=many"), "whole number"),
        (("--method", "grad_eclip", "--option", "relu=maybe"), "true or false"),
        (("--method", "grad_eclip", "--option", "relu"), "KEY=VALUE"),
        (("--model", "mimi"), "mini"),
        (("--model", "openclip:ViT-B-61/openai"), "ViT-B-16"),
        (("--model", "openclip:ViT-B-16/openia"), "openai"),
        (("--modle", "mini"), "--model"),
        (("--device", "gpu"), "gpu"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_unknown_names_suggest_near_ones(
    refused: Callable[..., str], picture: Path, flags: tuple[str, ...], named: str
) -> None:
    assert named in refused("explain", picture, "a dog", *flags)


@pytest.mark.parametrize("file", ["nowhere.pt", "folder/epoch_3", "~/nowhere.safetensors"])
def test_a_weights_file_that_is_missing(
    refused: Callable[..., str], picture: Path, file: str
) -> None:
    said = refused("explain", picture, "a dog", "--model", f"openclip:ViT-B-32/{file}")
    assert f"no such weights file: '{Path(file).expanduser()}'" in said
    assert "laion" not in said, "tags are no help for a path"


def test_only_long_quotations_are_shortened() -> None:
    hint = (
        "spaCy's package is missing: pip install 'whyclip[spacy]' && python -m spacy download "
        "en_core_web_sm; it isn't part of whyclip, so choose the extractor 'rules' without it"
    )
    assert one_line(hint) == hint
    long = one_line(f"no such file: '{'x' * 300}'; give another")
    assert long.startswith("no such file: 'xxx")
    assert "…" in long
    assert len(long) < 130
    assert long.endswith("x'; give another")


def test_an_unknown_command(refused: Callable[..., str]) -> None:
    assert "explain" in refused("explian", "x.png", "a dog")


def test_outputs_are_checked_before_any_work(
    refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    """The model named here does not exist: had it been looked for, the line would name it."""

    def line(*outputs: object) -> str:
        flags = [part for out in outputs for part in ("--out", out)]
        return refused("explain", picture, "a dog", "--model", "nonesuch", *flags)

    assert ".html" in line("why.htlm")
    assert "no extension" in line("why")
    assert "missing" in line(tmp_path / "missing" / "why.html")
    assert "twice" in line("why.json", "why.json")
    (tmp_path / "folder.html").mkdir()
    assert "is a folder" in line("folder.html")
    # One wrong output among good ones: none is written.
    assert ".html" in line("why.json", "why.htlm")


def test_a_name_that_is_too_long_is_named(
    refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    long = "x" * 300
    for command in ("explain", "compare", "interaction"):
        line = refused(command, picture, "a dog", "--model", "nonesuch", "--out", f"{long}.png")
        assert f"--out '{long[:26]}…{long[:49]}.png' cannot be written: " in line
    # One of the picture is not blamed on the output.
    (tmp_path / "old.png").touch()
    line = refused("explain", f"{long}.png", "a dog", "--out", "old.png")
    assert line.startswith(f"whyclip: '{long[:75]}...' cannot be opened")


def test_a_folder_that_may_not_be_entered(
    refused: Callable[..., str], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Path.is_dir

    def forbidden(path: Path) -> bool:
        if "locked" in path.parts:  # the superuser may enter any folder
            raise PermissionError(13, "Permission denied", str(path))
        return enter(path)

    monkeypatch.setattr(Path, "is_dir", forbidden)
    line = refused("explain", picture, "a dog", "--out", "locked/in/why.html")
    assert "--out 'locked/in' cannot be written: Permission denied" in line
    line = refused("explain", "locked/in/a.png", "a dog")
    assert "'locked/in/a.png' cannot be opened: Permission denied" in line


def test_the_picture_is_never_overwritten(
    refused: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "own.png"
    copy.write_bytes(picture.read_bytes())
    assert "image itself" in refused("explain", copy, "a dog", "--out", "own.png")
    assert "image itself" in refused("compare", copy, "a dog", "--out", copy)
    assert copy.read_bytes() == picture.read_bytes()


def in_a_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whyclip", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )


def check_hub_error(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "cannot be fetched" in line
    assert "'mini'" in line
    assert "local path" in line


def test_a_hub_that_may_not_be_asked(picture: Path, tmp_path: Path) -> None:
    check_hub_error(
        in_a_process(
            "explain", picture, "a dog", "--model", "hf:nobody/nothing",
            HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path),
        )
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("model", ["hf:openai/clip-vit-base-patch16", "openclip:ViT-B-32/openai"])
def test_a_hub_that_cannot_be_reached(picture: Path, tmp_path: Path, model: str) -> None:
    check_hub_error(
        in_a_process(
            "explain", picture, "a dog", "--model", model,
            HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path),
        )
    )  # fmt: skip


def test_nothing_but_the_result_reaches_the_terminal(folder: Path, picture: Path) -> None:
    done = in_a_process("explain", picture, "a dog", "--model", folder)
    assert done.returncode == 0
    assert done.stderr == ""
