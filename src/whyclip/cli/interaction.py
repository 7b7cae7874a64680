"""``whyclip interaction``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whyclip.cli import options
from whyclip.cli.given import read
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import progress, stdout, wrote
from whyclip.process import importing

HELP = """
Map which word of a prompt matches which region of an image.

Draws one map for each word. Prints what each word adds to the score over the whole image, and how \
far the sum over all pairs of words and regions is from the score.

\b
[bold]Examples[/bold]
  whyclip interaction scene.png "a dog next to a red car" --out words.html
  [dim]# as a figure, and as numbers[/dim]
  whyclip interaction scene.png "a dog next to a red car" --out words.png --out words.json
"""


def interaction(
    image: options.Image,
    prompt: Annotated[str, typer.Argument(help="One prompt, in quotes.", metavar="PROMPT")],
    model: options.Model = "mini",
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File of the maps; may be given several times. The extension decides: .html "
            "(a page), .png, .jpg, .svg, .pdf (figures), .json, .npz, .safetensors (numbers).",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    outputs = out or []
    options.check_prompts([prompt])
    with progress(3 + len(outputs)) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.export import ENDINGS
            from whyclip.render import summary

        check_outputs(outputs, ENDINGS, [image])
        picture = read(image)
        options.check_device(device)
        begin(f"loading {model}")
        view = load(model, device)
        begin("explaining")
        found = whyclip.interaction(view, picture, prompt, geometry=geometry, precision=precision)
        for path in outputs:
            begin(f"writing {path.name}")
            found.save(path)
    stdout().print(summary(found.explanation))
    stdout().print(
        f"score {found.score:.3f}; all pairs add up to {found.total:.3f}", highlight=False
    )
    for path in outputs:
        wrote(path)
