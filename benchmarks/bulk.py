"""Throughput of bulk runs from JPEG files, relative to the model's on decoded batches.

    python -m benchmarks.bulk            # the embedded model and a ViT-B/32; saved
    python -m benchmarks.bulk --no-run   # only draw the curves from saved results

The images are JPEG files of 640 × 480 pixels. ViT-B/32 has seeded random weights. The pure
throughput is that of the same batch function on the same batches, prepared in memory beforehand.
It is measured directly before and after each bulk run, and the bulk throughput is divided by the
mean of both. The bulk run includes the start of the decoding processes. Results go to
benchmarks/bulk.json, the table to docs/speed.md, the curves to docs/images/bulk-throughput.png.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import typer

import whyclip
from benchmarks.page import write
from benchmarks.speed import machine, random_view
from whyclip.bulk.decode import Decoder, Task
from whyclip.bulk.file_source import FileSource
from whyclip.bulk.request import Explainer, Request

RESULT = Path(__file__).with_suffix(".json")
ROOT = Path(__file__).resolve().parent.parent
FIGURE, PAGE = ROOT / "docs/images/bulk-throughput.png", ROOT / "docs/speed.md"
PROMPTS = ["a dog", "a red car"]
IMAGES = {"mini": 1024, "ViT-B-32": 320}
PURE_IMAGES = 128
BATCH_SIZES = (8, 32, 64)
WORKERS = (0, 1, 2)


def write_images(folder: Path, count: int) -> None:
    """Write scenes as JPEG files; they repeat after 64 files."""
    dataset = whyclip.open_dataset("scenes:64")
    for number in range(min(count, 64)):
        image = dataset[number].image.resize((640, 480))
        image.save(folder / f"{number:06d}.jpg", quality=90)
    for number in range(64, count):
        shutil.copy(folder / f"{number % 64:06d}.jpg", folder / f"{number:06d}.jpg")


def pure(explainer: Explainer, source: FileSource, batch_size: int) -> float:
    """Measure images per second of the batch function on decoded batches."""
    decoder = Decoder(source, explainer.model, "model")
    items = list(source.items())[:PURE_IMAGES]
    cuts = [tuple(items[i : i + batch_size]) for i in range(0, len(items), batch_size)]
    batches = [decoder[Task(0, len(cuts), cut)][1] for cut in cuts]
    explainer.explain(batches[0])
    began = time.perf_counter()
    for ready in batches:
        explainer.explain(ready)
    return len(items) / (time.perf_counter() - began)


def bulk(explainer: Explainer, source: FileSource, batch_size: int, workers: int) -> float:
    """Measure images per second of a whole run, including its files."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        whyclip.explain_bulk(
            explainer.model, source, PROMPTS, out=out, batch_size=batch_size, workers=workers,
            method="grad_eclip",
        )  # fmt: skip
        return source.length / (time.perf_counter() - began)


def measure(name: str, images: int) -> list[dict[str, Any]]:
    """Measure one model with every batch size and number of workers."""
    model = whyclip.load("mini") if name == "mini" else random_view(name)[2]
    explainer = Explainer(model, Request(PROMPTS, method="grad_eclip"))
    rows = []
    with tempfile.TemporaryDirectory() as place:
        write_images(Path(place), images)
        source = FileSource(place)
        for batch_size in BATCH_SIZES:
            for workers in WORKERS:
                # Before and after each run, because the load of the machine varies.
                before = pure(explainer, source, batch_size)
                rate = bulk(explainer, source, batch_size, workers)
                alone = (before + pure(explainer, source, batch_size)) / 2
                rows.append(
                    {
                        "batch_size": batch_size,
                        "workers": workers,
                        "pure": round(alone, 1),
                        "bulk": round(rate, 1),
                        "share": round(rate / alone, 3),
                    }
                )
                print(name, rows[-1], flush=True)
    return rows


def draw(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Draw the share of pure throughput over batch size, one line per number of workers."""
    figure, places = plt.subplots(1, len(runs), figsize=(7, 2.8), sharey=True)
    for axes, (name, rows) in zip(places, runs.items(), strict=True):
        for workers in WORKERS:
            chosen = [row for row in rows if row["workers"] == workers]
            points = [(row["batch_size"], row["share"]) for row in chosen]
            label = f"{workers} worker{'s' * (workers != 1)}"
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=label)
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.set_xticks(BATCH_SIZES, [str(size) for size in BATCH_SIZES])
        axes.minorticks_off()
        axes.set_title(name, fontsize="medium")
        axes.set_xlabel("batch size")
        axes.spines[["top", "right"]].set_visible(False)
    places[0].set_ylim(0, 1.08)
    places[0].set_ylabel("share of the model's\nown throughput")
    places[-1].legend(frameon=False, loc="lower right", fontsize="small")
    figure.tight_layout()
    figure.savefig(FIGURE, dpi=110)


def table(kept: dict[str, Any]) -> str:
    """Write a table of the model's images per second and the shares of bulk runs."""
    heads = " | ".join(f"{workers} workers" for workers in WORKERS).replace("1 workers", "1 worker")
    lines = [
        f"| model | batch size | model alone, images/s | {heads} |",
        "| --- | --: | --: |" + " --: |" * len(WORKERS),
    ]
    for name, rows in kept["runs"].items():
        for batch_size in BATCH_SIZES:
            chosen = [row for row in rows if row["batch_size"] == batch_size]
            alone = sum(row["pure"] for row in chosen) / len(chosen)
            shares = " | ".join(f"{row['share']:.2f}" for row in chosen)
            lines.append(f"| {name} | {batch_size} | {alone:.0f} | {shares} |")
    return "\n".join([*lines, "", f"Measured on {kept['machine']}."])


def main(
    run: Annotated[bool, typer.Option("--run/--no-run", help="measure again")] = True,
) -> None:
    """Measure, save and draw."""
    if run:
        runs = {name: measure(name, images) for name, images in IMAGES.items()}
        kept = {"machine": machine(), "images": IMAGES, "runs": runs}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    draw(kept["runs"])
    write(PAGE, {"throughput": table(kept)})


if __name__ == "__main__":
    typer.run(main)
