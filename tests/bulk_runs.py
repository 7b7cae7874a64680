"""A small model, and folders of images, tables and tars that bulk runs read."""

from __future__ import annotations

import io
import tarfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import tiny
import whyclip
from whyclip.models import ModelView

PROMPTS = ["a dog", "a red car"]
BROKEN = 5


@lru_cache(maxsize=1)
def view() -> ModelView:
    torch.set_num_threads(1)
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def noise(number: int) -> Image.Image:
    """Images of noise, of several sizes."""
    rng = np.random.default_rng(number)
    height, width = 36 + 4 * (number % 3), 40 + 4 * (number % 2)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def encoded(number: int) -> bytes:
    buffer = io.BytesIO()
    noise(number).save(buffer, "PNG")
    return buffer.getvalue()


def image_folder(place: Path, count: int = 14, broken: int | None = BROKEN) -> Path:
    """PNG files, some in a subfolder, one of them cut short."""
    (place / "more").mkdir(parents=True)
    for number in range(count):
        content = encoded(number)
        if number == broken:
            content = content[:60]
        folder = place / "more" if number % 4 == 3 else place
        (folder / f"{number:03d}.png").write_bytes(content)
    return place


def names(place: Path) -> list[str]:
    """Ids in the order of a run, by an independent listing."""
    return sorted(file.relative_to(place).as_posix() for file in place.rglob("*.png"))


def tar(file: Path, samples: list[dict[str, bytes]], mode: str = "w") -> Path:
    """A webdataset tar with one sample per mapping from extension to content."""
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for number, sample in enumerate(samples):
            for extension, content in sample.items():
                info = tarfile.TarInfo(f"{number:04d}.{extension}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file


def run(images: Path, out: Path, **options: Any) -> Any:
    """Explain a folder in parts of 4 images and batches of 2."""
    given: dict[str, Any] = {"workers": 0, "part_size": 4, "batch_size": 2, **options}
    return whyclip.explain_bulk(view(), str(images), PROMPTS, out=out, **given)


def rows(result: Any) -> list[dict[str, Any]]:
    return result.dataset.to_table().to_pylist()
