"""Cost of an evaluation, relative to plain encodings of its perturbed images.

    python -m benchmarks.evaluate                                       # mini, built-in scenes
    python -m benchmarks.evaluate --model openclip:ViT-B-16/openai --data imagenet:val --samples 200
    python -m benchmarks.evaluate --device cuda --batch 256 --wall

An evaluation reads images, embeds the classes, explains, orders pixels, edits, prepares, encodes,
measures and writes. The result is its time divided by the time in which the library encodes the
same number of prepared images in batches of the same size. Times are processor seconds, which other
processes do not affect, or wall-clock seconds with --wall.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

import whyclip
from benchmarks.speed import show
from whyclip.datasets import open_dataset
from whyclip.studies.evaluation import evaluate, main_tables, summarise
from whyclip.studies.scoring import Encoder

RESULT = Path(__file__).with_name("evaluate.json")
METHODS = ("grad_eclip", "contribution", "maskclip")
METRICS = ("deletion", "insertion", "pointing_game", "iou", "average_precision")
GOAL = 1.15


class Counting:
    """Count the images that an evaluation encodes."""

    def __init__(self) -> None:
        self.encode, self.pictures = Encoder.images, 0

    def __enter__(self) -> Counting:
        counted = self

        def images(encoder: Encoder, pixels: Any) -> torch.Tensor:
            counted.pictures += len(pixels)
            return counted.encode(encoder, pixels)

        Encoder.images = images  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Encoder.images = self.encode  # type: ignore[method-assign]


def plain(view: whyclip.ModelView, batch: int, clock: Callable[[], float]) -> float:
    """Measure the library's seconds per image of a full batch."""
    side = view.image.patch * view.image.native_grid[0]
    pixels = torch.randn(batch, 3, side, side, device=view.image.device)
    with torch.no_grad():
        start = clock()
        view.image.encode(pixels).cpu()
        return (clock() - start) / batch


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one evaluation, with plain batches before and after it."""
    clock = time.perf_counter if options.wall else time.process_time
    view = whyclip.load(options.model, options.device)
    dataset = open_dataset(options.data, limit=options.samples)
    plain(view, options.batch, clock)
    rounds = [plain(view, options.batch, clock) for _ in range(options.rounds)]
    with tempfile.TemporaryDirectory() as out, Counting() as counting:
        start = clock()
        evaluation = evaluate(view, dataset, METHODS, METRICS, batch_size=options.batch, out=out)
        main_tables(summarise(evaluation))
        spent = clock() - start
    rounds += [plain(view, options.batch, clock) for _ in range(options.rounds)]
    points = sum(metric.curve_points for metric in evaluation.metrics)
    edited = points * len(evaluation.methods) * len(evaluation.subjects)
    return {
        "model": options.model,
        "data": options.data,
        "samples": len(dataset),
        "methods": list(evaluation.methods),
        "edited pictures": edited,
        "pictures encoded": counting.pictures,
        "batch": options.batch,
        "plain milliseconds a picture": 1e3 * median(rounds),
        "spread of plain": [1e3 * min(rounds), 1e3 * max(rounds)],
        "seconds": spent,
        "clock": "wall" if options.wall else "processor",
        "time over plain": spent / (edited * median(rounds)),
        "goal": GOAL,
    }


def machine() -> str:
    """Describe the machine."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread used, "
        f"torch {torch.__version__}, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}"
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--data", default="scenes:100")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    figures = measure(options)
    show(
        "an evaluation",
        {"time over plain": figures["time over plain"]},
        3,
        {"time over plain": GOAL},
    )
    text = json.dumps({"machine": machine(), **figures}, indent=1, ensure_ascii=False)
    print(text)
    options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
