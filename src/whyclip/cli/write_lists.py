"""``python -m whyclip.cli.write_lists``: write ``lists.json`` for the current declarations."""

from __future__ import annotations

from pathlib import Path

from whyclip.cli.lists import FILE, text

if __name__ == "__main__":
    Path(__file__).with_name(FILE).write_text(text(), encoding="utf-8")
