"""Files with captions, made for the tests: every image has a colour that names its number."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (20, 16), (number % 256, number // 256, 77))


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def number_of(example) -> int:
    red, green, _ = np.asarray(example.image)[0, 0].tolist()
    return red + 256 * green


def mask(width: int = 20, height: int = 16) -> Image.Image:
    pixels = np.zeros((height, width), np.uint8)
    pixels[2:5, 3:9] = 255
    return Image.fromarray(pixels)


def write_csv(folder: Path, count: int, extra: list[dict[str, str]] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        picture(number).save(folder / f"{number}.png")
        rows.append({"image": f"{number}.png", "caption": f"thing number {number}"})
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["image", "caption", "mask"])
        writer.writeheader()
        writer.writerows([*rows, *extra])
    return folder / "data.csv"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def write_tars(folder: Path, shards: int, each: int) -> str:
    """Write tars of numbered images; returns their pattern."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f"part-{shard:02d}.tar", "w") as tar:
            for i in range(each):
                number = shard * each + i
                add(tar, f"{number:05d}.png", encoded(picture(number)))
                add(tar, f"{number:05d}.txt", f"thing number {number}".encode())
    last = f"{shards - 1:02d}"
    return f"{folder}/part-{{00..{last}}}.tar"
