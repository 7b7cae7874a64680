"""Make the pictures and the table by which the documentation shows whyclip at work.

    python -m benchmarks.pictures
    python -m benchmarks.pictures why

Each is what a user sees who types the command that stands beside it in the documentation.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image

from benchmarks.page import write

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLE = "examples/dog_and_red_car.png"
# As wide as the widest table, whatever the terminal.
COLUMNS = "109"


def whyclip(command: str, out: Path) -> str:
    """Run a command with that --out and return what it prints."""
    words = [sys.executable, "-m", "whyclip", *shlex.split(command), "--out", str(out)]
    ran = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": COLUMNS}
    )
    return "\n".join(line.rstrip() for line in ran.stdout.splitlines())


def shrunk(picture: Path, name: str, size: float) -> None:
    """Put a picture into the documentation, at a share of its size and with all its colours."""
    drawn = Image.open(picture).convert("RGB")
    drawn = drawn.resize((round(drawn.width * size), round(drawn.height * size)), Image.LANCZOS)
    drawn.save(DOCS / "images" / f"{name}.png", optimize=True)


def why(folder: Path) -> None:
    """The first picture of the README."""
    asked = f'explain {EXAMPLE} "a dog" "a red car" --model mini --method decomposition'
    whyclip(asked, folder / "why.png")
    (DOCS / "images/why.png").write_bytes((folder / "why.png").read_bytes())


def composition(folder: Path) -> None:
    """The picture of ``docs/compare.md``."""
    methods = "--method grad_eclip --method contribution --method decomposition"
    whyclip(f"compare {EXAMPLE} --prompts examples/words.txt {methods}", folder / "out.png")
    shrunk(folder / "out.png", "composition", 2 / 3)


def interaction(folder: Path) -> None:
    """The picture of ``docs/interaction.md``."""
    whyclip(f'interaction {EXAMPLE} "a dog and a red car"', folder / "out.png")
    shrunk(folder / "out.png", "interaction", 1 / 2)


def heads(folder: Path) -> None:
    """The picture of ``docs/heads.md``."""
    asked = f'explain {EXAMPLE} "a dog" "a red car" --heads {folder / "heads.png"}'
    whyclip(asked, folder / "out.json")
    shrunk(folder / "heads.png", "heads", 2 / 3)


def evaluation(folder: Path) -> None:
    """The tables and the picture of ``docs/evaluate.md``."""
    methods = "--methods grad_eclip,contribution,raw_attention"
    printed = whyclip(f"evaluate --data scenes:20:0:1 {methods}", folder / "report")
    write(DOCS / "evaluate.md", {"tables": f"```text\n{printed.strip()}\n```"})
    [curves] = (folder / "report").glob("curves-*.png")
    shrunk(curves, "evaluation", 5 / 6)


PARTS: Mapping[str, Callable[[Path], None]] = {
    part.__name__: part for part in (why, composition, interaction, heads, evaluation)
}


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="why, composition, interaction, heads, evaluation")
    ] = None,
) -> None:
    """Make them anew."""
    for name in names or PARTS:
        with TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    typer.run(main)
