"""Time and memory of an explanation by number of prompts and images, resolution and model size.

    python -m benchmarks.costs                 # 15 minutes; saved in benchmarks/costs.json
    python -m benchmarks.costs --only images   # one curve again
    python -m benchmarks.costs --no-run        # only draw saved results

The models are OpenCLIP's with seeded random weights; only image maps are computed. Prompts are
embedded beforehand. Time is the minimum processor time over the rounds, on one thread. Memory is
the peak of tensors without the weights. The figure is docs/images/costs.png.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
import open_clip
import torch
import torch.nn.functional as F
import typer
from PIL import Image

import whyclip
from benchmarks.speed import machine, peak_bytes

RESULT = Path(__file__).with_suffix(".json")
FIGURE = Path(__file__).parent.parent / "docs/images/costs.png"
METHODS = ("grad_eclip", "decomposition")
ROUNDS = 3
Calls = dict[str, Callable[[], Any]]


def build(arch: str, size: int | None = None) -> tuple[Any, whyclip.ModelView]:
    """Build a model for a given image size."""
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(arch, force_image_size=size)
    model.eval()
    return preprocess, whyclip.wrap(model, preprocess, open_clip.get_tokenizer(arch), arch)


def calls(built: tuple[Any, whyclip.ModelView], images: int, prompts: int) -> Calls:
    """Return the plain encoding of images, and their explanation."""
    preprocess, view = built
    size = view.image.input_size[0]
    noise = np.random.default_rng(0).integers(0, 255, (images, size, size, 3), dtype=np.uint8)
    shown = [Image.fromarray(values) for values in noise]
    directions = F.normalize(
        torch.randn(prompts, view.width, generator=torch.Generator().manual_seed(1)), dim=-1
    )

    def plain() -> None:
        # The same batch size as whyclip.
        with torch.no_grad():
            for start in range(0, images, 16):
                part = torch.stack([preprocess(image) for image in shown[start : start + 16]])
                view.module.encode_image(part)

    explain = partial(whyclip.explain, view, shown, directions, sides=["image"])
    return {"encode_image": plain} | {method: partial(explain, method=method) for method in METHODS}


def points(curve: str) -> Iterator[tuple[str | int, Calls]]:
    """Yield the points of one curve."""
    if curve in ("prompts", "images"):
        built = build("ViT-B-16")
    if curve == "prompts":
        for count in (1, 3, 10, 30, 100, 300, 1000):
            yield count, calls(built, 1, count)
    elif curve == "images":
        for count in (1, 2, 4, 8, 16, 32, 64):
            yield count, calls(built, count, 3)
    elif curve == "resolution":
        for size in (224, 320, 448, 640, 1024):
            yield size, calls(build("ViT-B-16", size), 1, 3)
    else:
        for arch in ("ViT-B-32", "ViT-B-16", "ViT-L-14"):
            yield arch, calls(build(arch), 1, 3)


CURVES = {
    "prompts": "prompts (B/16, 1 image)",
    "images": "images (B/16, 3 prompts)",
    "resolution": "pixels per side (B/16)",
    "model": "model (1 image, 3 prompts)",
}


def seconds(call: Callable[[], Any]) -> float:
    """Measure the minimum processor time of several rounds; the first one only warms up."""
    least = float("inf")
    for index in range(ROUNDS + 1):
        began = time.process_time()
        call()
        if index:
            least = min(least, time.process_time() - began)
    return least


def draw(curves: dict[str, list[dict[str, Any]]]) -> None:
    """Draw time in the upper row and memory in the lower row."""
    figure, places = plt.subplots(2, len(CURVES), figsize=(10, 4.8), sharex="col")
    for column, (curve, label) in enumerate(CURVES.items()):
        for axes, quantity in zip(places[:, column], ("seconds", "megabytes"), strict=True):
            for number, name in enumerate(("encode_image", *METHODS)):
                rows = [row for row in curves[curve] if row["call"] == name]
                xs = [str(row["at"]).replace("ViT-", "").replace("-", "/") for row in rows]
                at = range(len(rows)) if curve == "model" else [row["at"] for row in rows]
                color = "0.5" if name == "encode_image" else f"C{number - 1}"
                axes.plot(
                    at, [row[quantity] for row in rows], marker="o", markersize=3, color=color,
                    label=name,
                )  # fmt: skip
            if curve == "model":
                axes.set_xticks(at, xs)
            else:
                axes.set_xscale("log")
                if curve in ("images", "resolution"):
                    axes.set_xticks(at, xs)
                    axes.minorticks_off()
            if curve in ("images", "resolution"):
                axes.set_yscale("log")
            else:
                axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
        places[1, column].set_xlabel(label)
    places[0, 0].set_ylabel("processor time (s)")
    places[1, 0].set_ylabel("peak tensor memory (MB)")
    lines, names = places[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="upper center", ncols=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(FIGURE, dpi=110)


def main(
    only: Annotated[list[str] | None, typer.Option(help="curves; all by default")] = None,
    run: Annotated[bool, typer.Option("--run/--no-run", help="measure again")] = True,
) -> None:
    """Measure, save and draw."""
    torch.set_num_threads(1)
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"curves": {}}
    for curve in (only or CURVES) if run else ():
        rows = []
        for at, each in points(curve):
            for name, call in each.items():
                row = {"at": at, "call": name, "seconds": round(seconds(call), 4)}
                row["megabytes"] = round(peak_bytes(call) / 1e6, 2)
                rows.append(row)
                print(curve, row, flush=True)
        kept = {"machine": machine(), "curves": kept["curves"] | {curve: rows}}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    draw(kept["curves"])


if __name__ == "__main__":
    typer.run(main)
