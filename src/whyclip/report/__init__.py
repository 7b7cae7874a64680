"""Tables and pages of studies for the terminal and as CSV, Parquet, Markdown and HTML."""

from __future__ import annotations

from whyclip.report.column import Cell, Column
from whyclip.report.command import command_line
from whyclip.report.document import Picture, Report
from whyclip.report.facts import run_facts
from whyclip.report.scored_images import Card, ScoredImages
from whyclip.report.table import Table

__all__ = [
    "Card",
    "Cell",
    "Column",
    "Picture",
    "Report",
    "ScoredImages",
    "Table",
    "command_line",
    "run_facts",
]
