"""Run the slow and the browser tests, one file at a time, and save the outcome.

    python -m benchmarks.slow                              all of them, as make test-slow does
    python -m benchmarks.slow tests/mini/test_mini.py      only these; others are kept

Files run one at a time, so that full-size models of different files are not in memory at once.
The outcome is written to slow.json next to this file: results, date, wall-clock time, and
processor time, which other processes do not affect.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.outcome import ROOT, run
from benchmarks.speed import machine

RESULT = Path(__file__).with_name("slow.json")
MARKED = ("-m", "slow or browser")


def marked_files() -> list[str]:
    """List the files with tests of these marks."""
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *MARKED],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted({line.split("::")[0] for line in listed.stdout.splitlines() if "::" in line})


def main() -> int:
    """Run, print and save; return 1 if any test failed."""
    files = sys.argv[1:] or marked_files()
    before = json.loads(RESULT.read_text(encoding="utf-8"))["files"] if RESULT.exists() else {}
    outcomes = {name: before[name] for name in before if sys.argv[1:] and name not in files}
    failed = False
    for name in files:
        print(name, flush=True)
        outcome = run(sys.executable, [name], *MARKED)
        failed |= bool(outcome["failed"])
        outcomes[name] = {"date": date.today().isoformat(), **outcome}
        kept = {"machine": machine(), "files": dict(sorted(outcomes.items()))}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
