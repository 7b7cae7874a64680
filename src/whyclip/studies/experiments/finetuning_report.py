"""Report on fine-tuning records: verdicts, tables and the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whyclip.metrics import Interval, interval
from whyclip.regions.counts import Counts, macc_difference
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import interval_plot
from whyclip.studies.claims import Finding, is_above, is_below
from whyclip.studies.experiments.experiment import ExperimentResult
from whyclip.studies.experiments.finetuning_runs import ARMS, GLOBAL, ORIGINAL, Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Largest loss of zero-shot recall of a successful arm, in points.
ALLOWED_LOSS = 2.0
# Largest difference to training with true masks that counts as near, in points.
NEAR = 5.0
PAPER: Mapping[str, tuple[str, str]] = {
    ORIGINAL: ("41.4", "41.4"),
    GLOBAL: ("42.9", "43.2"),
    "grad_eclip": ("57.3", "49.1"),
}


@dataclass(frozen=True)
class Pooled:
    """All seeds of one arm together; every seed has the same regions.

    Attributes:
        boxes: counts by boxes, mean over seeds.
        masks: counts by masks, mean over seeds.
        hits: ``[n]`` mean over seeds.
        objects: ``[n]`` number of objects.
        by_seed: top-1 mAcc of boxes of each seed.
    """

    boxes: Counts
    masks: Counts
    hits: np.ndarray
    objects: np.ndarray
    by_seed: tuple[float, ...]


Group = tuple[str, float]


def findings_of(records: Sequence[Record], *, seed: int, steps: int) -> ExperimentResult:
    """Return verdicts, tables and the plot of the records."""
    pooled = _pool(records)
    groups = sorted({(start, share) for start, share, _ in pooled}, key=_order)
    verdicts: list[Finding] = []
    tables: list[Table] = []
    for start, share in groups:
        arms = {arm: pooled[start, share, arm] for arm in ARMS if (start, share, arm) in pooled}
        arms = {**_original(pooled, start), **arms}
        tables.append(_table(start, share, arms, seed))
        if share == max(s for other, s in groups if other == start):
            verdicts += _verdicts(start, arms, seed)
    sections: list[str | Table | Picture] = [_INTRODUCTION.format(steps=steps), *tables]
    sections.insert(2, Picture(_figure(pooled, groups, seed), _ALT, _CAPTION))
    sections.append(_every_run(records))
    facts = {"steps": str(steps), "trainings": str(sum(bool(r.losses) for r in records))}
    return ExperimentResult(verdicts, sections, facts)


def _order(group: Group) -> tuple[bool, float]:
    start, share = group
    return start != "weak", -share


def _pool(records: Sequence[Record]) -> dict[tuple[str, float, str], Pooled]:
    together: dict[tuple[str, float, str], list[Record]] = {}
    for record in records:
        task = record.task
        together.setdefault((task.start, task.share, task.arm), []).append(record)
    return {key: _sum(same) for key, same in together.items()}


def _sum(records: list[Record]) -> Pooled:
    measured = [record.measured for record in records]
    return Pooled(
        _added([one.boxes for one in measured]),
        _added([one.masks for one in measured]),
        np.mean([one.hits for one in measured], axis=0),
        measured[0].objects,
        tuple(one.boxes.macc() for one in measured),
    )


def _added(counts: Sequence[Counts]) -> Counts:
    """Mean over seeds, so that arms with different numbers of seeds are comparable."""
    share = 1 / len(counts)
    correct = {k: sum(one.correct[k] for one in counts) * share for k in counts[0].correct}
    return Counts(counts[0].total, correct)  # type: ignore[arg-type]


def _original(pooled: Mapping[tuple[str, float, str], Pooled], start: str) -> dict[str, Pooled]:
    values = [value for (s, _, arm), value in pooled.items() if s == start and arm == ORIGINAL]
    return {ORIGINAL: values[0]} if values else {}


def _verdicts(start: str, arms: Mapping[str, Pooled], seed: int) -> list[Finding]:
    def judge(claim: str, better: str, worse: str) -> list[Finding]:
        if better not in arms or worse not in arms:
            return []
        difference = _points(macc_difference(arms[better].boxes, arms[worse].boxes, seed=seed))
        what = "difference in mAcc of boxes, in points"
        return [is_above(f"From the {start} start: {claim}", what, difference, 0, digits=1)]

    verdicts = [
        *judge("Grad-ECLIP's maps teach more than random maps", "grad_eclip", "random"),
        *judge("Grad-ECLIP's maps teach more than uniform maps", "grad_eclip", "uniform"),
        *judge("the global loss alone helps", GLOBAL, ORIGINAL),
        *judge("the local loss with Grad-ECLIP helps beyond the global loss", "grad_eclip", GLOBAL),
        *judge("even random maps help beyond the global loss", "random", GLOBAL),
    ]
    if "true" in arms and "grad_eclip" in arms:
        gap = _points(macc_difference(arms["true"].boxes, arms["grad_eclip"].boxes, seed=seed))
        claim = f"From the {start} start: Grad-ECLIP comes within {NEAR:g} points of true masks"
        verdicts.append(
            is_below(claim, "distance in mAcc of boxes, in points", gap, NEAR, digits=1)
        )
    if "grad_eclip" in arms and ORIGINAL in arms:
        change = _recall_change(arms["grad_eclip"], arms[ORIGINAL])
        claim = (
            f"From the {start} start: zero-shot recall falls by less than {ALLOWED_LOSS:g} points"
        )
        what = "change of recall with Grad-ECLIP, in points"
        verdicts.append(is_above(claim, what, change, -ALLOWED_LOSS, digits=1))
    return verdicts


def _table(start: str, share: float, arms: Mapping[str, Pooled], seed: int) -> Table:
    original = arms.get(ORIGINAL)
    rows = []
    for arm, pooled in arms.items():
        change = None if original is None else _recall_change(pooled, original)
        lost = change is not None and change.mean < -ALLOWED_LOSS
        row = {
            "arm": ARMS[arm],
            "boxes": _points(pooled.boxes.interval(1, seed=seed)),
            "boxes_5": _points(pooled.boxes.interval(5, seed=seed)),
            "masks": _points(pooled.masks.interval(1, seed=seed)),
            "masks_5": _points(pooled.masks.interval(5, seed=seed)),
            "recall": _recall(pooled),
            "change": None if arm == ORIGINAL else change,
            "success": "–" if arm == ORIGINAL else ("no" if lost else "yes"),
            "seeds": " ".join(f"{100 * value:.1f}" for value in pooled.by_seed),
        }
        if share == 1 and arm in PAPER:
            row["paper"], row["again"] = PAPER[arm]
        rows.append(row)
    columns = [
        Column("arm", "training"),
        Column("boxes", "boxes top-1", unit="%", digits=1, better="higher", help=_MACC),
        Column("boxes_5", "boxes top-5", unit="%", digits=1, better="higher"),
        Column("masks", "masks top-1", unit="%", digits=1, better="higher"),
        Column("masks_5", "masks top-5", unit="%", digits=1, better="higher"),
        Column("recall", "zero-shot recall", unit="%", digits=1, better="higher", help=_RECALL),
        Column("change", "change of recall", unit="points", digits=1),
        Column("success", "recall kept", help=_SUCCESS),
        Column("seeds", "boxes top-1 by seed", unit="%"),
    ]
    if share == 1:
        columns += [Column("paper", "paper", unit="%"), Column("again", "reproduction", unit="%")]
    title = f"From the {start} start, on {share:.0%} of the scenes"
    return Table(title, tuple(columns), tuple(rows))


def _every_run(records: Sequence[Record]) -> Table:
    rows = tuple(
        {
            "start": record.task.start,
            "share": record.task.share,
            "arm": record.task.arm,
            "seed": record.task.seed,
            "boxes": 100 * record.measured.boxes.macc(),
            "masks": 100 * record.measured.masks.macc(),
            "recall": 100 * record.measured.recall,
            "global": record.losses.get("global"),
            "local": record.losses.get("local"),
            "seconds": record.seconds,
        }
        for record in records
    )
    columns = (
        Column("start"),
        Column("share", "share of the scenes", digits=2),
        Column("arm"),
        Column("seed"),
        Column("boxes", "boxes top-1", unit="%", digits=1),
        Column("masks", "masks top-1", unit="%", digits=1),
        Column("recall", "zero-shot recall", unit="%", digits=1),
        Column("global", "global loss"),
        Column("local", "local loss"),
        Column("seconds", "training", unit="s", digits=1),
    )
    return Table("Every training", columns, rows, "Losses are means of the last ten steps.")


def _figure(
    pooled: Mapping[tuple[str, float, str], Pooled], groups: Sequence[Group], seed: int
) -> Figure:
    """Draw mAcc of boxes by arm, with one panel per start and one series per share."""
    panels: dict[str, dict[str, dict[str, Interval]]] = {}
    for start in dict.fromkeys(start for start, _ in groups):
        series: dict[str, dict[str, Interval]] = {}
        for other, share in groups:
            if other == start:
                arms = {**_original(pooled, start)}
                arms |= {a: pooled[start, share, a] for a in ARMS if (start, share, a) in pooled}
                series[f"{share:.0%} of the scenes"] = {
                    ARMS[arm]: _points(arms[arm].boxes.interval(1, seed=seed)) for arm in arms
                }
        rows = set.intersection(*(set(values) for values in series.values()))
        ordered = [title for title in ARMS.values() if title in rows]
        panels[f"boxes top-1 (%), {start} start"] = {
            name: {row: values[row] for row in ordered} for name, values in series.items()
        }
    return interval_plot(panels)


def _points(value: Interval) -> Interval:
    """Convert a proportion to percent."""
    mean, low, high = (100 * number for number in (value.mean, value.low, value.high))
    return Interval(mean, low, high, value.n, value.groups)


def _recall(pooled: Pooled) -> Interval:
    return _mean_over_objects(pooled.hits, pooled.objects)


def _recall_change(pooled: Pooled, original: Pooled) -> Interval:
    return _mean_over_objects(pooled.hits - original.hits, pooled.objects)


def _mean_over_objects(values: np.ndarray, objects: np.ndarray) -> Interval:
    """Sum over scenes by the number of objects, in percent, with an interval over scenes."""
    scaled = 100 * values / objects.mean()
    return interval(scaled.tolist(), groups=[str(row) for row in range(len(scaled))])


_MACC = (
    "mean over the 32 concepts of the share of boxes (or masks) whose best concept, by the dense "
    "features of the patches inside, is the true one; chance is 3.1 %. Mean of the seeds; "
    "95 % intervals are over the unseen scenes and do not cover other seeds, which have a "
    "separate column."
)
_RECALL = "share of a scene's k objects among the k concepts with the highest image scores."
_SUCCESS = f"yes if recall falls by at most {ALLOWED_LOSS:g} points on average."
_ALT = "mAcc of boxes after each training, with intervals"
_CAPTION = (
    "Dots are means of the seeds, lines 95 % intervals over unseen scenes. The difference of "
    "Grad-ECLIP to random and uniform maps is the effect of the maps."
)
_INTRODUCTION = (
    "Each training runs {steps} steps of 128 scenes with the same data order for all arms of a "
    "seed. All arms except the first two add the phrase–region loss; they differ in the map "
    "that selects the patches of a phrase. *Uniform* gives all patches equal weight, *random* is "
    "drawn for each image and phrase, *true masks* are the visible pixels of the object."
)
