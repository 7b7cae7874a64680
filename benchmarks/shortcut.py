"""Run the shortcut experiment at full size, and save its raw values.

    python -m benchmarks.shortcut --device cuda --out shortcut --page
    python -m benchmarks.shortcut --runs shortcut/runs.json --out shortcut --page

``--out`` gets the report and ``runs.json``, with the values of every test scene and run. ``--runs``
builds the report from such a file without training. The summary goes to
``benchmarks/shortcut.json``. With ``--page``, the verdicts, the first table and both figures go to
the documentation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.page import verdicts, write
from benchmarks.reproduce import DOCS, outcome
from whyclip.metrics import Interval
from whyclip.report import Picture, Report, Table
from whyclip.studies.experiments import ExperimentInput, ExperimentResult
from whyclip.studies.experiments.run import reproduce
from whyclip.studies.experiments.shortcut import EXPERIMENT, findings, plan_of, shortcut
from whyclip.studies.experiments.shortcut_study import Run, run_study

SUMMARY = Path(__file__).with_suffix(".json")
IMAGE, MAPS = "reproduce-shortcut.png", "shortcut-maps.png"


def report_of(
    runs: list[Run], options: Mapping[str, Any], *, limit: int, device: str | None
) -> Report:
    """Build the report of an experiment; if ``runs`` is empty, training fills it."""

    @wraps(shortcut)
    def run(setting: ExperimentInput, **chosen: Any) -> ExperimentResult:
        processes = chosen.pop("processes")
        plan = plan_of(setting, **chosen)
        if not runs:
            runs.extend(run_study(plan, processes))
        return findings(setting, plan, runs)

    return reproduce(replace(EXPERIMENT, run=run), limit=limit, device=device, **options).report()


def summary(report: Report, runs: list[Run], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Collect verdicts, both tables and timings as plain data."""
    tables = [s for s in report.sections if isinstance(s, Table)]
    return {
        "command": report.command,
        "facts": dict(report.facts),
        **{name: kept[name] for name in ("machine", "seconds")},
        "verdicts": [line.removeprefix("- ") for line in verdicts(report).splitlines()],
        "arms": [_plain(row) for row in tables[0].rows],
        "runs": [
            {**_plain(row), "seconds": run.seconds}
            for row, run in zip(tables[1].rows, runs, strict=True)
        ],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, cell in row.items():
        if isinstance(cell, Interval):
            plain[name] = [round(value, 4) for value in (cell.mean, cell.low, cell.high)]
        else:
            plain[name] = round(cell, 4) if isinstance(cell, float) else cell
    return plain


def _save(path: Path, kept: Mapping[str, Any], runs: list[Run]) -> None:
    """Write one run per line."""
    head = json.dumps(kept)[:-1]
    lines = ",\n".join(json.dumps(run.to_json(), separators=(",", ":")) for run in runs)
    path.write_text(f'{head}, "runs": [\n{lines}\n]}}\n', encoding="utf-8")


def _print_times(runs: list[Run], seconds: float) -> None:
    for run in runs:
        print(f"seed {run.seed}, {run.arm} {run.weight:g}: {run.seconds:.1f} s")
    print(f"{len(runs)} models in {seconds:.0f} s")


def main(
    out: Annotated[Path, typer.Option(help="folder of the report and of runs.json")],
    device: Annotated[str | None, typer.Option(help="device of the training")] = None,
    limit: Annotated[int, typer.Option(help="test scenes")] = 1000,
    train_scenes: Annotated[int, typer.Option(help="training scenes")] = 30000,
    train_steps: Annotated[int, typer.Option(help="steps from scratch")] = 3000,
    steps: Annotated[int, typer.Option(help="steps of each fine-tuning")] = 300,
    seeds: Annotated[int, typer.Option(help="models trained from scratch")] = 3,
    weights: Annotated[str, typer.Option(help="weights of the losses to try")] = "1,5,20",
    processes: Annotated[int, typer.Option(help="number of seeds that run in parallel")] = 3,
    runs: Annotated[Path | None, typer.Option(help="runs.json of an earlier run")] = None,
    summary_file: Annotated[Path, typer.Option("--json", help="file of the summary")] = SUMMARY,
    page: Annotated[bool, typer.Option(help="write into docs/reproduce.md")] = False,
) -> None:
    """Run the experiment, or read its runs, and write the report."""
    options: dict[str, Any] = {
        "train_scenes": train_scenes, "train_steps": train_steps, "steps": steps, "seeds": seeds,
        "weights": weights, "processes": processes,
    }  # fmt: skip
    finished: list[Run] = []
    kept: dict[str, Any] = {}
    if runs is not None:
        kept = json.loads(runs.read_text(encoding="utf-8"))
        finished = [Run.from_json(one) for one in kept.pop("runs")]
        options, limit = kept["options"], kept["limit"]
    begun = time.perf_counter()
    report = report_of(finished, options, limit=limit, device=device)
    out.mkdir(parents=True, exist_ok=True)
    if runs is None:
        used = torch.device(report.facts["device"])
        machine = torch.cuda.get_device_name(used) if used.type == "cuda" else "CPU"
        seconds = round(time.perf_counter() - begun, 1)
        kept = {"options": options, "limit": limit, "machine": machine, "seconds": seconds}
        _save(out / "runs.json", kept, finished)
        _print_times(finished, seconds)
    else:
        # Read before the report is built again, so that the times are those of the training run.
        report = replace(report, facts={**report.facts, "took": f"{kept['seconds']} s"})
    report.save(out)
    summary_file.write_text(
        json.dumps(summary(report, finished, kept), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    if page:
        first, second = (s for s in report.sections if isinstance(s, Picture))
        (DOCS / "images" / IMAGE).write_bytes(first.png())
        (DOCS / "images" / MAPS).write_bytes(second.png())
        text = outcome(report, IMAGE)
        shown = f"{text}\n\n![{second.alt}](images/{MAPS})\n\n{second.caption}"
        write(DOCS / "reproduce.md", {"shortcut": shown})
        table = next(part for part in report.sections if isinstance(part, Table))
        write(DOCS / "shortcut.md", {"shortcut": table.to_markdown().strip()})
    print("\n".join(summary(report, finished, kept)["verdicts"]))


if __name__ == "__main__":
    typer.run(main)
