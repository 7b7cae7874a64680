"""Compare whyclip's speed with that of other libraries, with the same weights and input.

    python -m benchmarks.peers                    # everything; saved in benchmarks/peers.json
    python -m benchmarks.peers --only prompts --rounds 1
    python -m benchmarks.peers --only exclip      # needs more than 24 GB of memory
    python -m benchmarks.peers --no-run           # only the table and the plot

The model is ViT-B/16 with seeded random weights (RN50 for torchcam, which supports only
convolutional features). Peers: captum, grad-cam, torchcam, legrad_torch, exclip (needs openai-clip)
and quantus; missing packages are skipped and marked in the table. "autograd" is a direct
implementation of Grad-ECLIP: one forward pass, and one ``torch.autograd.grad`` per prompt through
the last block. Prompts are embedded beforehand. Time is processor time on one thread, so other
processes do not affect it. Each value is the minimum over rounds; calls of more than a minute are
measured once. The table goes to docs/speed.md, the plot to docs/images/peers.png.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import torch
import typer

import whyclip
from benchmarks import peer_calls as peers
from benchmarks.page import write
from benchmarks.peer_calls import CAPTION, MASKS, POINTS, STEPS, Setup
from benchmarks.speed import machine

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_suffix(".json")
FIGURE, PAGE = ROOT / "docs/images/peers.png", ROOT / "docs/speed.md"
LONG = 60
Case = tuple[str, str, str, Callable[[], Any]]
"""Work, tool, required package (empty for none), and the call."""


def cases(setup: Setup, only: str) -> Iterator[Case]:
    """Yield all timed cases."""
    for count in (1, 10, 100, 1000):
        if "prompts" in only:
            size = _size(count)
            work = f"Grad-ECLIP, {size}"
            yield work, "whyclip", "", partial(setup.explain, count)
            yield work, "autograd", "", partial(peers.autograd, setup, setup.pixels, count)
    if "prompts" in only:
        many = [setup.image] * 64
        pixels = setup.pixels.repeat(64, 1, 1, 1)
        work = "Grad-ECLIP, 64 images × 10 prompts"
        yield work, "whyclip", "", partial(setup.explain, 10, image=many)
        yield work, "autograd", "", partial(peers.autograd, setup, pixels, 10)
    if "methods" in only:
        for count in (1, 10):
            size = _size(count)
            work = f"Grad-CAM, {size}"
            yield work, "whyclip", "", partial(setup.explain, count, "grad_cam", node="ln_1")
            yield (
                work,
                "pytorch-grad-cam",
                "pytorch_grad_cam",
                partial(peers.grad_cam, setup, count),
            )
            work = f"integrated gradients, {STEPS} steps, {size}"
            yield (
                work,
                "whyclip",
                "",
                partial(setup.explain, count, "integrated_gradients", steps=STEPS),
            )
            yield work, "captum", "captum", partial(peers.captum, setup, count)
            work = f"LeGrad, last 2 layers, {size}"
            yield work, "whyclip", "", partial(setup.explain, count, "legrad", start_layer=-2)
            if find_spec("legrad"):
                yield work, "legrad_torch", "legrad", partial(peers.legrad(setup), count)
            else:
                yield work, "legrad_torch", "legrad", _nothing
        convolutional = Setup("RN50")
        work = "RN50: Grad-CAM, 1 image × 10 prompts"
        yield work, "whyclip", "", partial(convolutional.explain, 10, "grad_cam")
        yield work, "torchcam", "torchcam", partial(peers.torchcam, convolutional, 10)
    if "interaction" in only:
        work = "word × patch table of a caption of 10 words"
        yield work, "whyclip", "", partial(whyclip.interaction, setup.view, setup.image, CAPTION)
    if "exclip" in only:
        work = "word × patch table of a caption of 10 words, integrated gradients"
        integrated = "integrated_gradients:steps=10"
        yield work, "whyclip", "", partial(
            whyclip.interaction, setup.view, setup.image, CAPTION,
            words=integrated, regions=integrated,
        )  # fmt: skip
        yield work, "exclip, 10 steps", "exclip", partial(peers.exclip, setup)
    if "edits" in only:
        images = torch.randn(20, 3, 224, 224, generator=torch.Generator().manual_seed(2))
        work = f"deletion of 20 images in {POINTS} points"
        yield work, "whyclip", "", partial(peers.deletion, setup, images)
        yield work, "quantus", "quantus", partial(peers.quantus, setup, images)
        work = f"RISE, {MASKS} masks"
        yield work, "whyclip", "", partial(setup.explain, 1, "rise", masks=MASKS)
        yield work, "by hand", "", partial(peers.plain_rise, setup)


def _size(count: int) -> str:
    return f"1 image × {count} prompt{'s' * (count > 1)}"


def _nothing() -> None:
    """Placeholder for a package that is not installed; never called."""


def measure(case: Case, rounds: int) -> float | None:
    """Measure the minimum processor seconds; None if the package is not installed."""
    *_, package, call = case
    if package and find_spec(package) is None:
        return None
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        call()
        least = min(least, time.process_time() - began)
        if least > LONG:
            break
    return least


def pairs(seconds: dict[str, dict[str, float | None]]) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield work, peer, its seconds, and whyclip's seconds for the same work."""
    for work, tools in seconds.items():
        for tool, took in tools.items():
            if tool != "whyclip":
                yield work, tool, took, tools["whyclip"]


