"""``whyclip explain``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from whyclip.cli import options
from whyclip.cli.given import Given, places, read, split
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import complain, progress, stdout, wrote
from whyclip.errors import ImageError, OptionError, check_choice
from whyclip.files import make_folder
from whyclip.options import parse
from whyclip.process import importing
from whyclip.types import SIDES, Check, GeometryName, Precision

if TYPE_CHECKING:
    from whyclip.explanation import Explanation

HELP = """
Explain why an image matches one or more prompts.

Prints, for each prompt, its score, the words that matter most, and the certificate. With --out, \
also writes the heat maps. Images come first: files, folders or patterns; - is standard input.

\b
[bold]Examples[/bold]
  [dim]# a page with heat maps and highlighted words[/dim]
  whyclip explain scene.png "a dog" "a red car" --out why.html
  [dim]# why a dog rather than a cat? as a figure, and as numbers[/dim]
  whyclip explain scene.png "a dog" --against "a cat" --out why.png --out why.json
  [dim]# all images of a folder, one page each[/dim]
  whyclip explain photos/ "a dog" --out maps/
  [dim]# the same as figures, with prompts from a file, one per line[/dim]
  whyclip explain "photos/*.jpg" --prompts prompts.txt --out "maps/{name}.png"
  [dim]# the whole of a wide image, with a model of your own[/dim]
  whyclip explain wide.jpg "a tree" --model openclip:ViT-B-16/model.safetensors --geometry keep
  [dim]# the variant that the published Grad-ECLIP code computes (a changed model)[/dim]
  whyclip explain scene.png "a dog" --method grad_eclip --option heads=single
"""


def explain(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE... PROMPT...",
            help="Images (files, folders, patterns or -), then prompts, each in quotes.",
        ),
    ],
    prompts_file: options.PromptsFile = None,
    model: options.Model = "mini",
    method: options.OneMethod = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="An option of the method; may be given several times. "
            "[dim]See: whyclip methods METHOD.[/dim]",
        ),
    ] = None,
    against: options.Against = None,
    side: Annotated[
        list[str] | None,
        typer.Option(
            "--side",
            "--sides",
            metavar="SIDE,...",
            help="[bold]image[/bold] for maps, [bold]text[/bold] for words. "
            "[dim]Default: both.[/dim]",
        ),
    ] = None,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    check: options.Check = "auto",
    device: options.Device = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--out",
            metavar="FILE|FOLDER",
            help="File of the explanation; may be given several times. The extension decides: "
            ".html (a page), .png, .jpg, .svg, .pdf (figures), .json, .npz, .safetensors "
            "(numbers). For several images: a folder, or a pattern with {name}.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the explanation as JSON and nothing else, one image per line."
        ),
    ] = False,
) -> None:
    """See ``HELP``."""
    given = split(inputs, options.read_prompts(prompts_file) if prompts_file else ())
    names = options.split_names(side) if side else SIDES
    if not names:
        raise OptionError(f"--side {side!r} names no side; known: {', '.join(SIDES)}")
    seen: GeometryName = check_choice("geometry", geometry, get_args(GeometryName))
    exactness: Precision = check_choice("precision", precision, get_args(Precision))
    asked: dict[str, Any] = {
        "sides": tuple(check_choice("side", name, SIDES) for name in names),
        "against": against or None,
        "geometry": seen,
        "precision": exactness,
        "check": check_choice("check", check, get_args(Check)),
    }
    options.check_prompts(given.prompts)
    if against:
        options.check_prompts(against)
    name = options.one_name("--method", method)
    if option and name is None:
        raise OptionError(f"--option {option[0]!r} belongs to a method; name it with --method")
    targets = places(given, out or ())
    with progress(3 + sum(map(len, targets))) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.export import ENDINGS
            from whyclip.render import summary  # noqa: F401  imported here, it is imported faster
            from whyclip.variant import Variant

        files = [path for paths in targets for path in paths]
        check_outputs(files, ENDINGS, given.images, folders=given.many)
        if name is not None:
            asked["method"] = variant = Variant.of(name)
            asked |= parse(variant.method.name, variant.method.relevance, option or [])
        options.check_device(device)
        # The first image before the model: a wrong name is reported in no time.
        images = None if given.many else [read(given.images[0])]
        begin(f"loading {model}")
        view = load(model, device)

        def one(index: int) -> Explanation:
            image = images[index] if images else read(given.images[index])
            return whyclip.explain(view, image, list(given.prompts), **asked)

        _each(given, targets, one, begin, as_json=as_json)


def _each(
    given: Given,
    targets: Sequence[Sequence[Path]],
    explained: Callable[[int], Explanation],
    begin: Callable[[str], None],
    *,
    as_json: bool,
) -> None:
    """Explain, write and print one image after the other; go on after one that is broken.

    Raises:
        ImageError: the only image is broken.
        typer.Exit: one of several images is broken, with exit code 2.
    """
    broken = 0
    for index, (name, paths) in enumerate(zip(given.images, targets, strict=True)):
        begin(f"explaining {name}" if given.many else "explaining")
        try:
            explanation = explained(index)
        except ImageError as error:
            if not given.many:
                raise
            complain(str(error))
            broken += 1
            continue
        for path in paths:
            begin(f"writing {path.name}")
            if given.many:
                make_folder(path.parent)
            explanation.save(path)
        _print(name, explanation, many=given.many, as_json=as_json)
        for path in paths:
            wrote(path)
    if broken:
        raise typer.Exit(2)


def _print(name: str, explanation: Explanation, *, many: bool, as_json: bool) -> None:
    if as_json:
        from whyclip.storage import to_json

        # ASCII alone, so that it is JSON whatever the encoding of the stream.
        record = {"file": name, **to_json(explanation)}
        print(json.dumps(record, allow_nan=False), flush=True)
        return
    from whyclip.render import summary

    console = stdout()
    if many:
        console.print(name, style="bold", markup=False, highlight=False, soft_wrap=True)
    console.print(summary(explanation))
