"""Report page of a bulk run: relevance per prompt, and patches that are often relevant."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from whyclip.bulk.clusters import LEAST, Cluster, find_clusters
from whyclip.bulk.examples import cards
from whyclip.bulk.result import BulkResult, read_bulk
from whyclip.bulk.statistics import (
    PromptStatistics,
    Statistics,
    corners,
    ring,
    statistics,
)
from whyclip.errors import OutputError
from whyclip.report import Column, Picture, Report, Table, command_line, run_facts
from whyclip.report.document import Section
from whyclip.report.scored_images import ScoredImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 24
EXAMPLES = 8


def save_report(folder: str | Path) -> Path:
    """Write the report of a run into its folder: ``report/index.html`` with tables and figures.

    Returns:
        The path of the page.

    Raises:
        OutputError: it is not the folder of a bulk run, it has no explanation, or scikit-learn is
            not installed.
    """
    result = read_bulk(folder)
    return report_of(result).save(result.folder.path / "report")


def report_of(result: BulkResult, seed: int = 0) -> Report:
    """Build the report of a run.

    Args:
        result: result of the run, which may be incomplete.
        seed: random seed of the choice of maps for the clusters.

    Raises:
        OutputError: no image could be explained, or scikit-learn is not installed.
    """
    _check_installed()
    began = perf_counter()
    numbers = statistics(result, seed)
    if not numbers.prompts:
        raise OutputError(f"{str(result.folder.path)!r} has no explained image")
    clusters = {
        entry.prompt: find_clusters(np.stack(entry.maps), seed) if entry.maps else []
        for entry in numbers.prompts
    }
    sections: list[Section] = [_introduction(result, numbers), _prompt_table(numbers)]
    sections += _cluster_sections(result, numbers, clusters)
    if any(entry.maps for entry in numbers.prompts):
        sections.append(
            Picture(
                _map_figure(numbers),
                "Mean maps and their spread",
                "For each prompt the mean and the standard deviation of its maps, each map divided "
                "by its largest absolute value, and the histogram of the scores.",
            )
        )
    if numbers.words:
        sections.append(_word_table(numbers))
    sections += [_gallery(result, entry) for entry in numbers.prompts if entry.kept]
    facts = run_facts(
        model=result.run["model"],
        dataset=result.identity["source"],
        samples=numbers.images,
        seed=seed,
        seconds=perf_counter() - began,
        method=result.run["method"],
        errors=str(numbers.errors),
        complete="yes" if result.complete else "no: the run has not finished",
    )
    command = command_line("bulk report", {})
    return Report(
        "What the model relies on in this dataset",
        f"{command} {result.folder.path.name}",
        sections,
        facts,
    )


def _check_installed() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise OutputError("the report needs scikit-learn: pip install 'whyclip[bulk]'") from None


def _introduction(result: BulkResult, numbers: Statistics) -> str:
    more = numbers.distinct - len(numbers.prompts)
    left = f" The {more} less frequent prompts are not shown." if more else ""
    return (
        f"{numbers.images:,} images, {numbers.errors:,} of them with an error. Method: "
        f"{result.run['method']}. Relevance is shown for {len(numbers.prompts)} prompts.{left}"
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _prompt_table(numbers: Statistics) -> Table:
    grid = numbers.prompts[0].grid
    rows = tuple(
        {
            "prompt": entry.prompt,
            "images": len(entry.scores),
            "score": _mean(entry.scores),
            "half": _mean(entry.half),
            "border": _mean(entry.border),
            "corner": _mean(entry.corner),
            "inside": _mean(entry.inside),
        }
        for entry in numbers.prompts
    )
    return Table(
        "Prompts",
        (
            Column("prompt"),
            Column("images"),
            Column("score", help="Mean match score."),
            Column("half", help="Smallest share of the patches with half of the relevance, mean."),
            Column(
                "border",
                help="Share of positive relevance on the outermost patches, which are "
                f"{ring(grid).mean():.2f} of the area.",
            ),
            Column(
                "corner",
                help="Share of positive relevance in the four corners, which are "
                f"{corners(grid).mean():.2f} of the area.",
            ),
            Column("inside", help="Share of positive relevance on annotated objects, if any."),
        ),
        rows,
    )


def _word_table(numbers: Statistics) -> Table:
    rows = tuple(
        {"word": word, "count": count, "relevance": mean} for word, count, mean in numbers.words
    )
    columns = (
        Column("word"),
        Column("count", help="Number of prompts of images with this word."),
        Column("relevance", help="Mean relevance for the match score.", digits=4),
    )
    return Table("Words", columns, rows)


def _cluster_sections(
    result: BulkResult, numbers: Statistics, clusters: dict[str, list[Cluster]]
) -> list[Section]:
    text = (
        "## Always the same place\n\nMaps of each prompt are clustered by spectral relevance "
        "analysis (Lapuschkin et al. 2019). A cluster is listed only if its maps peak in one patch "
        "far more often than maps peak in the patches around it. A watermark, a logo or a frame "
        "looks like this. So does an object that is always photographed at the same place."
    )
    rows = [
        {
            "prompt": entry.prompt,
            "images": len(cluster.members),
            "of": len(entry.maps),
            "row": cluster.place[0],
            "column": cluster.place[1],
            "expected": cluster.expected,
        }
        for entry in numbers.prompts
        for cluster in clusters[entry.prompt]
    ]
    if not rows:
        few = f" Prompts with fewer than {4 * LEAST} maps were not clustered."
        return [f"{text}\n\nNo such cluster was found.{few}"]
    columns = (
        Column("prompt"),
        Column("images", help="Images in the cluster."),
        Column("of", help="Clustered images of the prompt."),
        Column("row", help="Row of the patch, from 0 at the top."),
        Column("column", help="Column of the patch, from 0 at the left."),
        Column("expected", help="Expected number of peaks in this patch.", digits=1),
    )
    sections: list[Section] = [text, Table("Clusters", columns, tuple(rows))]
    for entry in numbers.prompts:
        for number, cluster in enumerate(clusters[entry.prompt], 1):
            chosen = [entry.kept[member] for member in cluster.members[:EXAMPLES]]
            drawn = cards(result, chosen)
            sections.append(
                ScoredImages(
                    f"{entry.prompt}: cluster {number}",
                    tuple(drawn[row] for row in chosen),
                    f"The {len(chosen)} most typical of {len(cluster.members)} images.",
                )
            )
    return sections


def _gallery(result: BulkResult, entry: PromptStatistics) -> ScoredImages:
    """Images at equal steps of the sorted scores."""
    rows = sorted(entry.kept)
    scores = {row: result.row(row)["score"] for row in rows}
    ordered = sorted(rows, key=lambda row: -scores[row])
    steps = np.linspace(0, len(ordered) - 1, min(SHOWN, len(ordered))).round().astype(int)
    chosen = [ordered[step] for step in dict.fromkeys(steps.tolist())]
    drawn = cards(result, chosen)
    return ScoredImages(
        entry.prompt,
        tuple(drawn[row] for row in chosen),
        f"{len(chosen)} of {len(entry.scores):,} images, at equal steps of the sorted scores.",
    )


def _map_figure(numbers: Statistics) -> Figure:
    from matplotlib.figure import Figure

    entries = [entry for entry in numbers.prompts if entry.maps]
    figure = Figure(figsize=(9, 2.1 * len(entries)), layout="constrained")
    axes = figure.subplots(len(entries), 3, squeeze=False)
    for row, entry in zip(axes, entries, strict=True):
        limit = max(float(np.abs(entry.mean).max()), 1e-9)
        for one, values, title, options in (
            (row[0], entry.mean, "mean", {"cmap": "coolwarm", "vmin": -limit, "vmax": limit}),
            (row[1], entry.spread, "standard deviation", {"cmap": "viridis", "vmin": 0}),
        ):
            shown = one.imshow(values, **options)
            figure.colorbar(shown, ax=one)
            one.set_title(title, fontsize=9)
            one.set_xticks([])
            one.set_yticks([])
        row[0].set_ylabel(entry.prompt[:24], fontsize=9, parse_math=False)
        row[2].hist(entry.scores, bins=30, color="#5b6f82")
        row[2].set_title("score", fontsize=9)
    return figure
