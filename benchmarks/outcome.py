"""Run tests in a separate process and count the results."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent


def run(python: str | Path, tests: list[str], *flags: str) -> dict[str, Any]:
    """Return the numbers of passed and skipped tests, names of failed tests, and seconds."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        start, used = perf_counter(), _processor()
        subprocess.run(
            [python, "-m", "pytest", "-q", "--no-header", f"--junitxml={report}", *flags, *tests],
            cwd=ROOT,
            env=environ,
            check=False,
        )
        seconds, used = perf_counter() - start, _processor() - used
        cases = list(ElementTree.parse(report).iter("testcase"))
    bad = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {
        "passed": len(cases) - len(bad) - skipped,
        "skipped": skipped,
        "failed": [f"{case.get('classname')}::{case.get('name')}" for case in bad],
        "seconds": round(seconds),
        "processor seconds": round(used),
    }


def _processor() -> float:
    """Processor seconds of all finished child processes."""
    times = os.times()
    return times.children_user + times.children_system
