"""Audit every method on the bundled model and data, and write the results into the documentation.

    python -m benchmarks.findings
    python -m benchmarks.findings --no-run    # only write the page from saved results

The audits are saved as ``benchmarks/findings/*.json``. Their commands and verdicts replace those in
``docs/findings.md``, and their matrices those in ``docs/images``.
"""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from benchmarks.page import write
from whyclip.report import Picture
from whyclip.studies.audit import Audit
from whyclip.studies.audit.matrix import matrix
from whyclip.studies.audit.page import cells_table, verdict_table

ROOT = Path(__file__).parent.parent
PAGE, IMAGES, KEPT = ROOT / "docs/findings.md", ROOT / "docs/images", ROOT / "benchmarks/findings"
AUDITS: Mapping[str, str] = {
    "quick": "whyclip audit --limit 100 --edited 40",
    "variants": "whyclip audit --methods "
    "grad_eclip,grad_eclip:heads=single,grad_eclip:relu=false,"
    "grad_eclip:spatial=none,grad_eclip:layers=6 "
    "--limit 100 --edited 40 --out audit-variants",
    "held-out": "whyclip audit --data held-out-scenes:200 "
    "--checks localisation_true,localisation_predicted --limit 200 --out audit-held-out",
    "slow": "whyclip audit --methods "
    "integrated_gradients,m2ib,occlusion,rise:masks=500,kernel_shap:samples=500 "
    "--limit 24 --edited 10 --checks accuracy,best_prompt,completeness,computation,score_gap,"
    "spatial_weights,deletion,insertion,localisation_true,localisation_predicted,patch_masked,"
    "patch_blurred,prompts_differ,prompts_follow,word_removal --out audit-slow",
}


def run(name: str, command: str) -> None:
    """Run the command of one audit, and save its results."""
    with tempfile.TemporaryDirectory() as folder:
        words = shlex.split(command)[1:]
        subprocess.run(
            [sys.executable, "-m", "whyclip", *words, "--no-keep", "--out", folder], check=True
        )
        KEPT.mkdir(exist_ok=True)
        shutil.copy(Path(folder) / "audit.json", KEPT / f"{name}.json")


def section(name: str, command: str) -> str:
    """Write the section of one audit."""
    audit = Audit.load(KEPT / f"{name}.json")
    image = f"findings-{name}.png"
    drawn = Image.open(io.BytesIO(Picture(matrix(audit), alt="", caption="").png()))
    drawn.convert("RGB").quantize(64).save(IMAGES / image, optimize=True)
    parts = [
        f"    {command}",
        f"Measured on {audit.date[:10]}, {audit.samples} samples, {audit.edited} of them also "
        f"edited; {audit.seconds / 60:.0f} minutes.",
        verdict_table(audit).to_markdown().strip(),
    ]
    if audit.cells and name == "quick":
        parts.append(cells_table(audit).to_markdown().strip())
    parts.append(f"![Every check of every method](images/{image})")
    return "\n\n".join(parts)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="audits; all by default")] = None,
    again: Annotated[bool, typer.Option("--run/--no-run", help="measure again")] = True,
) -> None:
    """Run the audits and write the page."""
    for name in names or AUDITS:
        if again:
            run(name, AUDITS[name])
        write(PAGE, {name: section(name, AUDITS[name])})


if __name__ == "__main__":
    typer.run(main)
