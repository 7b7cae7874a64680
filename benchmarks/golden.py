"""Golden values of a small run of all parts, to detect unintended changes.

    python -m benchmarks.golden            # write golden.json
    python -m benchmarks.golden --check    # compare with it; exit status 1 if anything differs

The run explains, evaluates and audits 24 synthetic scenes with a two-layer model of seeded random
weights, and runs every experiment without training. On the machine and the library versions that
wrote the file, values are equal to the last stored digit. Elsewhere rounding differs, and the check
allows ``1e-4 + 1e-3·|value|``; a tie decided by rounding can still differ by more. It takes about
two minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import whyclip
from benchmarks.fuzz.models import view_of
from whyclip.datasets import open_dataset
from whyclip.errors import WhyclipWarning
from whyclip.metrics import METRICS
from whyclip.report import Report, Table
from whyclip.studies.audit import audit
from whyclip.studies.evaluation import evaluate
from whyclip.studies.experiments import EXPERIMENTS
from whyclip.studies.experiments.run import reproduce

RESULT = Path(__file__).with_name("golden.json")
DATA = "scenes:24"
DIGITS = 6
ABSOLUTE, RELATIVE = 1e-4, 1e-3
SHOWN = 20
VALUES = 16

PUBLISHED = "grad_eclip:heads=single"
LABELS = {PUBLISHED: "published"}
METHODS = ("grad_eclip", "contribution", "decomposition", "maskclip", "leave_one_out")


def explained() -> dict[str, Any]:
    """Compute maps and words of every fast method, for two scenes and three prompts."""
    records = {}
    samples = list(open_dataset("scenes:2"))
    for geometry in ("model", "keep"):
        results = whyclip.compare(
            view_of("openclip"),
            [sample.image for sample in samples],
            ["a dog", "a red car", ["a photo of a tree", "a tree"]],
            geometry=geometry,  # type: ignore[arg-type]
        )
        for name, explanations in results.items():
            for sample, one in zip(samples, explanations, strict=True):
                records[f"{geometry} {name} {sample.id}"] = {
                    "scores": one.scores.tolist(),
                    "score_model": list(one.certificate.score_model),
                    "verdict": one.certificate.verdict,
                    "maps": None if one.maps is None else thinned(one.maps),
                    "words": [[word.relevance for word in words] for words in one.words],
                }
    return records


def thinned(maps: Tensor) -> list[list[float]]:
    """Select about 16 evenly spaced values of each map."""
    flat = maps.flatten(1)
    values: list[list[float]] = flat[:, :: max(1, flat.shape[1] // VALUES)].tolist()
    return values


def evaluated() -> dict[str, Any]:
    """Compute all values and curves of an evaluation with all metrics."""
    variants = {**{name: name for name in METHODS}, "published": PUBLISHED}
    data = open_dataset(DATA)
    evaluation = evaluate(view_of("openclip"), data, variants, list(METRICS))
    values: dict[str, Any] = {}
    for record in evaluation.records:
        for number, one in enumerate(record.measured):
            where = f"{record.sample} {number}"
            for key, value in one.values.items():
                values.setdefault(" ".join((where, *key[:2])), []).append(value)
            for key, points in one.curves.items():
                values.setdefault(" ".join((where, *key[:2], "curves")), []).append(sum(points))
    return values


def audited() -> dict[str, Any]:
    """Compute all findings of an audit, and the four computations of heads by geometry."""
    result = audit(view_of("openclip"), open_dataset(DATA), [*METHODS, PUBLISHED], edited=8)
    findings = {
        f"{LABELS.get(one.method, one.method)} {one.check} {one.side}": {
            "verdict": one.verdict,
            "value": one.value,
            "figures": dict(one.figures),
        }
        for one in result.findings
    }
    cells = {f"{c.heads} {c.geometry}": [c.gap, c.same, c.accuracy] for c in result.cells}
    return {"findings": findings, "cells": cells}


def reproduced() -> dict[str, Any]:
    """Compute verdicts and tables of every experiment without training."""
    return {
        name: content_of(reproduce(one, data=DATA, model=view_of("openclip"), limit=12).report())
        for name, one in EXPERIMENTS.items()
        if not one.defaults.trains
    }


def content_of(report: Report) -> dict[str, Any]:
    """Collect the outcome of each claim, and the records of each table."""
    texts = "\n".join(section for section in report.sections if isinstance(section, str))
    tables = [section for section in report.sections if isinstance(section, Table)]
    return {
        "verdicts": re.findall(r"^- (.*?: \*\*.*?\*\*)", texts, re.MULTILINE),
        **{f"{number} {table.title}": list(table.records()) for number, table in enumerate(tables)},
    }


PARTS = {
    "explain": explained,
    "evaluate": evaluated,
    "audit": audited,
    "reproduce": reproduced,
}


def plain(value: Any) -> Any:
    """Convert a value to JSON types, with rounded numbers."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)
    return value.item() if hasattr(value, "item") else value


def run(names: list[str]) -> dict[str, Any]:
    """Run some of the parts, without warnings about unfamiliar images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhyclipWarning)
        return {name: plain(PARTS[name]()) for name in names}


def differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """List all differences of two results beyond the tolerance."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            yield from differences(before.get(key), now.get(key), f"{where}/{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f"{where}/{index}")
    elif isinstance(before, float) and isinstance(now, (int, float)):
        if abs(before - now) > ABSOLUTE + RELATIVE * abs(before):
            yield f"{where}: {before} is now {now}"
    elif before != now:
        yield f"{where}: {str(before)[:80]} is now {str(now)[:80]}"


def count(value: Any) -> int:
    """Count the numbers and strings of a result."""
    if isinstance(value, dict):
        return sum(map(count, value.values()))
    return sum(map(count, value)) if isinstance(value, list) else 1


def text_of(result: dict[str, Any]) -> str:
    """Write a result as JSON with one line for each entry of a part."""
    parts = []
    for name, part in result.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in part.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the values; return 1 if any value differs."""
    parser = argparse.ArgumentParser(description="Golden values of the whole package.")
    parser.add_argument("--check", action="store_true", help="compare with the saved values")
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; default: all")
    given = parser.parse_args(arguments)
    names = given.parts or list(PARTS)
    now = run(names)
    before = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    if not given.check:
        RESULT.write_text(text_of({**before, **now}), encoding="utf-8")
        print(f"{count(now)} values written")
        return 0
    wrong = [line for name in names for line in differences(before.get(name), now[name], name)]
    for line in sorted(wrong)[:SHOWN]:
        print(line)
    print(f"{count(now)} values compared, {len(wrong)} differ")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
