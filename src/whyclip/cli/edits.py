"""``whyclip edits``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from whyclip.cli import options
from whyclip.cli.given import read
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, progress, stdout, wrote
from whyclip.errors import check_choice
from whyclip.process import importing

HELP = """
Show how the score changes when words of a prompt change.

Leaves out each word, swaps each noun, colour and adjective for others, and exchanges words. \
Prints the edits that raise and lower the score most.

\b
[bold]Examples[/bold]
  whyclip edits scene.png "a dog and a red car"
  [dim]# only swaps, with your own words and maps of the three largest changes[/dim]
  whyclip edits scene.png "a red car" --kind swap --nouns "bus,train" --maps 3 --out edits.html
"""
_SHOWN = 20


def edits(
    image: options.Image,
    prompt: Annotated[str, typer.Argument(help="One prompt, in quotes.", metavar="PROMPT")],
    model: options.Model = "mini",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            "--kinds",
            metavar="KIND,...",
            help="Kinds of edits: leave out, swap, exchange. [dim]Default: all.[/dim]",
        ),
    ] = None,
    nouns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD,...",
            help="Replacements of nouns. [dim]Default: similar nouns of the shipped list.[/dim]",
        ),
    ] = None,
    colours: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD,...", help="Replacements of colours. [dim]Default: 11 colours.[/dim]"
        ),
    ] = None,
    adjectives: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD,...",
            help="Replacements of adjectives. [dim]Default: those of the shipped list.[/dim]",
        ),
    ] = None,
    prompts_file: options.PromptsFile = None,
    maps: Annotated[
        int, typer.Option(min=0, help="Number of edits shown with maps in an .html file.")
    ] = 0,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File of all edits, .csv, .html or .json; may be given several times.",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    outputs = out or []
    options.check_prompts([prompt])
    others = options.read_prompts(prompts_file) if prompts_file else ()
    with progress(3 + len(outputs)) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.editing.result import ENDINGS
            from whyclip.editing.variants import KINDS

        check_outputs(outputs, ENDINGS, [image])
        source = read(image)
        kinds = options.split_names(kind) if kind else KINDS
        chosen = [check_choice("kind of edit", name, KINDS) for name in kinds]
        options.check_device(device)
        begin(f"loading {model}")
        view = load(model, device)
        begin("encoding")
        result = whyclip.edits(
            view,
            source,
            prompt,
            kinds=chosen,
            nouns=options.split_names(nouns) if nouns else None,
            colours=options.split_names(colours) if colours else None,
            adjectives=options.split_names(adjectives) if adjectives else None,
            others=others,
            maps=maps,
            geometry=geometry,
            precision=precision,
        )
        for path in outputs:
            begin(f"writing {path.name}")
            result.save(path)
    stdout().print(result.table(_SHOWN).to_rich())
    emit({"file": image, **result.to_json(), "files": [str(path) for path in outputs]})
    for path in outputs:
        wrote(path)
