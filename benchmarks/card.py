"""Write the measured results of mini into its model card.

    python -m training.evaluate --n 1000 --json benchmarks/mini.json
    python -m training.truth --n 1000 --json benchmarks/mini_truth.json
    python -m benchmarks.familiar --json benchmarks/familiar.json
    python -m benchmarks.card

The first three commands measure and save the results; the last one writes them into the card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.page import write

KEPT = Path(__file__).parent
CARD = KEPT.parent / "MODEL_CARD.md"


def percent(share: float) -> str:
    """Write a share of one as a percentage."""
    return f"{100 * share:.1f}"


def figures(title: str, intervals: Mapping[str, Mapping[str, float]]) -> str:
    """Write a table of shares with their intervals."""
    rows: Iterable[tuple[str, ...]] = (
        (name, percent(f["share"]), f"{percent(f['low'])} – {percent(f['high'])}", str(f["n"]))
        for name, f in intervals.items()
    )
    return table((title, "%", "95 %", "n"), rows)


def table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table as Markdown."""
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def truth(methods: Mapping[str, Any]) -> str:
    """Write a table of the hits of maps and words."""
    return table(
        ("method", "phrases", "question", "%", "n"),
        (
            (method, phrases, question, percent(f["share"]), str(f["n"]))
            for method, groups in methods.items()
            for phrases in ("right", "wrong", "captions")
            for question, f in groups.get(phrases, {}).items()
        ),
    )


def main() -> None:
    """Read the saved results and write the card."""
    mini, maps, familiar = (
        json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("mini", "mini_truth", "familiar")
    )
    unseen, held_out = "unseen scenes", "object-style pairs never trained on"
    alarms = ((name, percent(f["share"]), str(f["n"])) for name, f in familiar["alarms"].items())
    write(
        CARD,
        {
            "unseen": figures(f"question, {unseen}", mini[unseen]),
            "held out": figures(f"question, {held_out}", mini[held_out]),
            "truth": truth(maps["methods"]),
            "familiar": table(("images", "flagged as unlike scenes, %", "n"), alarms),
        },
    )


if __name__ == "__main__":
    main()
