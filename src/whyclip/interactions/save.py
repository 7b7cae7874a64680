"""Save an interaction by file extension: as a page, a figure, the table, or the maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whyclip.ambient import in_plain_state
from whyclip.files import write_atomic

if TYPE_CHECKING:
    from whyclip.interactions.result import Interaction

TABLE = ".csv"


@in_plain_state
def save(interaction: Interaction, path: str | Path) -> Path:
    """Write an interaction; see :meth:`whyclip.Interaction.save`."""
    from whyclip.export import ENDINGS, FIGURES, check_path
    from whyclip.render import figure_bytes
    from whyclip.render.interaction import interaction_figure, interaction_page

    path = check_path(path, (*ENDINGS, TABLE))
    ending = path.suffix.lower()
    if ending == TABLE:
        write_atomic(path, lambda: to_csv(interaction).encode())
    elif ending == ".html":
        write_atomic(path, lambda: interaction_page(interaction).encode())
    elif ending in FIGURES:
        write_atomic(path, lambda: figure_bytes(interaction_figure(interaction), ending[1:]))
    else:
        interaction.explanation.save(path)
    return path


def to_csv(interaction: Interaction) -> str:
    """Return the table as CSV, with the names of its rows and columns."""
    lines = [["", *interaction.columns]]
    for name, values in zip(interaction.rows, interaction.table.tolist(), strict=True):
        lines.append([name, *(f"{value:.9g}" for value in values)])
    return "".join(",".join(map(_cell, line)) + "\n" for line in lines)


def _cell(text: str) -> str:
    """Write one CSV cell; a leading quote keeps spreadsheets from evaluating formulas."""
    if text[:1] in ("=", "+", "-", "@") and not text[1:2].isdigit():
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text
