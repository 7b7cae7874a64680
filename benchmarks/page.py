"""Put what was measured into a page, between the comments that keep its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def place(name: str) -> re.Pattern[str]:
    """The part of that name, its comments included; group 1 is what stands between them."""
    return re.compile(rf"(?s)<!-- begin {name} -->(.*?)<!-- end {name} -->")


def write(page: Path, parts: Mapping[str, str]) -> None:
    """Replace what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises:
        SystemExit: the page keeps no place of that name.
    """
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        if not place(name).search(text):
            raise SystemExit(f"{page} has no <!-- begin {name} --> to write to")
        # A first line that is indented is code, and stays so.
        inner = part.strip("\n")
        shown = f"<!-- begin {name} -->\n\n{inner}\n\n<!-- end {name} -->"
        text = place(name).sub(lambda _, shown=shown: shown, text)
    page.write_text(text, encoding="utf-8")
