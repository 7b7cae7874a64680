"""Measure the completeness error of embedding decompositions, for every model family.

    python -m benchmarks.exactness              # the small models of the tests, and mini
    python -m benchmarks.exactness --true-size  # also full-size models with random weights

Requirement, written before the first run: at most 1e-5 of the embedding's length, in float32, for
every family and both encoders. All terms are computed, so the difference is due to rounding.
Results are in ``benchmarks/exactness.json``, the table in ``docs/exactness.md``.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.page import write
from whyclip import load, wrap
from whyclip.errors import InputError
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.methods.decomposition import check_sum
from whyclip.methods.paths import direct_paths, readout_paths
from whyclip.models import ModelView, Tower

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "benchmarks" / "exactness.json"
ALLOWED = 1e-5
PROMPTS = ["a dog", "a photo of two red cars next to a tree, seen from above", "it"]

Line = dict[str, Any]


def measure(view: ModelView, name: str) -> Iterator[Line]:
    """Measure the largest gap of three inputs, for each encoder with pooling attention."""
    for tower in view.towers:
        if tower.opaque:
            continue
        forward_pass = run_tower(
            tower, inputs_of(view, tower), Targets(torch.empty(0, 0)), keep=len(tower.blocks)
        )
        line: Line = {"family": name, "encoder": tower.side, "layers": len(tower.blocks)}
        line["readout"] = float(readout_paths(forward_pass).gap.max())
        try:
            check_sum(tower)
            line["direct"] = float(direct_paths(forward_pass).gap.max())
        except InputError:
            # Its residual stream is not a sum of the layers' outputs.
            line["direct"] = None
        yield line


def inputs_of(view: ModelView, tower: Tower) -> torch.Tensor:
    """Return three images of noise, or three texts."""
    if tower is view.image:
        size = (3, 3, *view.image.input_size)
        return torch.randn(size, generator=torch.Generator().manual_seed(0))
    return tokenize(view.tokenizer, PROMPTS, view.text.context).ids


def models(true_size: bool) -> Iterator[tuple[str, Callable[[], ModelView]]]:
    """Yield the names of the models and the functions that build them."""
    sys.path.insert(0, str(ROOT / "tests"))
    import families

    yield "mini", lambda: load("mini")
    for name, make in families.SMALL.items():
        yield name, lambda make=make: wrap(*make())
    if true_size:
        for name, make in families.TRUE_SIZE.items():
            yield f"{name}, true size", lambda make=make: wrap(*make())


def table(lines: list[Line]) -> str:
    """Write the table in Markdown."""
    names = ("model", "encoder", "layers", "readout paths", "direct")
    rows = [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    for line in lines:
        direct = "not a sum" if line["direct"] is None else f"{line['direct']:.1e}"
        rows.append(
            f"| {line['family']} | {line['encoder']} | {line['layers']} | {line['readout']:.1e} "
            f"| {direct} |"
        )
    return "\n".join(rows)


def main(
    true_size: Annotated[bool, typer.Option(help="include full-size models")] = False,
    only: Annotated[str, typer.Option(help="part of a family's name")] = "",
) -> None:
    """Measure, print and save; exit with 1 if a gap is larger than allowed."""
    kept: list[Line] = []
    if (only or true_size) and KEPT.exists():
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    for name, make in models(true_size):
        if only not in name or (true_size and "true size" not in name):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines = list(measure(make(), name))
        kept = [line for line in kept if line["family"] != name] + lines
        print(table(lines).split("\n", 2)[-1] if lines else f"{name}: no attention", flush=True)
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write(ROOT / "docs" / "exactness.md", {"table": table(kept)})
    worst = max(max(line["readout"], line["direct"] or 0.0) for line in kept)
    print(f"largest: {worst:.1e}, allowed {ALLOWED:.0e}")
    if not worst <= ALLOWED:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
