"""``whyclip metrics``."""

from __future__ import annotations

from typing import Annotated

import typer

from whyclip.cli import completion, lists
from whyclip.cli.terminal import emit, stdout

HELP = """
List the metrics, or show one metric with its formula.

\b
[bold]Examples[/bold]
  whyclip metrics
  [dim]# one metric, with its formula and its source[/dim]
  whyclip metrics iou
"""


def metrics(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this metric's formula.",
            metavar="[METRIC]",
            show_default=False,
            autocompletion=completion.metrics,
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    from rich.table import Table

    console = stdout()
    if name is not None:
        metric = lists.find("metrics", "metric", name)
        emit(lists.records("metrics", name))
        text = metric.doc.split("\n\nArgs:")[0]
        console.print(f"[bold]{metric.name}[/bold]: {metric.title} ({metric.source})")
        console.print(text.replace("``", ""), highlight=False, markup=False)
        return
    emit(lists.records("metrics"))
    table = Table(box=None, pad_edge=False, header_style="bold", row_styles=["", "dim"])
    table.add_column("metric", no_wrap=True, style="bold")
    for heading in ("measures", "better", "reads"):
        table.add_column(heading)
    for metric in lists.declared("metrics").values():
        better = "higher" if metric.higher_is_better else "lower"
        reads = f"words: {', '.join(metric.readings)}" if metric.side == "text" else ""
        reads = reads or ", ".join(metric.readings) or "the object's mask"
        table.add_row(metric.name, metric.summary.rsplit(". ", 1)[0], better, reads)
    console.print(table)
    console.print("\nwhyclip metrics METRIC shows the formula of a metric.")
