"""Write a result of region classification as a page and files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from whyclip.errors import InputError
from whyclip.files import write_atomic
from whyclip.metrics import Interval
from whyclip.regions.result import Confusion, RegionResult
from whyclip.regions.tables import (
    class_table,
    confusion_table,
    failed_table,
    left_out_table,
    main_table,
    region_table,
)
from whyclip.report import Picture, Report, run_facts
from whyclip.report.document import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIRS, CROPS = 6, 5
SIDE = 96
MARGIN = 0.15


def save(result: RegionResult, folder: Path) -> Path:
    """Write the page, its tables and images, every region as CSV, and all numbers as JSON.

    Raises:
        OutputError: a file cannot be written.
    """
    page = report_of(result).save(folder)
    region_table(result).to_csv(folder / "regions.csv")
    content = json.dumps(to_json(result), indent=1, ensure_ascii=False)
    write_atomic(folder / "regions.json", lambda: content.encode("utf-8", "replace"))
    return page


def report_of(result: RegionResult) -> Report:
    """Build a report with the tables and example crops of a result."""
    sections: list[Section] = [_introduction(result), main_table(result)]
    for kind in result.counts:
        confusions = result.confusions(kind, PAIRS)
        if not confusions:
            continue
        sections.append(confusion_table(result, kind))
        if kind != "thing masks":
            # Examples of things are shown for boxes only.
            sections.append(
                Picture(
                    crop_figure(result, confusions),
                    f"Examples of confusions, {kind}",
                    f"Up to {CROPS} regions of each pair, with a margin of "
                    f"{100 * MARGIN:.0f} % around the box.",
                )
            )
    sections.append(class_table(result))
    if result.left_out or result.failed:
        sections.append(left_out_table(result))
    if result.failed:
        sections.append(failed_table(result))
    facts = run_facts(
        model=result.model,
        dataset=result.data,
        samples=result.n_images,
        seed=result.seed,
        seconds=result.seconds,
        **_settings(result),
    )
    return Report("Region classification", result.command, sections, facts)


def to_json(result: RegionResult) -> dict[str, Any]:
    """Convert a result to JSON types: settings, mAcc with intervals, classes, confusions."""
    return {
        "model": result.model,
        "dataset": result.data,
        "settings": _settings(result),
        "seed": result.seed,
        "images": result.n_images,
        "regions": result.n_regions,
        "left_out": dict(result.left_out),
        "failed_images": len(result.failed),
        "kinds": {
            kind: {
                "regions": counts.n,
                "images": counts.images,
                "macc": {
                    f"top{k}": _plain(counts.interval(k, seed=result.seed)) for k in result.top
                },
                "confusions": [
                    {"true": one.true, "predicted": one.predicted, "regions": one.count}
                    for one in result.confusions(kind)
                ],
            }
            for kind, counts in result.counts.items()
        },
        "classes": list(class_table(result).records()),
    }


def crops(result: RegionResult, confusion: Confusion, limit: int = CROPS) -> list[Image.Image]:
    """Crop the first regions of a confusion, as thumbnails."""
    thumbnails = []
    for row in confusion.regions[:limit]:
        number = result.numbers[result.outcome.image[row]]
        try:
            image = result.dataset[number].image
        except InputError:
            # The file was removed after classification.
            continue
        left, top, right, bottom = result.outcome.pixel_boxes[row].tolist()
        across, down = MARGIN * (right - left), MARGIN * (bottom - top)
        crop = image.crop(
            (
                max(0, math.floor(left - across)),
                max(0, math.floor(top - down)),
                min(image.width, math.ceil(right + across)),
                min(image.height, math.ceil(bottom + down)),
            )
        )
        crop.thumbnail((SIDE, SIDE))
        thumbnails.append(crop)
    return thumbnails


def crop_figure(result: RegionResult, confusions: list[Confusion]) -> Figure:
    """Draw one row of crops for each confusion."""
    from matplotlib.figure import Figure

    shown = [crops(result, confusion) for confusion in confusions]
    # A few crops do not fill the page.
    most = max(4, *map(len, shown))
    figure = Figure(figsize=(1.9 + 1.5 * most, 1.25 * len(confusions)), layout="constrained")
    axes = figure.subplots(len(confusions), most + 1, squeeze=False)
    for row, confusion, images in zip(axes, confusions, shown, strict=True):
        for one in row:
            one.axis("off")
        share = f"{confusion.count} of {round(confusion.count / confusion.share)}"
        said = f"{_short(confusion.true)}\n→ {_short(confusion.predicted)}\n{share}"
        row[0].text(0, 0.5, said, va="center", fontsize=10, parse_math=False)
        for one, image in zip(row[1:], images, strict=False):
            one.imshow(image)
    return figure


def _introduction(result: RegionResult) -> str:
    return (
        f"{result.n_regions} regions in {result.n_images} images, {len(result.classes)} classes. "
        "Each patch gets a feature from the last block without its attention. Box features are "
        "pooled by RoIAlign, mask features are averaged. The prediction is the class whose "
        "embedding has the largest cosine with the region's feature. This is the protocol of "
        "CLIPSelf (Wu et al., ICLR 2024, arXiv 2310.01403)."
    )


def _settings(result: RegionResult) -> dict[str, str]:
    from whyclip.regions.classes import OPENAI

    return {
        "input": "×".join(map(str, result.size)) + " pixels",
        "class prompts": result.template or OPENAI,
        "patches under masks": result.masks,
    }


def _plain(value: Interval) -> dict[str, float | None]:
    return {
        "mean": value.mean,
        "low": None if math.isnan(value.low) else value.low,
        "high": None if math.isnan(value.high) else value.high,
    }


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
