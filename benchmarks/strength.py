"""Test whether maps and words improve with the model, on weights from one training run.

    python -m benchmarks.strength runs/mini    # the folder of a training run with --keep
    python -m benchmarks.strength              # only write the page from saved results

Cui & Fan 2026 (arXiv 2605.12952) require that explanations follow the model's performance, and
compare CLIP models of different strength. Here the models are weights saved during one training
run. Results are saved in ``benchmarks/strength.json`` and written into ``docs/findings.md``.
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
# Attention-ECLIP is equal to Grad-ECLIP, and a random map is at chance level.
METHODS = ("grad_eclip", "contribution", "decomposition", "game", "raw_attention")
IMAGE_ONLY = ("grad_cam", "maskclip", "random")
ENERGY, TOP = "energy in mask", "top word names an object"
# Title of a table, and title of a panel.
TITLES = {
    "map": (
        "Share of the map's positive relevance that lies on the object",
        "Map on the object",
    ),
    "words": (
        "Share of captions whose most relevant word names an object in the image",
        "Top word names an object",
    ),
}

Line = dict[str, Any]


def weights_of(run: Path) -> dict[str, Path]:
    """List the folders of weights that a training run saved, by step, and the last one."""
    kept = {int(folder.name[8:]): folder for folder in run.glob("weights-*")}
    return {str(step): kept[step] for step in sorted(kept)} | {"the last": run / "weights"}


def line(methods: Mapping[str, Any]) -> Line:
    """Collect the recall of one set of weights, and the localisation of each method."""
    # Phrases of objects that the model classifies correctly, and of the others.
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
    """Compute the rank correlation between a method's localisation and the model's recall."""
    strength, shown = zip(
        *((record["found"], record[what][method]) for record in lines.values()), strict=True
    )
    return float(spearman(torch.tensor(strength), torch.tensor(shown)))


def table(lines: Mapping[str, Line], what: str) -> Table:
    """Write one row per set of weights, and one with each method's rank correlation."""
    methods = list(next(iter(lines.values()))[what])
    columns = (Column("weights", "weights after step"), Column("found", "recall, 2–4 objects"))
    rows = [
        {"weights": step, "found": record["found"]} | record[what] for step, record in lines.items()
    ]
    last = {method: follows(lines, what, method) for method in methods}
    rows.append({"weights": "rank correlation with recall"} | last)
    return Table(TITLES[what][0], (*columns, *map(Column, methods)), tuple(rows))


def figure(lines: Mapping[str, Line]) -> Any:
    """Draw the localisation of maps and words over the model's recall."""
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
        panel.set_xlabel("recall, two to four objects", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, colors=INK)
        panel.set_ylim(0, 1)
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return drawn


def section(kept: Mapping[str, Any]) -> str:
    """Write the section of the page."""
    lines = {step: line(methods) for step, methods in kept["weights"].items()}
    alt = "Localisation of maps and words over the model's recall"
    (DOCS / "images/findings-strength.png").write_bytes(Picture(figure(lines), alt).png())
    parts = [
        COMMANDS,
        f"{kept['scenes']} scenes for each set of weights.",
        *(table(lines, what).to_markdown().strip() for what in TITLES),
        f"![{alt}](images/findings-strength.png)",
    ]
    return "\n\n".join(parts)


def main(
    run: Annotated[Path | None, typer.Argument(help="folder of a training run")] = None,
    n: Annotated[int, typer.Option(min=1, help="scenes for each set of weights")] = 300,
) -> None:
    """Measure the saved weights, if a folder is given, and write the page."""
    if run is not None:
        folders = weights_of(run)
        for folder in folders.values():
            if not folder.is_dir():
                raise SystemExit(f"no folder {folder}; finish the training first")
        weights: dict[str, Any] = {}
        for step, folder in folders.items():
            print(f"weights after step {step}", flush=True)
            weights[step] = measure(n, methods=(*METHODS, *IMAGE_ONLY), folder=folder)
        kept = {"scenes": n, "weights": weights}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write(DOCS / "findings.md", {"strength": section(json.loads(KEPT.read_text(encoding="utf-8")))})


if __name__ == "__main__":
    typer.run(main)
