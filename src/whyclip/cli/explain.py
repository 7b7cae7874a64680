"""``whyclip explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from whyclip.cli import options
from whyclip.cli.terminal import progress, stdout, wrote
from whyclip.types import SIDES, GeometryName, Precision

HELP = """
Explain why a picture matched each of some texts.

Prints, for each prompt, its score and the words that spoke for it, and the certificate: was \
the model itself explained? With --out, also writes the heat maps.

\b
[bold]Examples[/bold]
  [dim]# a page with heat maps and highlighted words[/dim]
  whyclip explain scene.png "a dog" "a red car" --out why.html
  [dim]# why a dog rather than a cat? as a figure, and as numbers[/dim]
  whyclip explain scene.png "a dog" --against "a cat" --out why.png --out why.json
  [dim]# the whole of a wide picture, with a model of your own[/dim]
  whyclip explain wide.jpg "a tree" --model openclip:ViT-B-16/model.safetensors --geometry keep
  [dim]# the variant that the published Grad-ECLIP code computes (a changed model)[/dim]
  whyclip explain scene.png "a dog" --method grad_eclip --option heads=single
"""


def explain(
    image: options.Image,
    prompts: options.Prompts,
    model: options.Model = "mini",
    method: Annotated[
        str, typer.Option(help="How relevance is computed. [dim]See: whyclip methods.[/dim]")
    ] = "grad_eclip",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="An option of the method; may be given several times. "
            "[dim]See: whyclip methods.[/dim]",
        ),
    ] = None,
    against: options.Against = None,
    side: Annotated[
        list[str] | None,
        typer.Option(
            help="[bold]image[/bold]: where in the picture. [bold]text[/bold]: which words. "
            "May be given twice. [dim]Default: both.[/dim]"
        ),
    ] = None,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            help="Write the explanation; may be given several times. The ending decides: .html "
            "(a page of its own), .png (a figure), .json, .npz, .safetensors (numbers).",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    outputs = out or []
    sides = tuple(options.check_choice("side", name, SIDES) for name in side or SIDES)
    seen: GeometryName = options.check_choice("geometry", geometry, get_args(GeometryName))
    exactness: Precision = options.check_choice("precision", precision, get_args(Precision))
    options.check_prompts(prompts)
    if against:
        options.check_prompts(against)
    with progress(3 + len(outputs)) as begin:
        begin("starting")
        import whyclip
        from whyclip.inputs import read_image
        from whyclip.methods import get_method
        from whyclip.render import summary
        from whyclip.storage import ENDINGS

        options.check_outputs(outputs, ENDINGS, image)
        method_options = options.parse_options(get_method(method), option or [])
        picture = read_image(image)
        options.check_device(device)
        begin(f"loading {model}")
        view = whyclip.load(model, device)
        begin(f"explaining {len(prompts)} prompts" if len(prompts) > 1 else "explaining")
        explanation = whyclip.explain(
            view,
            picture,
            list(prompts),
            method=method,
            sides=sides,
            against=against or None,
            geometry=seen,
            precision=exactness,
            **method_options,
        )
        for path in outputs:
            begin(f"writing {path.name}")
            explanation.save(path)
    stdout().print(summary(explanation))
    for path in outputs:
        wrote(path)
