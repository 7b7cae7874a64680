"""Run the experiment ``finetuning`` with several processes, and write its page and results.

    python -m benchmarks.finetuning --device cuda --processes 6 --out finetuned
    python -m benchmarks.finetuning --records benchmarks/finetuning.npz --out finetuned --page

The first command trains. Each process claims the next task by a file in ``--out``, so an
interrupted run can be resumed. The second command reports on saved records, and writes the
documentation with ``--page``. The report is that of ``whyclip reproduce finetuning``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import torch
import torch.multiprocessing as mp
import typer

from benchmarks.page import write
from benchmarks.reproduce import DOCS, outcome
from whyclip.finetuning.scene_table import draw_table
from whyclip.finetuning.small_clip import small_clip
from whyclip.report import Picture, Table
from whyclip.studies.experiments.finetuning_runs import (
    ARMS,
    FINETUNED_ON,
    UNSEEN,
    Task,
    load_records,
    run_task,
    save_records,
)
from whyclip.studies.experiments.finetuning_starts import STEPS, load_start, start_file
from whyclip.studies.experiments.run import reproduce

IMAGE = "reproduce-finetuning.png"
# The most important tasks come first, because a run may be stopped early.
ORDER = (("weak", 1.0), ("strong", 1.0), ("weak", 0.1), ("weak", 0.01), ("strong", 0.1),
         ("strong", 0.01))  # fmt: skip


def tasks(seeds: int) -> list[Task]:
    return [
        Task(start, share, arm, seed)
        for start, share in ORDER
        for seed in range(seeds)
        for arm in ARMS
        if arm != "original" or (seed == 0 and share == 1.0)
    ]


def work(
    number: int, device: str, threads: int, out: Path, steps: int, seeds: int, until: float
) -> None:
    torch.set_num_threads(threads)
    kept = out / "starts"
    begun = time.time()
    for name in list(STEPS)[number : number + 1]:
        load_start(name, folder=kept, device=device)
        print(f"start {name}: {time.time() - begun:.0f} s", flush=True)
    starts = {}
    view = small_clip(device=device)
    table = draw_table(view, FINETUNED_ON, split="train", seed=1, device=device)
    unseen = draw_table(view, UNSEEN, split="val", device=device)
    for place, task in enumerate(tasks(seeds)):
        path = out / "records" / f"{place:03d}.npz"
        try:
            os.close(os.open(path.with_suffix(".claimed"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        while not start_file(task.start, kept).exists():
            time.sleep(0.2)
        if time.time() > until:
            return
        if task.start not in starts:
            starts[task.start] = load_start(task.start, folder=kept, device=device)
        record = run_task(task, starts[task.start], table, unseen, steps=steps)
        save_records([record], path)
        measures = record.measured
        print(
            f"{task} boxes {measures.boxes.macc():.3f} masks {measures.masks.macc():.3f} "
            f"recall {measures.recall:.3f} {record.seconds:.1f} s",
            flush=True,
        )


def main(
    out: Annotated[Path, typer.Option(help="folder of starts, records and report")],
    device: Annotated[str, typer.Option()] = "cpu",
    processes: Annotated[int, typer.Option()] = 2,
    steps: Annotated[int, typer.Option(help="fine-tuning steps")] = 100,
    seeds: Annotated[int, typer.Option()] = 3,
    seconds: Annotated[float, typer.Option(help="latest start of a task")] = float("inf"),
    records: Annotated[Path | None, typer.Option(help="report on these, without training")] = None,
    page: Annotated[bool, typer.Option(help="write into docs/reproduce.md")] = False,
) -> None:
    """Run missing tasks, then write the report."""
    kept = records or out / "records.npz"
    if records is None:
        train(out, device, processes, steps, seeds, seconds)
        paths = sorted((out / "records").glob("*.npz"))
        save_records([record for path in paths for record in load_records(path)], kept)
    result = reproduce("finetuning", records=str(kept))
    print(result.save(out / "report"))
    report = result.report()
    if page:
        image = next(part for part in report.sections if isinstance(part, Picture))
        (DOCS / "images" / IMAGE).write_bytes(image.png())
        tables = [part for part in report.sections if isinstance(part, Table)]
        shown = [outcome(report, IMAGE), *(t.to_markdown().strip() for t in tables[1:-1])]
        write(DOCS / "reproduce.md", {"finetuning": "\n\n".join(shown)})


def train(out: Path, device: str, processes: int, steps: int, seeds: int, seconds: float) -> None:
    """Run the tasks without a record."""
    (out / "records").mkdir(parents=True, exist_ok=True)
    for claim in (out / "records").glob("*.claimed"):
        if not claim.with_suffix(".npz").exists():
            claim.unlink()
    begun = time.time()
    threads = max(1, (os.cpu_count() or 1) // processes)
    mp.spawn(work, (device, threads, out, steps, seeds, begun + seconds), nprocs=processes)
    print(f"all tasks: {time.time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    typer.run(main)
