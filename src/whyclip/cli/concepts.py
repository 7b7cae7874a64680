"""``whyclip concepts``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whyclip.cli import options
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, progress, stdout, wrote
from whyclip.process import importing

HELP = """
Describe an image, a text or a folder by a few weighted words (SpLiCE).

Approximates the embedding by a non-negative sum of a few words of a vocabulary, by default about \
1,300 everyday nouns. Images need the mean of many images: a reference file, or --images.

\b
[bold]Examples[/bold]
  whyclip reference photos/ --out photos.npz
  whyclip concepts photo.jpg --reference photos.npz
  [dim]# a folder's mean, a text, and the difference of two images[/dim]
  whyclip concepts holiday/ --reference photos.npz --out holiday.html
  whyclip concepts "a dog on a beach"
  whyclip concepts a.jpg --against b.jpg
"""


def concepts(
    source: Annotated[
        str,
        typer.Argument(
            help="An image, a folder, a pattern, or a text in quotes.", metavar="SOURCE"
        ),
    ],
    model: options.Model = "mini",
    against: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Describe the difference to this image or text."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Reference file. See: whyclip reference."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Folder or pattern of images that give the mean."),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text file with the vocabulary, one word or prompt per line. [dim]Default: the "
            "reference's prompts; without a reference, everyday nouns.[/dim]",
        ),
    ] = None,
    penalty: Annotated[float, typer.Option(help="Larger values give fewer words; above 0.")] = 0.25,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File of the words, .csv, .json, .html, .png, .svg or .pdf; may be given several "
            "times.",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    outputs = out or []
    words = options.read_prompts(vocabulary) if vocabulary else None
    with progress(3 + len(outputs)) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.sparse_concepts.result import ENDINGS

        check_outputs(outputs, ENDINGS, [])
        known = whyclip.load_reference(reference) if reference else None
        options.check_device(device)
        begin(f"loading {model}")
        view = load(model, device)
        begin("decomposing")
        result = whyclip.concepts(
            view,
            source,
            words,
            against=against,
            reference=known,
            images=images,
            penalty=penalty,
            geometry=geometry,
            precision=precision,
        )
        for path in outputs:
            begin(f"writing {path.name}")
            result.save(path)
    stdout().print(result.table().to_rich())
    emit({**result.to_json(), "files": [str(path) for path in outputs]})
    for path in outputs:
        wrote(path)
