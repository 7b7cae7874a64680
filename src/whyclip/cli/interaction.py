"""``whyclip interaction``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyclip.cli import options
from whyclip.cli.given import read
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, progress, stdout, wrote
from whyclip.process import importing

if TYPE_CHECKING:
    from rich.table import Table

    from whyclip.interactions import Interaction

HELP = """
Show which word of a prompt matches which region of an image, as values that sum to the score.

Prints each word's sum over the image's regions and over the rest of the image, and the strongest \
word–region pairs. With --out, also writes a page, a figure or the table.

\b
[bold]Examples[/bold]
  whyclip interaction scene.png "a dog next to a red car" --out words.html
  [dim]# as a figure, and the whole table[/dim]
  whyclip interaction scene.png "a dog next to a red car" --out words.png --out table.csv
  [dim]# why this prompt rather than another?[/dim]
  whyclip interaction scene.png "a red car" --against "a blue car" --out words.html
  [dim]# exact Shapley values for the words[/dim]
  whyclip interaction scene.png "a dog next to a red car" --words shapley
"""
WAYS = {
    "words": "readout, direct, first_order, integrated_gradients, leave_one_out, shapley",
    "regions": "readout, direct, first_order, integrated_gradients, banzhaf",
}


def interaction(
    image: options.Image,
    prompt: Annotated[str, typer.Argument(help="One prompt, in quotes.", metavar="PROMPT")],
    model: options.Model = "mini",
    words: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Decomposition of the prompt's embedding: {WAYS['words']}; "
            "with options: shapley:permutations=500:seed=1.",
        ),
    ] = "readout",
    regions: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"Decomposition of the image's embedding: {WAYS['regions']}."
        ),
    ] = "readout",
    against: options.Against = None,
    pairs: Annotated[int, typer.Option(min=0, help="Number of pairs to print.")] = 5,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File to write; may be given several times. The extension decides: .html "
            "(a page), .png, .jpg, .svg, .pdf (figures), .csv (the table), .json, .npz, "
            ".safetensors (the maps).",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    outputs = out or []
    options.check_prompts([prompt])
    if against:
        options.check_prompts(against)
    with progress(3 + len(outputs)) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.export import ENDINGS
            from whyclip.interactions.save import TABLE
            from whyclip.render import summary
            from whyclip.vectors import choose
            from whyclip.vectors.names import UNATTRIBUTED

        check_outputs(outputs, (*ENDINGS, TABLE), [image])
        choose("words", words, "text")
        choose("regions", regions, "image")
        source = read(image)
        options.check_device(device)
        begin(f"loading {model}")
        view = load(model, device)
        begin("explaining")
        inter = whyclip.interaction(
            view,
            source,
            prompt,
            words=words,
            regions=regions,
            against=against or None,
            geometry=geometry,
            precision=precision,
        )
        for path in outputs:
            begin(f"writing {path.name}")
            inter.save(path)
    console = stdout()
    console.print(summary(inter.explanation))
    console.print()
    console.print(_sums(inter))
    for pair in inter.pairs(pairs) if pairs else ():
        left, top, right, bottom = map(round, pair.box)
        console.print(
            f"{pair.value:+.4f}  {pair.word.text}  at x {left} to {right}, y {top} to {bottom}",
            highlight=False,
            markup=False,
        )
    total = float(inter.table.double().sum())
    left_over = (
        f"; {inter.gap:+.3f} is unattributed"
        if UNATTRIBUTED in {*inter.rows, *inter.columns}
        else ""
    )
    console.print(
        f"score {inter.score:.3f}; the table sums to {total:.3f}{left_over}", highlight=False
    )
    emit({"file": image, **_record(inter, pairs), "files": [str(path) for path in outputs]})
    for path in outputs:
        wrote(path)


def _record(inter: Interaction, pairs: int) -> dict[str, Any]:
    """Return the whole table with its labels, and the strongest pairs."""
    return {
        "model": inter.model,
        "prompt": inter.prompt,
        "against": [str(prompt) for prompt in inter.against],
        "score": inter.score,
        "gap": inter.gap,
        "ways": {str(side): str(way) for side, way in inter.methods.items()},
        "rows": [str(name) for name in inter.rows],
        "columns": [str(name) for name in inter.columns],
        "table": inter.table.double().tolist(),
        "pairs": [
            {
                "word": pair.word.text,
                "start": pair.word.start,
                "end": pair.word.end,
                "box": list(pair.box),
                "value": pair.value,
            }
            for pair in (inter.pairs(pairs) if pairs else ())
        ],
    }


def _sums(inter: Interaction) -> Table:
    """Build a table with one row per word and per remainder of the text."""
    from rich.table import Table
    from rich.text import Text

    from whyclip.render.interaction import sums_of

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("word")
    for name in ("with the regions", "rest of image", "sum"):
        table.add_column(name, justify="right")
    for name, *values in sums_of(inter):
        style = "dim" if values[0] is None else None
        cells = ("" if value is None else f"{value:+.4f}" for value in values)
        table.add_row(Text(name), *cells, style=style)
    return table
