"""Calibrate the audit's approximations for photographs on scenes, where the truth is known.

    python -m benchmarks.approximations             # seed 1003; two minutes on one core
    python -m benchmarks.approximations --seed 900 --out 900.json

Rule, written before the results of seed 1003 were seen: on data without interventions, an
approximation is used for the verdict if, on plain scenes,

- over all methods, Spearman's correlation with the exact check's statistic is at least 0.8;
- no method passes one of the two checks and fails the other.

Otherwise it is measured only if it is named. Scenes have smooth backgrounds, which are easy to
fill. Images are therefore also measured with added grain, which the fill cannot reproduce.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import whyclip
from benchmarks.interventions import TABLE, rounded
from benchmarks.speed import machine
from whyclip.datasets.dataset import Sample, Subset
from whyclip.datasets.scenes import SceneSamples
from whyclip.perturbation.fills import Pixels
from whyclip.scenes.interventions import SceneInterventions
from whyclip.stats.correlation import pearson, spearman
from whyclip.stats.verdict import judge
from whyclip.studies.audit import CHECKS
from whyclip.studies.audit.absent import AbsentNouns
from whyclip.studies.audit.cases import AuditSetup
from whyclip.studies.audit.checks.absent_classes import compared
from whyclip.studies.audit.evidence import Ask, Evidence
from whyclip.studies.audit.inpainted import INPAINTED
from whyclip.studies.audit.measure import Work, gather
from whyclip.studies.audit.run import drawn_samples
from whyclip.studies.audit.store import Store
from whyclip.studies.audit.variants import variants_by_label
from whyclip.studies.candidates import prompt_candidates
from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs
from whyclip.types import Side

RESULT = Path(__file__).with_name("approximations.json")
SEED, SCENES = 1003, 24
# Grain of brightness: side of a cell in pixels, and largest change in grey levels.
GRAIN, STRENGTH = 4, 40
# Smallest rank correlation, by the rule above.
ALIKE = 0.8
ASKS: dict[Side, frozenset[Ask]] = {
    "image": frozenset({"removed", "inpainted"}),
    "text": frozenset({"exchanges", "absent"}),
}
# The approximation, the exact check, and the side of both.
PAIRS: Sequence[tuple[str, str, Side]] = (
    ("inpainted_objects", "removed_objects", "image"),
    ("absent_classes", "exchanged_prompts", "image"),
    ("absent_nouns", "exchanged_words", "text"),
)


class Textured(SceneSamples):
    """The same scenes with grain that the fill cannot reproduce, as in photographs."""

    def sample(self, index: int) -> Sample:
        """Return one scene and its interventions, all with the same grain."""
        plain, scene = super().sample(index), self.scenes[index]
        width, height = scene.image.size
        coarse = np.random.default_rng((scene.seed, 8)).integers(
            -STRENGTH, STRENGTH + 1, (-(-height // GRAIN), -(-width // GRAIN), 1)
        )
        grain = coarse.repeat(GRAIN, 0).repeat(GRAIN, 1)[:height, :width]

        def paint(pixels: Pixels) -> Pixels:
            return (pixels + grain).clip(0, 255).astype(np.uint8)

        return replace(
            plain,
            source=Image.fromarray(paint(np.asarray(plain.image))),
            interventions=SceneInterventions(scene, paint=paint),
        )


def gathered(data: SceneSamples, sides: Sequence[Side], folder: Path | None) -> Evidence:
    """Collect the evidence of all methods on the same scenes, for both kinds of edit."""
    asks = frozenset(ask for side in sides for ask in ASKS[side])
    model = whyclip.load("mini", device="cpu")
    variants = variants_by_label(model, [name for name in TABLE if name != "random"], 0)
    candidates = prompt_candidates(model, data, list(data))
    setup = AuditSetup(model, variants, candidates, AbsentNouns(data, 0))
    work = Work(asks, {}, 1, 1, 0)
    store = Store(folder, {"data": type(data).__name__}) if folder else None
    return gather(setup, drawn_samples(Subset(data, len(data), 0)), work, store).evidence


def by_method(evidence: Evidence, approximate: str, exact: str, side: Side) -> dict[str, Any]:
    """Compare both statistics of every method, and the ranks of the methods."""
    rows: dict[str, Any] = {}
    for name, method in evidence.methods.items():
        if side in method.sides:
            values = [
                CHECKS[check].measure(evidence, name, side).values for check in (approximate, exact)
            ]
            near, true = (
                value.interval(share=CHECKS[check].share)
                for value, check in zip(values, (approximate, exact), strict=True)
                if value is not None
            )
            rows[name] = {
                approximate: rounded(near),
                exact: rounded(true),
                "difference": round(near.mean - true.mean, 4),
                **({"on the same cases": common(*values)} if side == "image" else {}),
                "verdicts": [
                    judge(value, CHECKS[check].threshold, higher_is_better=True)
                    for value, check in ((near, approximate), (true, exact))
                ],
            }
    means = torch.tensor([[row[approximate][0], row[exact][0]] for row in rows.values()])
    alike = round(float(spearman(*means.T)), 4)
    apart = [name for name, row in rows.items() if {"pass", "fail"} == set(row["verdicts"])]
    return {
        "methods": rows,
        "joins the verdict": alike >= ALIKE and not apart,
        "pass one and fail the other": apart,
        "Spearman over methods": alike,
        "largest difference": max(abs(row["difference"]) for row in rows.values()),
    }


def common(near: Values | Pairs | None, true: Values | Pairs | None) -> list[float] | None:
    """Compute both correlations on objects with both edits; removal excludes overlapping ones."""
    if not (isinstance(near, Pairs) and isinstance(true, Pairs)):
        return None
    x, y, z = (np.array(row) for row in (near.x, near.y, true.y))
    known = ~(np.isnan(y) | np.isnan(z))
    return [round(float(np.corrcoef(x[known], drop[known])[0, 1]), 4) for drop in (y, z)]


def drops(evidence: Evidence) -> dict[str, Any]:
    """Compare score drops by painting over with the true drops, over all prompts and objects."""
    near, true, of_named = [], [], []
    for sample in evidence.samples:
        pair = [sample.image_drops[kind][:, : sample.true_count] for kind in (INPAINTED, "removed")]
        known = ~pair[0].isnan() & ~pair[1].isnan()
        near += pair[0][known].tolist()
        true += pair[1][known].tolist()
        of_named += torch.eye(*known.shape, dtype=torch.bool)[known].tolist()
    x, y, named = np.array(near), np.array(true), np.array(of_named)
    return {
        kind: {
            "n": int(rows.sum()),
            "Pearson": round(float(pearson(*map(torch.from_numpy, (x[rows], y[rows])))), 4),
            "mean by painting over": round(float(x[rows].mean()), 4),
            "mean of the truth": round(float(y[rows].mean()), 4),
            "bias": round(float((x - y)[rows].mean()), 4),
            "root mean square error": round(float(np.sqrt(((x - y)[rows] ** 2).mean())), 4),
            "slope": round(float(np.polyfit(y[rows], x[rows], 1)[0]), 4),
        }
        for kind, rows in (
            ("all prompts and objects", np.ones_like(named)),
            ("the named object", named),
            ("other objects", ~named),
        )
    } | {"not painted over or not clean": sum(
        int((s.image_drops[INPAINTED].isnan() | s.image_drops["removed"].isnan())[:, 0].sum())
        for s in evidence.samples
    )}  # fmt: skip


def assumed(evidence: Evidence) -> dict[str, Any]:
    """Measure `absent_classes` on objects chosen by the true drop, and how often choices agree."""
    same, n = 0, 0
    for sample in evidence.samples:
        if len(sample.prompts) > sample.true_count:
            for number in range(sample.true_count):
                near, true = (sample.image_drops[k][number] for k in (INPAINTED, "removed"))
                if not (near.isnan().any() or true.isnan().any()):
                    choice = [
                        bool(d[number] > d[sample.true_count].clamp(min=0)) for d in (near, true)
                    ]
                    same, n = same + (choice[0] == choice[1]), n + 1
    methods: dict[str, Any] = {}
    for name, method in evidence.methods.items():
        for kind in (INPAINTED, "removed") if "image" in method.sides else ():
            values = compared(evidence, name, kind).values
            share = None if values is None else rounded(values.interval(share=True))
            methods.setdefault(name, {})[kind] = share
    return {"same choice of objects": round(same / n, 4), "n": n, "share by choice": methods}


def calibrated(evidence: Evidence, sides: Sequence[Side]) -> Mapping[str, Any]:
    """Collect all results for the saved file."""
    return {
        "score drops": drops(evidence),
        **{
            f"{a} against {b}": by_method(evidence, a, b, side)
            for a, b, side in PAIRS
            if side in sides
        },
        "absent_classes by the true drop": assumed(evidence),
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--kinds", default="scenes,textured")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--folder", type=Path, help="folder of each scene's results, to resume")
    options = parser.parse_args()
    began = time.perf_counter()
    kept: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    kinds = {"scenes": SceneSamples, "textured": Textured}
    for kind in options.kinds.split(","):
        # Words do not depend on the grain.
        sides: tuple[Side, ...] = ("image", "text") if kind == "scenes" else ("image",)
        data = kinds[kind](options.scenes, options.seed, objects=(2, 4))
        calibration = calibrated(gathered(data, sides, options.folder), sides)
        kept[kind] = {"scenes": options.scenes, "seed": options.seed, **calibration}
    kept |= {"machine": machine(), "seconds": round(time.perf_counter() - began, 1)}
    options.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
