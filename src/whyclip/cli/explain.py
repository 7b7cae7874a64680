"""``whyclip explain``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyclip.cli import completion, figure_options, options
from whyclip.cli.explained import each, print_heads
from whyclip.cli.given import Given, places, read, split
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import progress, wrote
from whyclip.errors import OptionError, check_choice
from whyclip.files import check_folder
from whyclip.options import parse
from whyclip.process import importing
from whyclip.types import SIDES

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
  [dim]# a figure for a paper: one column wide, panels only[/dim]
  whyclip explain scene.png "a dog" "a red car" --width column --bare --out figure.pdf
  [dim]# a whole wide image, with your own model[/dim]
  whyclip explain wide.jpg "a tree" --model openclip:ViT-B-16/model.safetensors --geometry keep
  [dim]# the contribution of each attention head, with maps of the strongest heads[/dim]
  whyclip explain scene.png "a dog" --heads heads.html
  [dim]# is it a match at all? scores compared with those of other prompts and images[/dim]
  whyclip reference photos/ --out photos.npz
  whyclip explain scene.png "a dog" --reference photos.npz
  [dim]# the variant that the published Grad-ECLIP code computes (a modified computation)[/dim]
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
            autocompletion=completion.sides,
            help="[bold]image[/bold] for maps, [bold]text[/bold] for words. "
            "[dim]Default: both.[/dim]",
        ),
    ] = None,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    check: options.Check = "auto",
    device: options.Device = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of reference scores, to judge whether the score is a match at all. "
            "See: whyclip reference.",
        ),
    ] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            "--out",
            metavar="FILE|FOLDER",
            help="File of the explanation; may be given several times. The extension decides: "
            ".html (a page), .png, .jpg, .svg, .pdf (figures), .json, .npz, .safetensors "
            "(numbers), .coco.json (boxes and masks). For several images: a folder, or a pattern "
            "with {name}.",
        ),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            "--heads",
            metavar="FILE",
            help="File of each attention head's contribution, by layer: .png, .jpg, .svg, .pdf (a "
            "figure), .html (a page with the strongest heads' maps), .csv (the table). Prints the "
            "strongest heads.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FOLDER",
            help="Folder of a bundle, for a report or a bug: image, maps, words, scores, page, and "
            "manifest. For several images, one folder each.",
        ),
    ] = None,
    width: figure_options.Width = None,
    columns: figure_options.Columns = None,
    font_size: figure_options.FontSize = None,
    dpi: figure_options.Dpi = None,
    bare: figure_options.Bare = False,
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
        raise OptionError(f"--side {side!r} is not a side; known: {', '.join(SIDES)}")
    arguments: dict[str, Any] = {
        "sides": tuple(check_choice("side", name, SIDES) for name in names),
        "against": against or None,
        "geometry": geometry,
        "precision": precision,
        "check": check,
    }
    options.check_prompts(given.prompts)
    if against:
        options.check_prompts(against)
    name = options.one_name("--method", method)
    if option and name is None:
        raise OptionError(f"--option {option[0]!r} belongs to a method; name it with --method")
    targets = places(given, out or ())
    layout = figure_options.layout_of(width, columns, font_size, dpi, bare=bare)
    repeated: dict[str, Any] = {
        "--prompts": prompts_file,
        "--model": model,
        "--method": name,
        "--option": option,
        "--against": against,
        "--side": side,
        "--geometry": None if geometry == "model" else geometry,
        "--precision": None if precision == "fp32" else precision,
        "--reference": reference,
    }
    if bundle is not None:
        check_folder(bundle, "--bundle")
    with progress(3 + sum(map(len, targets))) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.render import summary  # noqa: F401  imported here, it is imported faster
            from whyclip.variant import Variant

        _check_files([path for paths in targets for path in paths], heads, given)
        if name is not None:
            arguments["method"] = variant = Variant.of(name)
            arguments |= parse(variant.method.name, variant.method.relevance, option or [])
        options.check_device(device)
        if reference is not None:
            arguments["reference"] = whyclip.load_reference(reference)
        # Read the image before the model, so that a wrong name is reported at once.
        images = None if given.many else [read(given.images[0])]
        begin(f"loading {model}")
        view = load(model, device)

        def one(index: int) -> Explanation:
            image = images[index] if images else read(given.images[index])
            return whyclip.explain(view, image, list(given.prompts), **arguments)

        each(
            given,
            targets,
            one,
            begin,
            as_json=as_json,
            layout=layout,
            bundle=None if bundle is None else (bundle, _command(inputs, repeated)),
        )
        if heads is not None:
            assert images is not None
            begin("computing the contributions of heads")
            split_up = whyclip.heads(
                view,
                images[0],
                list(given.prompts),
                against=against or None,
                geometry=geometry,
                precision=precision,
            )
            split_up.save(heads)
    if heads is not None:
        print_heads(split_up, as_json=as_json)
        wrote(heads)


def _check_files(files: Sequence[Path], heads: Path | None, given: Given) -> None:
    """Check before any work that all files can be written.

    Raises:
        OptionError: ``--heads`` with several images, or with the same file as ``--out``.
        OutputError: a file cannot be written.
    """
    from whyclip.export import ENDINGS, FIGURES

    check_outputs(files, ENDINGS, given.images, folders=given.many)
    if heads is None:
        return
    if given.many:
        raise OptionError(f"--heads {str(heads)!r} takes one image, got {len(given.images)}")
    check_outputs([heads], (".html", *FIGURES, ".csv"), given.images, option="--heads")
    if heads in files:
        raise OptionError(f"--heads {str(heads)!r} is also given as --out")


def _command(inputs: Sequence[str], given: Mapping[str, Any]) -> str:
    """Build the command that repeats the explanation, without its outputs."""
    from whyclip.report import command_line

    return command_line("explain", given) + " " + shlex.join(inputs)
