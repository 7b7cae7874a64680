"""``whyclip datasets``."""

from __future__ import annotations

from whyclip.cli import lists
from whyclip.cli.terminal import emit, stdout

HELP = """
List the dataset types that --data accepts, and the files they need.

Nothing is downloaded. Except for built-in scenes, files are read from your disk.

\b
[bold]Examples[/bold]
  whyclip datasets
  whyclip evaluate --data scenes:20 --metrics iou --methods grad_eclip
"""


def datasets() -> None:
    """See ``HELP``."""
    from rich.table import Table

    emit(lists.records("datasets"))
    table = Table(box=None, pad_edge=False, header_style="bold", row_styles=["", "dim"])
    table.add_column("--data", no_wrap=True, style="bold")
    table.add_column("description")
    table.add_column("masks")
    for kind in lists.declared("datasets").values():
        masks = "yes" if kind.has_masks else "no"
        form = f"{kind.name}:{kind.form}".replace("[", r"\[")
        about = f"{kind.title} ({kind.source})".replace("[", r"\[")
        table.add_row(form, f"{about}: {kind.layout}", masks)
    stdout().print(table)
