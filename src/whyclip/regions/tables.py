"""Tables of a region classification result."""

from __future__ import annotations

from typing import Any

from whyclip.metrics import Interval
from whyclip.regions.result import Kind, RegionResult
from whyclip.report import Column, Table

CONFUSED = 10


def main_table(result: RegionResult) -> Table:
    """Write mAcc with intervals: one row per kind of region."""
    classes = len(result.classes)
    columns = [
        Column("kind"),
        *(
            Column(f"top{k}", f"top-{k} mAcc", unit="%", digits=1, better="higher")
            for k in result.top
        ),
        Column("occur", "classes"),
        Column("n", "regions"),
        Column("images", "images"),
    ]
    rows: list[dict[str, Any]] = []
    for kind, counts in result.counts.items():
        row: dict[str, Any] = {
            f"top{k}": percent(counts.interval(k, seed=result.seed)) for k in result.top
        }
        occur = int((counts.total.sum(0) > 0).sum())
        rows.append({"kind": kind, **row, "occur": occur, "n": counts.n, "images": counts.images})
    chance = ", ".join(f"{100 * k / classes:.1f} % for top-{k}" for k in result.top)
    return Table(
        "Region classification",
        tuple(columns),
        tuple(rows),
        "mAcc: mean of the per-class accuracies over the classes that occur. Intervals: 95 %, "
        f"bootstrap-t over images. A random choice among the {classes} classes gets {chance}.",
    )


def class_table(result: RegionResult) -> Table:
    """Write the accuracy of each class that occurs."""
    columns = [Column("class")]
    for kind in result.counts:
        short = _short(kind)
        columns.append(Column(f"{short}_n", f"{kind}: number"))
        columns += [
            Column(f"{short}_top{k}", f"{kind}: top-{k}", unit="%", digits=1) for k in result.top
        ]
    rows = []
    for number, name in enumerate(result.classes):
        row: dict[str, Any] = {"class": name}
        for kind, counts in result.counts.items():
            n = int(counts.total[:, number].sum())
            if n:
                row[f"{_short(kind)}_n"] = n
                for k in result.top:
                    row[f"{_short(kind)}_top{k}"] = 100 * float(counts.per_class(k)[number])
        if len(row) > 1:
            rows.append(row)
    return Table("Accuracy per class", tuple(columns), tuple(rows))


def confusion_table(result: RegionResult, kind: Kind, limit: int = CONFUSED) -> Table:
    """Write the most frequent errors of one kind."""
    rows = [
        {"true": one.true, "predicted": one.predicted, "n": one.count, "share": 100 * one.share}
        for one in result.confusions(kind, limit)
    ]
    return Table(
        f"Most frequent confusions, {kind}",
        (
            Column("true", "true class"),
            Column("predicted", "predicted class"),
            Column("n", "regions"),
            Column("share", "share of class", unit="%", digits=1),
        ),
        tuple(rows),
    )


def left_out_table(result: RegionResult) -> Table:
    """Write numbers of excluded regions and images, by reason."""
    rows = [{"reason": why, "n": n} for why, n in sorted(result.left_out.items())]
    if result.failed:
        rows.append({"reason": "images that cannot be read", "n": len(result.failed)})
    return Table("Not counted", (Column("reason"), Column("n", "number")), tuple(rows))


def failed_table(result: RegionResult) -> Table:
    """List the images that could not be read."""
    rows = [{"number": number, "reason": why} for number, why in result.failed.items()]
    columns = Column("number", "number in the dataset"), Column("reason")
    return Table("Images that cannot be read", columns, tuple(rows))


def region_table(result: RegionResult) -> Table:
    """List every region with its box, true class and best classes, for use by programs."""
    edges = ("left", "top", "right", "bottom")
    columns = ["image", "kind", *edges, "class", "box_rank", "box_best", "mask_rank", "mask_best"]
    outcome, rows = result.outcome, []
    for row in range(result.n_regions):
        masked = outcome.mask_rank[row] >= 0
        cells: dict[str, Any] = {
            "image": result.ids[outcome.image[row]],
            "kind": "stuff" if outcome.stuff[row] else "thing",
            **dict(zip(edges, outcome.pixel_boxes[row].tolist(), strict=True)),
            "class": result.classes[outcome.labels[row]],
            "box_rank": int(outcome.box_rank[row]) + 1,
            "box_best": result.classes[outcome.box_best[row, 0]],
        }
        if masked:
            cells["mask_rank"] = int(outcome.mask_rank[row]) + 1
            cells["mask_best"] = result.classes[outcome.mask_best[row, 0]]
        rows.append(cells)
    return Table("Every region", tuple(map(Column, columns)), tuple(rows))


def percent(value: Interval) -> Interval:
    """Convert a share with its interval to percent."""
    return value._replace(mean=100 * value.mean, low=100 * value.low, high=100 * value.high)


def _short(kind: Kind) -> str:
    return kind.replace(" ", "_")
