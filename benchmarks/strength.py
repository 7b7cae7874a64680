"""Whether maps and words get better as the model does: one training's weights, weak to strong.

    python -m benchmarks.strength runs/mini    # the folder of a training with --keep
    python -m benchmarks.strength              # only write the page anew from what was kept

Cui & Fan 2026 (arXiv 2605.12952) ask that explanations follow how well the model performs, and
compare CLIPs of different strength. Here they are those that one training passes through. What was
measured is kept in ``benchmarks/strength.json`` and written into ``docs/findings.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from training.truth import measure

from benchmarks.page import write
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import INK, styles
from whyclip.stats.correlation import spearman

KEPT = Path(__file__).parent / "strength.json"
DOCS = Path(__file__).parent.parent / "docs"
COMMANDS = """    python -m training.train --out runs/mini \\
        --keep 1700,2000,2350,2600,3000,3400,3800,4050,4200,4400
    python -m benchmarks.strength runs/mini"""
# Attention-ECLIP is Grad-ECLIP; a random map hits what chance does.
METHODS = ("grad_eclip", "contribution", "decomposition", "game", "raw_attention")
IMAGE_ONLY = ("grad_cam", "maskclip", "random")
ENERGY, TOP = "energy in mask", "top word names an object"
# Of a table, and of a panel.
TITLES = {
    "map": (
        "Share of the map's positive relevance that lies on the object",
        "Map on the object",
    ),
    "words": (
        "Share of captions whose most relevant word names a thing in the picture",
        "Top word names a thing",
    ),
}

Line = dict[str, Any]


def weights_of(run: Path) -> dict[str, Path]:
    """The folders of weights that a training kept, by their steps, and the last."""
    kept = {int(folder.name[8:]): folder for folder in run.glob("weights-*")}
    return {str(step): kept[step] for step in sorted(kept)} | {"the last": run / "weights"}


def line(methods: Mapping[str, Any]) -> Line:
    """Of one set of weights: what it finds, and what each method shows."""
    # Phrases of things that the model names right, and of those that it does not.
    phrases = {
        method: [groups[kind][ENERGY] for kind in ("right", "wrong") if kind in groups]
        for method, groups in methods.items()
    }
    right = methods[METHODS[0]]["right"][ENERGY]["n"]
    return {
        "found": right / sum(record["n"] for record in phrases[METHODS[0]]),
        "map": {
            method: float(np.average([p["share"] for p in parts], weights=[p["n"] for p in parts]))
            for method, parts in phrases.items()
        },
        "words": {method: methods[method]["captions"][TOP]["share"] for method in METHODS},
    }


def follows(lines: Mapping[str, Line], what: str, method: str) -> float:
    """How well the order of the weights by what a method shows is that by what they find."""
    strength, shown = zip(
        *((record["found"], record[what][method]) for record in lines.values()), strict=True
    )
    return float(spearman(torch.tensor(strength), torch.tensor(shown)))


def table(lines: Mapping[str, Line], what: str) -> Table:
    """A row for each set of weights, and one that says how well a method follows the model."""
    methods = list(next(iter(lines.values()))[what])
    columns = (Column("weights", "weights after step"), Column("found", "found of 2–4 things"))
    rows = [
        {"weights": step, "found": record["found"]} | record[what] for step, record in lines.items()
    ]
    last = {method: follows(lines, what, method) for method in methods}
    rows.append({"weights": "rank correlation with what is found"} | last)
    return Table(TITLES[what][0], (*columns, *map(Column, methods)), tuple(rows))


def figure(lines: Mapping[str, Line]) -> Any:
    """What maps and words show, against what the model finds."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 4), layout="constrained")
    look = styles((*METHODS, *IMAGE_ONLY))
    ordered = sorted(lines.values(), key=lambda record: record["found"])
    strength = [record["found"] for record in ordered]
    for panel, (what, (_, title)) in zip(drawn.subplots(1, 2), TITLES.items(), strict=True):
        for method in ordered[0][what]:
            values = [record[what][method] for record in ordered]
            panel.plot(strength, values, marker="o", ms=3, lw=1.4, label=method, **look[method])
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("found of two to four things", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, colors=INK)
        panel.set_ylim(0, 1)
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return drawn


def section(kept: Mapping[str, Any]) -> str:
    """What the page shows."""
    lines = {step: line(methods) for step, methods in kept["weights"].items()}
    alt = "What maps and words show, against what the model finds"
    (DOCS / "images/findings-strength.png").write_bytes(Picture(figure(lines), alt).png())
    parts = [
        COMMANDS,
        f"{kept['scenes']} scenes for each set of weights.",
        *(table(lines, what).to_markdown().strip() for what in TITLES),
        f"![{alt}](images/findings-strength.png)",
    ]
    return "\n\n".join(parts)


def main(
    run: Annotated[Path | None, typer.Argument(help="folder of a training that kept some")] = None,
    n: Annotated[int, typer.Option(min=1, help="scenes for each set of weights")] = 300,
) -> None:
    """Measure what was kept, if a folder is given, and write the page."""
    if run is not None:
        folders = weights_of(run)
        for folder in folders.values():
            if not folder.is_dir():
                raise SystemExit(f"no folder {folder}; has the training ended?")
        weights: dict[str, Any] = {}
        for step, folder in folders.items():
            print(f"weights after step {step}", flush=True)
            weights[step] = measure(n, methods=(*METHODS, *IMAGE_ONLY), folder=folder)
        kept = {"scenes": n, "weights": weights}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write(DOCS / "findings.md", {"strength": section(json.loads(KEPT.read_text(encoding="utf-8")))})


if __name__ == "__main__":
    typer.run(main)