def table(kept: dict[str, Any]) -> str:
    """Write a table with the seconds of both, and their ratio."""
    lines = [
        "| work | peer | peer, s | whyclip, s | peer / whyclip |",
        "| --- | --- | --: | --: | --: |",
    ]
    for work, tool, took, ours in pairs(kept["seconds"]):
        figures = (
            "not installed | |" if took is None else f"{took:.3g} | {ours:.3g} | {took / ours:.2f}"
        )
        lines.append(f"| {work} | {tool} | {figures} |")
    return "\n".join([*lines, "", f"Processor time of one thread on {kept['machine']}."])


def draw(kept: dict[str, Any]) -> None:
    """Draw one bar per peer: its time as a multiple of whyclip's."""
    rows = [row for row in pairs(kept["seconds"]) if row[2] is not None][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.28 * len(rows) + 0.8))
    ratios = [took / ours for *_, took, ours in rows]
    colors = ["C0" if ratio >= 1 else "C1" for ratio in ratios]
    axes.barh(range(len(rows)), [ratio - 1 for ratio in ratios], left=1, color=colors)
    axes.set_yticks(range(len(rows)), [f"{work}: {tool}" for work, tool, *_ in rows])
    axes.tick_params(axis="y", labelsize="small")
    for row, ratio in enumerate(ratios):
        axes.annotate(f"{ratio:.2g}", (max(ratio, 1), row), (3, 0), textcoords="offset points",
                      va="center", fontsize="x-small")  # fmt: skip
    axes.set_xscale("log")
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if tick <= 1.5 * max(ratios)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.axvline(1, color="0.4", linewidth=0.8)
    axes.set_xlabel("processor time, as a multiple of whyclip's (log scale)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(FIGURE, dpi=110)


def main(
    only: Annotated[str, typer.Option()] = "prompts,methods,interaction,edits",
    rounds: Annotated[int, typer.Option()] = 3,
    run: Annotated[bool, typer.Option("--run/--no-run", help="measure again")] = True,
) -> None:
    """Measure, save, and write the page."""
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"seconds": {}}
    if run:
        torch.set_num_threads(1)
        for case in cases(Setup(), only):
            work, tool = case[:2]
            seconds = measure(case, rounds)
            row = kept["seconds"].setdefault(work, {})
            row[tool] = None if seconds is None else round(seconds, 3)
            ratio = "" if seconds is None else f"{seconds / row['whyclip']:.2f}"
            print(f"{work:55} {tool:30} {row[tool]!s:>8} s {ratio:>8}", flush=True)
            kept["machine"] = machine()
            RESULT.write_text(
                json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
    draw(kept)
    write(PAGE, {"peers": table(kept)})


if __name__ == "__main__":
    typer.run(main)
