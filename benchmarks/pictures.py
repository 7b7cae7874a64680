"""Generate the images and the tables of the documentation.

    python -m benchmarks.pictures
    python -m benchmarks.pictures why

Each is the output of the command next to it in the documentation.
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

import numpy as np
import typer
from PIL import Image, ImageDraw

from benchmarks.page import write

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLE = "examples/dog_and_red_car.png"
# Wide enough for the widest table, independent of the terminal.
COLUMNS = "109"


def whyclip(command: str, out: Path) -> str:
    """Run a command with the given --out and return its printed output."""
    words = [sys.executable, "-m", "whyclip", *shlex.split(command), "--out", str(out)]
    ran = subprocess.run(
        words, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": COLUMNS}
    )
    return "\n".join(line.rstrip() for line in ran.stdout.splitlines())


def shrunk(picture: Path, name: str, size: float) -> None:
    """Copy an image into the documentation, scaled down and with all its colours."""
    drawn = Image.open(picture).convert("RGB")
    drawn = drawn.resize((round(drawn.width * size), round(drawn.height * size)), Image.LANCZOS)
    drawn.save(DOCS / "images" / f"{name}.png", optimize=True)


def why(folder: Path) -> None:
    """Generate the first image of the README."""
    whyclip(f'explain {EXAMPLE} "a dog" "a red car" --model mini', folder / "why.png")
    (DOCS / "images/why.png").write_bytes((folder / "why.png").read_bytes())


def composition(folder: Path) -> None:
    """Generate the image of ``docs/compare.md``."""
    methods = "--method grad_eclip --method contribution --method decomposition"
    whyclip(f"compare {EXAMPLE} --prompts examples/words.txt {methods}", folder / "out.png")
    shrunk(folder / "out.png", "composition", 2 / 3)


def interaction(folder: Path) -> None:
    """Generate the image of ``docs/interaction.md``."""
    whyclip(f'interaction {EXAMPLE} "a dog and a red car"', folder / "out.png")
    shrunk(folder / "out.png", "interaction", 1 / 2)


def heads(folder: Path) -> None:
    """Generate the image of ``docs/heads.md``."""
    command = f'explain {EXAMPLE} "a dog" "a red car" --heads {folder / "heads.png"}'
    whyclip(command, folder / "out.json")
    shrunk(folder / "heads.png", "heads", 2 / 3)


def evaluation(folder: Path) -> None:
    """Generate the tables and the image of ``docs/evaluate.md``."""
    methods = "--methods grad_eclip,contribution,raw_attention"
    printed = whyclip(f"evaluate --data scenes:20:0:1 {methods}", folder / "report")
    write(DOCS / "evaluate.md", {"tables": f"```text\n{printed.strip()}\n```"})
    [curves] = (folder / "report").glob("curves-*.png")
    shrunk(curves, "evaluation", 5 / 6)


def screenshot(page: Path, name: str, box: tuple[int, int, int, int], size: float) -> None:
    """Copy a browser screenshot of a part of a page into the documentation (needs Chromium)."""
    shot = page.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--virtual-time-budget=4000", "--window-size=1280,1500", f"--screenshot={shot}"]
    browser = os.environ.get("CHROME", "chromium")
    subprocess.run([browser, *flags, page.as_uri()], check=True, capture_output=True)
    part = Image.open(shot).convert("RGB").crop(box)
    part = part.resize((round(part.width * size), round(part.height * size)), Image.LANCZOS)
    part.quantize(200).save(DOCS / "images" / f"{name}.png", optimize=True)


def wrong_label(folder: Path) -> None:
    """Generate the images of ``docs/why-wrong.md``."""
    from whyclip import open_dataset

    open_dataset("held-out-scenes:2")[1].image.save(folder / "cat.png")
    command = f'explain {folder / "cat.png"} "a hamster" --against "a cat"'
    whyclip(command, DOCS / "images" / "wrong-label.png")
    whyclip(f"{command} --method grad_eclip -o relu=false", folder / "signed.png")
    shrunk(folder / "signed.png", "wrong-label-signed", 2 / 3)


def match(folder: Path) -> None:
    """Generate the image of ``docs/match.md``."""
    whyclip("reference --data scenes:200", folder / "scenes.npz")
    prompts = '"a dog" "a red car" "a cat" "a bank robbery"'
    page = folder / "why.html"
    whyclip(f"explain {EXAMPLE} {prompts} --reference {folder / 'scenes.npz'}", page)
    screenshot(page, "match", (0, 0, 1280, 890), 0.75)


def edits(folder: Path) -> None:
    """Generate the image of ``docs/edits.md``."""
    whyclip(f'edits {EXAMPLE} "a dog and a red car" --maps 3', folder / "edits.html")
    screenshot(folder / "edits.html", "edits", (0, 225, 1280, 1180), 0.7)


def concepts(folder: Path) -> None:
    """Generate the image of ``docs/concepts.md``."""
    whyclip("reference --data scenes:200", folder / "scenes.npz")
    reference = f"--reference {folder / 'scenes.npz'}"
    whyclip(f"concepts {EXAMPLE} {reference}", folder / "concepts.png")
    shrunk(folder / "concepts.png", "concepts", 1)


def segment(folder: Path) -> None:
    """Generate the image of ``docs/segment.md``: masks, boxes and points of two prompts."""
    del folder
    from whyclip import explain, load

    ex = explain(load("mini"), EXAMPLE, ["a dog", "a red car"])
    pixels = np.asarray(Image.open(EXAMPLE).convert("RGB")).astype(float)
    inks = ((255, 255, 255), (255, 225, 60))
    for mask, ink in zip(ex.mask().numpy(), inks, strict=True):
        pixels[mask] = 0.5 * pixels[mask] + 0.5 * np.array(ink)
    drawn = Image.fromarray(pixels.astype(np.uint8)).resize((672, 672), Image.LANCZOS)
    factor, pen = 672 / ex.geometry.width, ImageDraw.Draw(drawn)
    for boxes, points, ink in zip(ex.boxes(), ex.points(2), inks, strict=True):
        for box in boxes:
            pen.rectangle([side * factor for side in box], outline=ink, width=4)
        for x, y, _ in points:
            around = [x * factor - 7, y * factor - 7, x * factor + 7, y * factor + 7]
            pen.ellipse(around, fill="black", outline=ink, width=3)
    part = drawn.crop((60, 140, 640, 560)).quantize(128)
    part.save(DOCS / "images" / "segment.png", optimize=True)


PARTS: Mapping[str, Callable[[Path], None]] = {
    part.__name__: part
    for part in (
        why,
        composition,
        interaction,
        heads,
        evaluation,
        wrong_label,
        match,
        edits,
        concepts,
        segment,
    )
}


def main(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(PARTS))] = None,
) -> None:
    """Generate the images again."""
    for name in names or PARTS:
        with TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    typer.run(main)
