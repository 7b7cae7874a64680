"""Run many cases, show the progress, and save the outcome."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.fuzz import calls, commands
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.models import warm_up

RESULT = Path(__file__).resolve().parent.parent / "fuzz.json"
SHARES = {"explain": 0.5, "file": 0.2, "command": 0.17, "compare": 0.06, "interaction": 0.07}


def case(seed: int, index: int, *, show: bool = False) -> tuple[str, str, str, list[str]]:
    """Run one case.

    Returns:
        Its kind, its outcome, its description, and its faults.
    """
    chance = Draw(f"{seed}/{index}")
    [kind] = chance.choices(list(SHARES), list(SHARES.values()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        if kind == "command":
            given = commands.drawn(chance, folder)
            description = f"whyclip {given!r}"
        else:
            call = calls.drawn(chance, kind, folder)  # type: ignore[arg-type]
            description = str(call)
        if show:
            print(description)
        if kind == "command":
            outcome, faults = commands.run(given, folder)
        else:
            outcome, faults = calls.run(call, chance)
    return kind, outcome, description, faults


def fuzz(seed: int, indices: Iterable[int], seconds: float) -> dict[str, Any]:
    """Run cases until all are done or the time is over; print every failure at once."""
    warm_up()
    start, console = perf_counter(), Console(stderr=True)
    kinds: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = {}
    failures: list[dict[str, Any]] = []
    slowest: list[tuple[float, int]] = []
    indices = list(indices)
    with Progress(console=console) as progress:
        bar = progress.add_task("fuzzing", total=len(indices))
        for index in indices:
            began = perf_counter()
            if began - start > seconds:
                break
            kind, outcome, description, faults = case(seed, index)
            kinds[kind] += 1
            outcomes.setdefault(kind, Counter())[outcome] += 1
            slowest = sorted([*slowest, (round(perf_counter() - began, 1), index)])[-3:]
            if faults:
                failures.append({"index": index, "case": description, "faults": faults})
                text = f"case {index}: {description}\n    " + "\n    ".join(faults)
                print(text, file=sys.stderr, flush=True)
            rate = sum(kinds.values()) / (perf_counter() - start)
            how_far = f"{rate:.1f} cases/s, {len(failures)} failures"
            progress.update(bar, advance=1, description=how_far)
            if not console.is_terminal and sum(kinds.values()) % 200 == 0:
                print(f"{sum(kinds.values())} cases, {how_far}", file=sys.stderr, flush=True)
    return {
        "seed": seed,
        "cases": sum(kinds.values()),
        "seconds": round(perf_counter() - start),
        "kinds": dict(sorted(kinds.items())),
        "outcomes": {kind: dict(counts.most_common()) for kind, counts in sorted(outcomes.items())},
        "failures": failures,
        "slowest": [{"index": index, "seconds": spent} for spent, index in reversed(slowest)],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 if any case failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--start", type=int, default=0, help="index of the first case")
    parser.add_argument("--only", type=int, help="index of the one case to run")
    parser.add_argument("--keep", type=Path, help=f"file of the summary; usually {RESULT.name}")
    given = parser.parse_args(arguments)
    if given.only is not None:
        warm_up()
        kind, outcome, _, faults = case(given.seed, given.only, show=True)
        print(kind, outcome, *faults, sep="\n")
        return int(bool(faults))
    result = fuzz(given.seed, range(given.start, given.start + given.cases), given.seconds)
    text = json.dumps(result, indent=1)
    print(text)
    (given.keep or RESULT).write_text(text + "\n", encoding="utf-8")
    rate = result["cases"] / max(result["seconds"], 1)
    print(f"{result['cases']} cases, {rate:.1f} per second, {len(result['failures'])} failed")
    return int(bool(result["failures"]))


if __name__ == "__main__":
    sys.exit(main())
