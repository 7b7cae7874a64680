"""Throughput of perturbation methods, relative to plain encoding.

    python -m benchmarks.perturbation                          # fp32, random weights
    python -m benchmarks.perturbation --arch ViT-B-16 --rounds 9

Every round encodes a batch of images plainly, and then runs a method that encodes as many changed
images in batches of the same size. The result is the method's throughput divided by the plain
throughput, as the median over rounds, in processor seconds, which other processes do not affect. At
1, changing inputs and summing scores costs no time. Overhead weighs more for small models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.speed import machine, random_targets, random_view, show
from whyclip.forward.run import run_tower
from whyclip.methods import get_method
from whyclip.variant import Variant

RESULT = Path(__file__).with_name("perturbation.json")
BATCH = 64
TARGETS = 10
GOAL = 0.9


def asked_of(name: str, grid: tuple[int, int]) -> tuple[dict[str, Any], int]:
    """Choose options so that a method encodes about one batch; also return the number of images."""
    if name == "rise":
        return {"masks": BATCH}, BATCH
    window, stride = 3, 1 if grid[0] < 10 else 2
    starts = len({*range(0, grid[0] - window, stride), grid[0] - window})
    return {"window": window, "stride": stride}, starts**2


def seconds(work: Callable[[], None]) -> float:
    """Measure the processor seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(arch: str, rounds: int) -> dict[str, float]:
    """Measure the throughput of each method relative to plain throughput."""
    model, _, view = random_view(arch)
    size = view.image.patch * view.image.native_grid[0]
    pixels = torch.randn(1, 3, size, size)
    forward_pass = run_tower(view.image, pixels, random_targets(view, TARGETS), keep=0)
    throughput = {}
    for name in ("rise", "occlusion"):
        options, count = asked_of(name, view.image.native_grid)
        method = get_method(name)
        plan = Variant(method, {**options, "batch_size": BATCH}, sides=("image",))
        many = torch.randn(min(count, BATCH), 3, size, size)

        def plain(many: torch.Tensor = many) -> None:
            with torch.no_grad():
                model.encode_image(many)

        def run(plan: Variant = plan) -> None:
            plan.relevance(forward_pass)

        plain()
        run()
        slower = median(seconds(run) / seconds(plain) for _ in range(rounds))
        throughput[f"{arch}: {name}"] = count / len(many) / slower
    return throughput


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="*", default=["ViT-B-32"], help="OpenCLIP architectures")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    throughput: dict[str, float] = {}
    for arch in options.arch:
        throughput |= measure(arch, options.rounds)
    title = f"throughput over plain throughput, batches of {BATCH} (goal: {GOAL} or more)"
    show(title, throughput, 3, {})
    figures = {"rounds": options.rounds, "goal": GOAL, "throughput over plain": throughput}
    RESULT.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
