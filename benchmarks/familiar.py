"""Measure how often mini warns about unfamiliar images, on new scenes and on photos.

    pip install scikit-image scikit-learn
    python -m benchmarks.familiar

The photos are those of the two packages; another folder of images can be given instead.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from training.familiar import strangeness

import whyclip
from whyclip.inputs import read_image
from whyclip.scenes import Scenes

BUNDLED = (
    "astronaut", "brick", "camera", "cat", "clock", "coffee", "coins", "grass", "gravel", "horse",
    "hubble_deep_field", "immunohistochemistry", "logo", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip


def photos() -> dict[str, Image.Image]:
    """Return the photos of scikit-image and scikit-learn."""
    import skimage.data
    from sklearn.datasets import load_sample_image

    arrays = {name: getattr(skimage.data, name)() for name in BUNDLED}
    arrays |= {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    images = {}
    for name, pixels in arrays.items():
        scaled = pixels * np.uint8(255) if pixels.dtype == bool else pixels
        images[name] = Image.fromarray(scaled).convert("RGB")
    return images


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """Return an image after JPEG compression."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def main(
    folder: Annotated[Path | None, typer.Argument(help="other images")] = None,
    n: Annotated[int, typer.Option(help="unseen scenes")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the results here")] = None,
) -> None:
    """Print the share of alarms on scenes and the distance of each photo."""
    model = whyclip.load("mini", device="cpu")

    def far(images: list[Image.Image]) -> np.ndarray:
        parts = [model.preprocess(image)[None] for image in images]
        return torch.cat([strangeness(part) for part in parts]).numpy()

    def alarm(distances: np.ndarray) -> dict[str, float]:
        return {"share": float((distances > 1).mean()), "n": len(distances)}

    scenes = [scene.image for scene in Scenes(n, seed=5, split="test")]
    few = scenes[: n // 4]
    alarms = {"unseen scenes": alarm(far(scenes))}
    for quality in (90, 60):
        again = [compressed(scene, quality) for scene in few]
        alarms[f"unseen scenes, JPEG of quality {quality}"] = alarm(far(again))
    if folder:
        photos_by_name = {path.name: read_image(path) for path in sorted(folder.iterdir())}
    else:
        photos_by_name = photos()
    away = far(list(photos_by_name.values()))
    distances = {name: round(float(d), 3) for name, d in zip(photos_by_name, away, strict=True)}
    alarms["photos"] = alarm(away)
    console = Console()
    for name, counts in alarms.items():
        share, of = 100 * counts["share"], counts["n"]
        console.print(f"{name}: {share:.1f} % of {of} flagged as unlike scenes")
    console.print(", ".join(f"{name} {d:.2f}" for name, d in distances.items()))
    if json_file:
        figures = {"alarms": alarms, "distances": distances}
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
