"""Rate, memory and completeness of a bulk run over 100,000 images that is killed twice.

    python -m benchmarks.bulk_large --weights benchmarks/family --keep large

The images are scenes of 112 pixels as JPEG files, explained for two prompts by a small model of
the family. The run is a separate command. It is killed (SIGKILL, with its decoding processes)
after one third and two thirds of the images, and the same command resumes it. The memory of all
its processes is summed every second. At the end, every image must have exactly two rows. Results
go to benchmarks/bulk_large.json, a sentence to docs/speed.md, the curve to
docs/images/bulk-memory.png.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
from PIL import Image

import whyclip
from benchmarks.page import write
from benchmarks.speed import machine
from whyclip.studies.family.recipe import Member, new_model, table_of
from whyclip.studies.family.weights import export

RESULT = Path(__file__).with_suffix(".json")
DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURE, PAGE = DOCS / "images/bulk-memory.png", DOCS / "speed.md"
PROMPTS = ["a photo of a dog", "a photo of a red car"]
DISTINCT = 10_000
IN_FOLDER = 5_000
Point = tuple[float, float, int]
"""Seconds since the start, memory in MB, number of images written."""


def write_images(folder: Path, count: int) -> None:
    """Write scenes as JPEG files; they repeat after 10,000, with the file numbers as comments."""
    table = table_of(
        "ordinary", new_model(Member("untrained", 0)), min(count, DISTINCT), split="test", seed=70
    )
    for number in range(count):
        place = folder / f"{number // IN_FOLDER:03d}"
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(table.images[number % DISTINCT].permute(1, 2, 0).numpy())
        image.save(place / f"{number:06d}.jpg", quality=92, comment=str(number).encode())


def memory_of(group: int) -> float:
    """Measure the memory of a process group in MB; shared pages count once per process."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getpgid(int(entry.name)) != group:
                continue
            lines = (entry / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def written(out: Path, known: dict[Path, int]) -> int:
    """Count the rows in the finished parts."""
    for part in (out / "parts").glob("*.parquet"):
        if part not in known:
            known[part] = pq.read_metadata(part).num_rows
    return sum(known.values())


def attempt(command: list[str], out: Path, began: float, stop_at: int | None) -> Iterator[Point]:
    """Run the command until it ends, or kill it after ``stop_at`` images."""
    known: dict[Path, int] = {}
    # The output of a process is read only if it failed.
    log = (out.parent / "log.txt").open("ab")
    process = subprocess.Popen(command, start_new_session=True, stderr=log)
    while process.poll() is None:
        images = written(out, known) // len(PROMPTS)
        yield time.perf_counter() - began, memory_of(process.pid), images
        if stop_at is not None and images >= stop_at:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return
        time.sleep(1)
    if process.returncode != 0 or stop_at is not None:
        raise SystemExit(f"the run ended with {process.returncode}; see {log.name}")


def draw(curve: list[list[Point]], path: Path) -> None:
    """Draw memory and progress over time, one line per attempt."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 4.4), sharex=True)
    for number, points in enumerate(curve):
        seconds, memory, images = zip(*points, strict=True)
        top.plot(seconds, memory, color=f"C{number}")
        bottom.plot(seconds, images, color=f"C{number}", label=f"attempt {number + 1}")
    top.set_ylabel("memory of all\nprocesses (MB)")
    top.set_ylim(bottom=0)
    bottom.set_ylabel("images written")
    bottom.set_xlabel("seconds")
    bottom.legend(frameon=False)
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def sentence(facts: dict[str, Any]) -> str:
    """What the documentation says of a run."""
    killed = " and ".join(f"{images:,}" for images in facts["killed_at_images"])
    memory = facts["memory_mb_by_tenths_of_last_attempt"][1:]
    return (
        f"{facts['images']:,} images in {facts['seconds']} seconds, "
        f"{facts['images_per_second']:.0f} per second, killed at {killed}. {facts['rows']:,} rows, "
        f"{facts['lost']} lost, {facts['twice']} double, {facts['errors']} errors. From the second "
        f"tenth of the last attempt, all processes took {min(memory)} to {max(memory)} MB. "
        f"Measured on {facts['machine']}."
    )


def check(out: Path, count: int) -> dict[str, Any]:
    """Count missing, repeated and faulty rows."""
    result = whyclip.read_bulk(out)
    table = result.dataset.to_table(["number", "prompt_number", "error"])
    keys = table["number"].to_numpy() * len(PROMPTS) + table["prompt_number"].to_numpy()
    distinct = np.unique(keys)
    return {
        "complete": bool(result.complete),
        "rows": len(keys),
        "lost": count * len(PROMPTS) - len(distinct),
        "twice": len(keys) - len(distinct),
        "errors": sum(error is not None for error in table["error"].to_pylist()),
    }


def main() -> None:
    """Write the images, run, kill twice, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--member", default="badge-0")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        base = given.keep or Path(place)
        base.mkdir(exist_ok=True)
        images, out, prompts = base / "images", base / "run", base / "prompts.txt"
        if not images.exists():
            write_images(images, given.images)
        prompts.write_text("\n".join(PROMPTS) + "\n")
        model = base / "model"
        if not model.exists():
            export(Member.of(given.member), given.weights, model)
        command = [
            sys.executable, "-m", "whyclip", "bulk", str(images), "--prompts", str(prompts),
            "--out", str(out), "--model", str(model), "--method", "grad_eclip", "--side", "image",
            "--workers", str(given.workers), "--batch-size", "64",
        ]  # fmt: skip
        began = time.perf_counter()
        stops = (given.images // 3, 2 * given.images // 3, None)
        curve = [list(attempt(command, out, began, stop)) for stop in stops]
        seconds = time.perf_counter() - began
        subprocess.run([sys.executable, "-m", "whyclip", "bulk", "report", str(out)], check=True)
        facts = {
            "machine": machine(),
            "images": given.images,
            "seconds": round(seconds),
            "images_per_second": round(given.images / seconds, 1),
            "killed_at_images": [points[-1][2] for points in curve[:-1]],
            **check(out, given.images),
            "largest_memory_mb": [round(max(p[1] for p in points)) for points in curve],
            "memory_mb_by_tenths_of_last_attempt": [
                round(float(np.median([p[1] for p in part])))
                for part in np.array_split(np.array(curve[-1]), 10)
            ],
        }
    FIGURE.parent.mkdir(exist_ok=True)
    draw(curve, FIGURE)
    RESULT.write_text(json.dumps(facts, indent=1) + "\n")
    write(PAGE, {"memory": sentence(facts)})
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
