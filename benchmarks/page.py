"""Write results between the marker comments of a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from whyclip.report import Report


def place(name: str) -> re.Pattern[str]:
    """Pattern of a named part with its comments; group 1 is the text between them."""
    return re.compile(rf"(?s)<!-- begin {name} -->(.*?)<!-- end {name} -->")


def verdicts(report: Report) -> str:
    """Return the lines of an experiment's findings, without their heading."""
    heading = "## Findings\n\n"
    [section] = [s for s in report.sections if isinstance(s, str) and s.startswith(heading)]
    return section.removeprefix(heading)


def write(page: Path, parts: Mapping[str, str]) -> None:
    """Replace the text between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        SystemExit: the page has no part of that name.
    """
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        if not place(name).search(text):
            raise SystemExit(f"{page} has no <!-- begin {name} --> to write to")
        # An indented first line is code and keeps its indentation.
        inner = part.strip("\n")
        shown = f"<!-- begin {name} -->\n\n{inner}\n\n<!-- end {name} -->"
        text = place(name).sub(lambda _, shown=shown: shown, text)
    page.write_text(text, encoding="utf-8")
