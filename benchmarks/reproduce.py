"""Run every experiment without training, and write its outcome into the documentation.

    python -m benchmarks.reproduce --out reproduced
    python -m benchmarks.reproduce table1 layers --limit 10

Each page of ``--out`` is the experiment's full report. The command, the verdicts and the first
table replace those in ``docs/reproduce.md``, and the figure replaces the one in ``docs/images``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.page import verdicts, write
from whyclip.report import Picture, Report, Table
from whyclip.studies.experiments import EXPERIMENTS
from whyclip.studies.experiments.run import reproduce

DOCS = Path(__file__).parent.parent / "docs"


def outcome(report: Report, image: str) -> str:
    """Write the part of a report for the documentation."""
    table = next(s for s in report.sections if isinstance(s, Table))
    picture = next(s for s in report.sections if isinstance(s, Picture))
    return "\n\n".join(
        (
            f"    {report.command}",
            f"Measured on {report.facts['date']}, {report.facts['samples']} samples:",
            verdicts(report),
            table.to_markdown().strip(),
            f"![{picture.alt}](images/{image})",
        )
    )


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="experiments; by default all without training")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="samples; the experiment's own number")] = None,
    out: Annotated[Path, typer.Option(help="folder of the full reports")] = Path("reproduced"),
    page: Annotated[bool, typer.Option(help="write into docs/reproduce.md")] = True,
) -> None:
    """Run the experiments and print how long each took."""
    torch.set_num_threads(1)
    quick = [name for name, one in EXPERIMENTS.items() if not one.defaults.trains]
    for name in names or quick:
        start = time.process_time()
        report = reproduce(name, limit=limit).report()
        used = time.process_time() - start
        report.save(out / name)
        samples = int(report.facts["samples"])
        print(f"{name}: {used:.0f} s on one core, {used / samples:.2f} s per sample", flush=True)
        if not page:
            continue
        image = f"reproduce-{name}.png"
        picture = next(s for s in report.sections if isinstance(s, Picture))
        (DOCS / "images" / image).write_bytes(picture.png())
        write(DOCS / "reproduce.md", {name: outcome(report, image)})


if __name__ == "__main__":
    typer.run(main)
