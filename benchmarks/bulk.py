"""Throughput of bulk runs from JPEG files, as a share of the model's own on decoded batches.

    python -m benchmarks.bulk --images 512 --batch-sizes 8,16,32 --workers 0,1,2

The pure throughput is that of the same batch function on the same batches, prepared in memory
before the clock starts. Start-up of the decoding processes counts against the bulk run. Written
to benchmarks/bulk.json, with the largest resident memory of the process after each run.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

import torch

import whyclip
from whyclip.bulk.decode import Decoder, Task
from whyclip.bulk.file_source import FileSource
from whyclip.bulk.request import Explainer, Request

RESULT = Path(__file__).with_suffix(".json")
PROMPTS = ["a dog", "a red car"]


def write_images(folder: Path, count: int) -> None:
    """Scenes as JPEG files; after 64 different ones they repeat."""
    dataset = whyclip.open_dataset("scenes:64")
    for number in range(min(count, 64)):
        image = dataset[number].image.resize((640, 480))
        image.save(folder / f"{number:06d}.jpg", quality=90)
    for number in range(64, count):
        shutil.copy(folder / f"{number % 64:06d}.jpg", folder / f"{number:06d}.jpg")


def pure(explainer: Explainer, source: FileSource, batch_size: int) -> float:
    """Images per second of the batch function on decoded batches, the second of two rounds."""
    decoder = Decoder(source, explainer.model, "model")
    items = list(source.items())[: 8 * batch_size]
    cuts = [tuple(items[i : i + batch_size]) for i in range(0, len(items), batch_size)]
    batches = [decoder[Task(0, len(cuts), cut)][1] for cut in cuts]
    for _ in range(2):
        began = time.perf_counter()
        for ready in batches:
            explainer.explain(ready)
        seconds = time.perf_counter() - began
    return len(items) / seconds


def bulk(explainer: Explainer, source: FileSource, batch_size: int, workers: int) -> float:
    """Images per second of a whole run, with its files."""
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        whyclip.explain_bulk(
            explainer.model, source, PROMPTS, out=out, batch_size=batch_size, workers=workers,
            method="grad_eclip",
        )  # fmt: skip
        return source.length / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--batch-sizes", default="16")
    parser.add_argument("--workers", default="0,1")
    given = parser.parse_args()
    model = whyclip.load(given.model)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        write_images(Path(place), given.images)
        source = FileSource(place)
        for batch_size in map(int, given.batch_sizes.split(",")):
            explainer = Explainer(model, Request(PROMPTS, method="grad_eclip"))
            for workers in map(int, given.workers.split(",")):
                # Right before each run, as other work on the machine comes and goes.
                alone = pure(explainer, source, batch_size)
                rate = bulk(explainer, source, batch_size, workers)
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                rows.append(
                    {
                        "batch_size": batch_size,
                        "workers": workers,
                        "pure": round(alone, 1),
                        "bulk": round(rate, 1),
                        "share": round(rate / alone, 3),
                        "memory_mb": round(memory),
                    }
                )
                print(rows[-1], flush=True)
    found = {
        "model": given.model,
        "images": given.images,
        "device": str(model.image.device),
        "threads": torch.get_num_threads(),
        "runs": rows,
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
