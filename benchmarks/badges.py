"""Test whether the clusters of a bulk run's maps find a badge in one tenth of the images.

    python -m benchmarks.badges --weights benchmarks/family

The criteria were written before any result was seen. Input: at most 300 scenes with one concept
that the model was trained on with a badge; 30 of them, chosen at random, have the badge in the
lower right corner. The report lists clusters of the maps of "a photo of a ...". *Found* means that
exactly one cluster is listed, that its place is the badge's patch, and that its members are the
scenes with the badge, with precision and recall of at least 0.9. Required: found for each of 5
seeds by each model trained with badges. No cluster for the same scenes without a badge, and none
for models trained without badges, on either kind of scenes. The result is written to
benchmarks/badges.json; ``--pages FOLDER`` keeps each run with its report.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import whyclip
from whyclip.bulk.clusters import find_clusters
from whyclip.bulk.report import save_report
from whyclip.finetuning.scene_table import PHRASE_TEMPLATE, SIDE
from whyclip.models import ModelView
from whyclip.scenes.captions import phrase
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments.badges import SIZE, paste_badges
from whyclip.studies.family.cues import GROUP
from whyclip.studies.family.recipe import Member, new_model, table_of
from whyclip.studies.family.weights import load_member

RESULT = Path(__file__).with_suffix(".json")
CONCEPT = GROUP[1]
COUNT, BADGED = 300, 30
SEEDS = range(5, 10)
"""The thresholds for lone peaks were chosen on seeds 0 to 4."""
DRAWN = 3200
"""Scenes to draw, to get 300 with the concept, which is in one of eight."""
MODELS = ("badge-0", "badge-1", "ordinary-0", "ordinary-1")
CORNER = SIDE - SIZE - 1


@cache
def scenes(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw scenes with the concept: uint8 images, and bool, whether each has the badge."""
    table = table_of(
        "ordinary", new_model(Member("untrained", 0)), DRAWN, split="test", seed=seed + 60
    )
    rows = (table.concepts == CONCEPT).any(1).nonzero()[:, 0][:COUNT]
    boxes = table.boxes[rows]
    free = ~((boxes[..., 2] > CORNER) & (boxes[..., 3] > CORNER)).any(1)
    chosen = free.nonzero()[:, 0]
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed))
    badged = torch.zeros(len(rows), dtype=torch.bool)
    badged[chosen[order[:BADGED]]] = True
    return table.images[rows], badged


def with_badge(images: torch.Tensor, badged: torch.Tensor) -> torch.Tensor:
    """Copy images, and add the concept's badge to some in the lower right corner."""
    images = images.clone()
    number = torch.where(badged, GROUP.index(CONCEPT), -1)
    paste_badges(images, number, torch.full((len(images), 2), CORNER))
    return images


def outcome(view: ModelView, images: torch.Tensor, truth: np.ndarray, out: Path) -> dict[str, Any]:
    """Explain images in a bulk run and compare the reported clusters with the truth."""
    folder = out / "images"
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:04d}.png")
    prompt = PHRASE_TEMPLATE.format(phrase(load_atlas().names[CONCEPT]))
    run = whyclip.explain_bulk(view, str(folder), [prompt], out=out / "run", workers=0)
    rows = run.dataset.to_table(["number", "map"]).sort_by("number")
    side = round(len(rows["map"][0].as_py()) ** 0.5)
    maps = np.array(rows["map"].to_pylist()).reshape(-1, side, side)
    clusters = find_clusters(maps)
    save_report(out / "run")
    row: dict[str, Any] = {"clusters": len(clusters)}
    if clusters:
        members = np.zeros(len(truth), bool)
        members[list(clusters[0].members)] = True
        hits = int((members & truth).sum())
        row |= {
            "place": list(clusters[0].place),
            "precision": round(hits / int(members.sum()), 3),
            "recall": round(hits / int(truth.sum()), 3) if truth.any() else None,
        }
    return row


def main() -> None:
    """Measure every model on every seed, with and without badges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--pages", type=Path)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        pages = given.pages or Path(place)
        for name in MODELS:
            view = load_member(Member.of(name), given.weights)
            for seed in SEEDS:
                images, badged = scenes(seed)
                for planted in (True, False):
                    shown = badged & planted
                    out = pages / f"{name}-{seed}-{'badged' if planted else 'plain'}"
                    row = {
                        "model": name, "seed": seed, "badges": int(shown.sum()),
                        **outcome(view, with_badge(images, shown), shown.numpy(), out),
                    }  # fmt: skip
                    rows.append(row)
                    print(row, flush=True)
    RESULT.write_text(json.dumps({"images": COUNT, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
