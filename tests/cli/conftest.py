"""A model on disk and a picture, for the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import tiny
import whyclip
from whyclip.cli import main


class Outcome(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def whyclip_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run a command line in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        code = ending.value.code
        assert isinstance(code, int)
        return Outcome(code, out, err)

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded 2-layer model in OpenCLIP's folder format."""
    where = tmp_path_factory.mktemp("tiny")
    config = {
        "model_cfg": {
            "embed_dim": tiny.EMBED,
            "vision_cfg": {
                "image_size": tiny.IMAGE_SIZE,
                "patch_size": tiny.PATCH,
                "width": tiny.WIDTH,
                "layers": tiny.LAYERS,
                "head_width": tiny.WIDTH // tiny.HEADS,
            },
            "text_cfg": {
                "context_length": tiny.CONTEXT,
                "vocab_size": tiny.VOCABULARY,
                "width": tiny.WIDTH,
                "heads": tiny.HEADS,
                "layers": tiny.LAYERS,
            },
        },
        "preprocess_cfg": {},
    }
    (where / "open_clip_config.json").write_text(json.dumps(config))
    save_file(tiny.openclip_model().state_dict(), where / "open_clip_model.safetensors")
    return where


@pytest.fixture(scope="session")
def model(folder: Path) -> whyclip.ModelView:
    """That model, loaded."""
    return whyclip.load(str(folder))


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded noise, 48 wide and 32 high: wider than the model's square."""
    path = tmp_path_factory.mktemp("picture") / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
