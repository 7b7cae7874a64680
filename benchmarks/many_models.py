"""Run the benchmark on the saved model family, and write its page.

    python -m benchmarks.many_models

Models that were measured before are not measured again; remove ``benchmarks/family/results`` to
start again. ``docs/benchmark.md`` gets the tables between its comments, ``docs/images`` the ranks.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

import whyclip
from benchmarks.page import write
from whyclip.report import Picture
from whyclip.report.rank_plot import rank_plot
from whyclip.studies.benchmark import Benchmark
from whyclip.studies.benchmark.page import (
    checks_table,
    default_words,
    models_table,
    ranking_of,
    reliance_table,
)
from whyclip.types import SIDES, Side

ROOT = Path(__file__).parent.parent
PAGE, IMAGES = ROOT / "docs/benchmark.md", ROOT / "docs/images"
WEIGHTS = ROOT / "benchmarks/family"


def side_part(result: Benchmark, side: Side) -> str:
    """Write the ranks and checks of a side, with the result of the rule for defaults."""
    name = f"ranks-{side}.png"
    picture = Picture(rank_plot(ranking_of(result, side)), alt="", caption="")
    Image.open(io.BytesIO(picture.png())).convert("RGB").quantize(64).save(
        IMAGES / name, optimize=True
    )
    alt = f"Mean ranks of the methods on {side}s; bars join methods without a clear difference"
    return "\n\n".join(
        [
            default_words(result, side),
            f"![{alt}](images/{name})",
            checks_table(result, side).to_markdown().strip(),
        ]
    )


def main() -> None:
    """Measure missing models and write the page."""
    result = whyclip.benchmark(weights=WEIGHTS, out=WEIGHTS / "results")
    result.save(WEIGHTS / "results")
    parts = {side: side_part(result, side) for side in SIDES}
    parts["reliance"] = reliance_table(result).to_markdown().strip()
    minutes = sum(record.seconds for record in result.records) / 60
    parts["models"] = "\n\n".join(
        [models_table(result).to_markdown().strip(), f"Measured in {minutes:.0f} minutes."]
    )
    write(PAGE, parts)


if __name__ == "__main__":
    main()
