"""Tables, verdicts and figures of the shortcut experiment, from its stored runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from whyclip.metrics import Interval, interval
from whyclip.report import Column, Picture, Table
from whyclip.studies.claims import Finding, is_above, is_below
from whyclip.studies.experiments.badges import BadgedScenes
from whyclip.studies.experiments.shortcut_measures import EXAMPLES, Array
from whyclip.studies.experiments.shortcut_study import (
    ARMS,
    BEFORE,
    CLEAN,
    CONTROL,
    RELEVANCE,
    REMOVAL,
    SWEPT,
    Run,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS_MAY_LOSE = 2.0
"""Largest loss of accuracy for other concepts against ``CONTROL``, in percentage points."""

SHORTCUT_POINTS = 10.0
"""Smallest gain in accuracy by the badge for a model that uses it, in percentage points."""

# Title, unit, factor and digits of each measure, by name.
_COLUMNS: Mapping[str, tuple[str, str, float, int]] = {
    "with_badge": ("accuracy with badge", "%", 100, 1),
    "without_badge": ("accuracy without badge", "%", 100, 1),
    "others": ("accuracy, other concepts", "%", 100, 1),
    "rendering": ("reliance by drawing again", "", 1, 3),
    "removal": ("reliance by removing patches", "", 1, 3),
    "contribution": ("share on badge, Contribution", "", 1, 2),
    "grad_eclip": ("share on badge, Grad-ECLIP", "", 1, 2),
}
_NOTE = (
    "Accuracy: the concept is among the k best of 32, for a scene of k concepts. Reliance by "
    "drawing again: cosine with the prompt of the badge's concept, minus the cosine of the same "
    "scene drawn without its badge. Reliance by removing patches: the same with the patches that "
    "the badge touches removed from the attention. Share: positive relevance on those patches, "
    "divided by all positive relevance. Intervals are 95 % bootstraps over test scenes, with the "
    "runs of all seeds pooled: they cover the choice of scenes, not of training runs."
)


@dataclass(frozen=True)
class Pooled:
    """The runs of one arm at one weight, with all seeds."""

    runs: Sequence[Run]

    def values(self, name: str) -> Array:
        """Values of a measure over all seeds, accuracies in percent."""
        joined: Array = np.concatenate([getattr(run.test, name) for run in self.runs])
        return joined * _COLUMNS[name][2]

    def scenes(self, name: str) -> Array:
        """Scenes of the values of a measure."""
        of = "other_scenes" if name == "others" else "scenes"
        joined: Array = np.concatenate([getattr(run.test, of) for run in self.runs])
        return joined

    def mean(self, name: str) -> Interval:
        """Mean of a measure with its interval over scenes."""
        return interval(self.values(name), groups=self.scenes(name))


def choose(runs: Sequence[Run]) -> dict[str, Pooled]:
    """Choose the weight of each arm on the validation scenes.

    Weights are admissible if the accuracy for other concepts is at most ``OTHERS_MAY_LOSE`` points
    below that of ``CONTROL``. The admissible weight with the best accuracy without the badge is
    chosen, or else the weight with the best accuracy for other concepts. Accuracies are means over
    seeds.
    """
    least = np.mean([run.others for run in runs if run.arm == CONTROL]) - OTHERS_MAY_LOSE / 100
    chosen = {}
    for arm in ARMS:
        by_weight = {
            weight: [run for run in runs if run.arm == arm and run.weight == weight]
            for weight in sorted({run.weight for run in runs if run.arm == arm})
        }

        def merit(part: Sequence[Run]) -> tuple[bool, float]:
            others = float(np.mean([run.others for run in part]))
            able = bool(others >= least)
            return able, float(np.mean([run.without_badge for run in part])) if able else others

        if by_weight:
            chosen[arm] = Pooled(max(by_weight.values(), key=merit))
    return chosen


def verdicts(chosen: Mapping[str, Pooled]) -> list[Finding]:
    """Judge the claims with the bounds in ``shortcut.py``."""
    before, control = chosen[BEFORE], chosen[CONTROL]
    penalty, removal = chosen[RELEVANCE], chosen[REMOVAL]

    def mean(name: str, values: Array) -> Interval:
        return interval(values, groups=before.scenes(name))

    used = before.values("with_badge") - before.values("without_badge")
    findings = [
        is_above(
            "Before fine-tuning, the model uses the badge",
            "accuracy with the badge minus accuracy without, in points",
            mean("without_badge", used),
            SHORTCUT_POINTS,
            digits=1,
        )
    ]
    for name, title in (("contribution", "Contribution"), ("grad_eclip", "Grad-ECLIP")):
        findings.append(
            is_below(
                f"The relevance penalty silences the {title} map",
                "share of relevance on the badge after, minus a third of the share before",
                mean(name, penalty.values(name) - before.values(name) / 3),
                0,
            )
        )
    name = "without_badge"
    gains = [arm.values(name) - control.values(name) for arm in (penalty, removal)]
    findings += [
        is_below(
            "With the silenced map the model goes on using the badge",
            "gain in accuracy without the badge by the penalty, minus half of the gain by the "
            "removal loss, in points",
            mean(name, gains[0] - gains[1] / 2),
            0,
            digits=1,
        ),
        is_below(
            "The removal loss lowers the reliance on the badge by at least half",
            "reliance by drawing again after, minus half of the reliance before",
            mean("rendering", removal.values("rendering") - before.values("rendering") / 2),
            0,
        ),
        is_above(
            "The removal loss raises the accuracy without the badge",
            "gain over the global loss alone, in points",
            mean(name, gains[1]),
            0,
            digits=1,
        ),
    ]
    for arm, title in ((removal, "removal loss"), (penalty, "relevance penalty")):
        findings.append(
            is_above(
                f"With the {title}, other concepts lose at most {OTHERS_MAY_LOSE:g} points",
                "change of their accuracy against the global loss alone, in points",
                mean("others", arm.values("others") - control.values("others")),
                -OTHERS_MAY_LOSE,
                digits=1,
            )
        )
    return findings


def arms_table(chosen: Mapping[str, Pooled]) -> Table:
    """Tabulate every arm at its chosen weight."""
    columns = (
        Column("arm"),
        Column("weight", digits=1),
        *(Column(name, title, unit, digits) for name, (title, unit, _, digits) in _COLUMNS.items()),
    )
    rows = tuple(
        {
            "arm": arm,
            "weight": pooled.runs[0].weight if arm in SWEPT else None,
            **{name: pooled.mean(name) for name in _COLUMNS},
        }
        for arm, pooled in chosen.items()
    )
    return Table("Reliance on the badge by training", columns, rows, _NOTE)


def runs_table(runs: Sequence[Run]) -> Table:
    """Tabulate the means of every run, including weights that were not chosen."""
    columns = (
        Column("arm"),
        Column("weight", digits=1),
        Column("seed"),
        Column("val_without", "validation: accuracy without badge", "%", 1),
        Column("val_others", "validation: accuracy, other concepts", "%", 1),
        *(Column(name, title, unit, digits) for name, (title, unit, _, digits) in _COLUMNS.items()),
    )
    rows = tuple(
        {
            "arm": run.arm,
            "weight": run.weight if run.arm in SWEPT else None,
            "seed": run.seed,
            "val_without": 100 * run.without_badge,
            "val_others": 100 * run.others,
            **{name: float(Pooled([run]).values(name).mean()) for name in _COLUMNS},
        }
        for run in runs
    )
    note = "Means over scenes. The weight of an arm is chosen by the two validation columns."
    return Table("Every run", columns, rows, note)


def scatter(runs: Sequence[Run], chosen: Mapping[str, Pooled]) -> Picture:
    """Plot the share of relevance on the badge against the accuracy without it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"contribution": "Contribution (the penalised map)", "grad_eclip": "Grad-ECLIP"}
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for number, (arm, pooled) in enumerate(chosen.items()):
            colour = f"C{number}"
            taken = {id(run) for run in pooled.runs}
            rest = [run for run in runs if run.arm == arm and id(run) not in taken]
            for part, filled in ((rest, False), (pooled.runs, True)):
                x = [float(getattr(run.test, name).mean()) for run in part]
                y = [100 * float(run.test.without_badge.mean()) for run in part]
                axes.scatter(
                    x, y, s=36, edgecolors=colour, facecolors=colour if filled else "none",
                    label=arm if filled else None, alpha=0.9 if filled else 0.5,
                )  # fmt: skip
        axes.set_xlabel(f"share of relevance on the badge\n{title}")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("accuracy without the badge (%)")
    panels[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return Picture(
        figure,
        "Share of relevance on the badge against accuracy without the badge",
        "One dot per arm and seed on test scenes; hollow dots are weights that were not chosen. "
        "Further left, the map shows less of the badge; further up, the model relies on it less.",
    )


def strip(scenes: BadgedScenes, chosen: Mapping[str, Pooled]) -> Picture:
    """Show Grad-ECLIP maps of test images before and after each shortcut loss."""
    shown = [arm for arm in (BEFORE, RELEVANCE, REMOVAL, CLEAN) if arm in chosen]
    rows = scenes.carriers[:EXAMPLES]
    drawn = scenes.render(rows, torch.ones_like(rows, dtype=torch.bool))
    images = drawn.permute(0, 2, 3, 1).cpu().numpy()
    return Picture(
        _strip_figure(images, {arm: chosen[arm] for arm in shown}),
        "Heat maps of badged images before and after each shortcut loss",
        "Grad-ECLIP for the concept that the badge names, models of the first seed; each map has "
        "its own colour scale. Below: accuracy of all seeds on test scenes without the badge.",
    )


def _strip_figure(images: Array, arms: Mapping[str, Pooled]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * (1 + len(arms)), 1.7 * len(images) + 0.8), layout="constrained")
    cells = figure.subplots(len(images), 1 + len(arms), squeeze=False)
    height, width = images.shape[1:3]
    for number, (row, image) in enumerate(zip(cells, images, strict=True)):
        row[0].imshow(image)
        for axes, pooled in zip(row[1:], arms.values(), strict=True):
            heat = pooled.runs[0].test.maps[number]
            side = round(len(heat) ** 0.5)
            axes.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255)
            axes.imshow(
                heat.reshape(side, side), extent=(0, width, height, 0), cmap="inferno",
                alpha=0.6, vmin=0, vmax=max(float(heat.max()), 1e-12),
            )  # fmt: skip
    for axes in cells.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    cells[0, 0].set_title("image", fontsize=8)
    cells[-1, 0].set_xlabel("accuracy\nwithout badge", fontsize=8)
    for column, (arm, pooled) in enumerate(arms.items(), start=1):
        cells[0, column].set_title(arm, fontsize=8)
        accuracy = float(pooled.values("without_badge").mean())
        cells[-1, column].set_xlabel(f"{accuracy:.1f} %", fontsize=8)
    return figure
