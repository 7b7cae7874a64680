"""Cost of an explanation relative to plain encoding of the same images.

    python -m benchmarks.speed            # ViT-B/16 at fp32, seeded random weights
    python -m benchmarks.speed --quick    # fewer rounds, not saved

Every round times the plain ``encode_image`` and every case in turn. A case's value is the median
over rounds of its time divided by the plain time of the same round, so that a slower machine
affects both. Time is processor time, which other processes do not affect; it equals wall-clock time
with OMP_NUM_THREADS=1 on an idle machine. Targets are embeddings; encoding prompts is not included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from rich.table import Table

import whyclip
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.pipeline import IMAGES_AT_ONCE
from whyclip.variant import Variant

RESULT = Path(__file__).with_name("speed.json")
GOALS = {
    "1 prompt": 1.10,
    "100 prompts": 1.15,
    "1000 prompts": 1.35,
    "16 images x 10": 1.15,
    "maps, 1 prompt, checked": 1.10,
    "compare, attention-readout methods, 1 prompt": 1.60,
    "compare, attention-readout methods, 3 prompts": 1.60,
}
# Methods that use only the last block of the image encoder and can share one forward pass.
READOUT_METHODS = (
    "attention_eclip",
    "contribution",
    "game",
    "grad_cam",
    "grad_eclip",
    "maskclip",
    "patch_text",
    "raw_attention",
)


def random_view(arch: str = "ViT-B-16") -> tuple[Any, Any, whyclip.ModelView]:
    """Build a full-size model with seeded random weights."""
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(arch)
    model.eval()
    view = whyclip.wrap(model, preprocess, open_clip.get_tokenizer(arch), arch)
    return model, preprocess, view


def explain_pixels(view: whyclip.ModelView, pixels: torch.Tensor, n: int, **trunk: Any) -> Any:
    """Run the steps of ``whyclip.explain`` from the decoded image to the maps."""
    return explain_targets(view, pixels, random_targets(view, n), **trunk)


def random_targets(view: whyclip.ModelView, n: int) -> Targets:
    """Draw n unit vectors."""
    return Targets(F.normalize(torch.randn(n, view.width), dim=-1))


def explain_targets(
    view: whyclip.ModelView, pixels: torch.Tensor, targets: Targets, **trunk: Any
) -> torch.Tensor:
    """Compute maps ``[b, n, patches]`` of preprocessed pixels."""
    plan = Variant.of("grad_eclip").on(["image"])
    return plan.relevance(run_tower(view.image, pixels, targets, keep=1, **trunk)).values


def compare_readouts(view: whyclip.ModelView, image: Image.Image, directions: torch.Tensor) -> Any:
    """Explain one image by every method of the last block, with the public call, without words."""
    return whyclip.compare(view, [image], directions, READOUT_METHODS, sides=["image"])


def rounds_of(cases: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Time every case once per round; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for index in range(rounds + 1):
        for name, case in cases.items():
            start = time.process_time()
            case()
            if index:
                seconds[name].append(time.process_time() - start)
    return seconds


def ratios(seconds: dict[str, list[float]], plain: str) -> dict[str, float]:
    """Compute the median over rounds of the time divided by the plain time of the round."""
    return {
        name: median(t / p for t, p in zip(times, seconds[plain], strict=True))
        for name, times in seconds.items()
    }


def measure_speed(rounds: int) -> dict[str, float]:
    """Measure ratios for one image and for a batch, in fp32."""
    model, _, view = random_view()
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    image, directions = Image.fromarray(noise), random_targets(view, 3).directions
    one, many = torch.randn(1, 3, 224, 224), torch.randn(IMAGES_AT_ONCE, 3, 224, 224)

    def plain(pixels: torch.Tensor) -> None:
        with torch.no_grad():
            model.encode_image(pixels)

    single = rounds_of(
        {
            "plain": lambda: plain(one),
            "1 prompt": lambda: explain_pixels(view, one, 1),
            "100 prompts": lambda: explain_pixels(view, one, 100),
            "1000 prompts": lambda: explain_pixels(view, one, 1000),
            "1 prompt bf16": lambda: explain_pixels(view, one, 1, precision="bf16"),
            "compare, attention-readout methods, 1 prompt": lambda: compare_readouts(
                view, image, directions[:1]
            ),
            "compare, attention-readout methods, 3 prompts": lambda: compare_readouts(
                view, image, directions
            ),
        },
        rounds,
    )
    batch = rounds_of(
        {
            "plain": lambda: plain(many),
            "16 images x 10": lambda: explain_pixels(view, many, 10),
            "16 images x 10 bf16": lambda: explain_pixels(view, many, 10, precision="bf16"),
        },
        max(3, rounds // 4),
    )
    return ratios(single, "plain") | ratios(batch, "plain")


def measure_check(rounds: int) -> dict[str, float]:
    """Measure the public call with and without the score check, relative to the model's pipeline.

    The plain case is the model's pipeline without whyclip: preprocessing, ``encode_image``,
    tokenizer, ``encode_text``.
    """
    model, preprocess, view = random_view()
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    image, tokenizer = Image.fromarray(noise), open_clip.get_tokenizer("ViT-B-16")

    def plain(prompts: list[str]) -> None:
        with torch.no_grad():
            model.encode_image(preprocess(image)[None])
            model.encode_text(tokenizer(prompts))

    figures: dict[str, float] = {}
    for count, title in ((1, "1 prompt"), (16, "16 prompts")):
        prompts = [f"a photo of a dog number {index}" for index in range(count)]
        maps: dict[str, Any] = {"method": "grad_eclip", "sides": ["image"]}
        explained = partial(whyclip.explain, view, image, prompts)
        cases: dict[str, Callable[[], Any]] = {
            "plain": partial(plain, prompts),
            f"maps, {title}, checked": partial(explained, **maps),
            f"maps, {title}, not checked": partial(explained, check="none", **maps),
            f"maps and words, {title}, checked": explained,
            f"maps and words, {title}, not checked": partial(explained, check="none"),
        }
        figures |= ratios(rounds_of(cases, rounds), "plain")
    return figures


def measure_bf16() -> dict[str, float]:
    """Measure the change of maps and scores in bf16, for random weights and, if present, mini."""
    figures = {}
    for name, view in (("ViT-B-16, random", random_view()[2]), ("mini", _mini())):
        if view is None:
            continue
        noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
        scene = Path(__file__).parents[1] / "examples" / "dog_and_red_car.png"
        image = Image.open(scene) if scene.exists() else Image.fromarray(noise)
        options: dict[str, Any] = {"prompts": ["a dog", "a red car"], "method": "grad_eclip"}
        exact = whyclip.explain(view, image, **options)
        rough = whyclip.explain(view, image, **options, precision="bf16")
        a, b = exact.maps.flatten(1), rough.maps.flatten(1)
        figures[f"{name}: score"] = float((exact.scores - rough.scores).abs().max())
        figures[f"{name}: map, relative L2"] = float(((a - b).norm(dim=1) / a.norm(dim=1)).max())
        figures[f"{name}: map correlation"] = float(F.cosine_similarity(a, b).min())
    return figures


def _mini() -> whyclip.ModelView | None:
    try:
        return whyclip.load("mini")
    except whyclip.errors.WhyclipError:
        return None


def peak_bytes(call: Callable[[], Any]) -> int:
    """Measure the peak of tensor memory during a call, above the memory before it."""
    with torch.profiler.profile(profile_memory=True) as profile:
        call()
    events: Any = profile.profiler.kineto_results.events()  # type: ignore[union-attr]
    memory = sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns())
    return int(np.cumsum([event.nbytes() for event in memory]).max())


MEMORY = """
import torch
from benchmarks import speed
_, _, view = speed.random_view()
pixels = torch.randn(1, 3, 224, 224)
targets = speed.random_targets(view, {n})
speed.explain_targets(view, pixels, targets)
peak = speed.peak_bytes(lambda: speed.explain_targets(view, pixels, targets))
out = speed.explain_targets(view, pixels, targets)
print(peak, out.numel() * 4)
"""


def measure_memory() -> dict[str, float]:
    """Measure the peak tensor memory of explaining one image, in MB, by number of prompts.

    ``maps`` is the memory of the returned maps. The target embeddings are not counted.
    """
    figures: dict[str, float] = {}
    for n in (1, 100, 1000):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY.format(n=n)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        peak, maps = map(int, done.stdout.split()[-2:])
        figures[f"{n} prompts: peak MB"] = peak / 1e6
        figures[f"{n} prompts: maps MB"] = maps / 1e6
    return figures


def machine() -> str:
    """Describe the machine."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return (
        f"{platform.machine()}, {cores} cores, {threads} thread{'s' * (threads > 1)} used, "
        f"torch {torch.__version__}, {date.today().isoformat()}"
    )


def show(title: str, rows: dict[str, float], digits: int, goals: dict[str, float]) -> None:
    """Print one table."""
    table = Table(title=title)
    for heading in ("case", "measured", "goal"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for name, value in rows.items():
        goal = goals.get(name)
        table.add_row(name, f"{value:.{digits}f}", f"≤ {goal:.2f}" if goal else "")
    Console().print(table)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds; not saved")
    quick = parser.parse_args().quick
    result = {
        "machine": machine(),
        "time over plain encode_image": measure_speed(5 if quick else 21),
        "time over the model's own pipeline": measure_check(5 if quick else 21),
        "bf16 against fp32": measure_bf16(),
        "peak memory": measure_memory(),
    }
    show("time over one plain encode_image", result["time over plain encode_image"], 2, GOALS)
    show(
        "time over preprocessing, encode_image and encode_text",
        result["time over the model's own pipeline"],
        2,
        GOALS,
    )
    show("deviation of bf16", result["bf16 against fp32"], 4, {})
    show("peak tensor memory", result["peak memory"], 1, {})
    if not quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
