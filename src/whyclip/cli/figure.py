"""``whyclip figure``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyclip.cli import completion, figure_options, options
from whyclip.cli.figure_rows import FigureRow, figure_rows
from whyclip.cli.given import read
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, progress, stdout, wrote
from whyclip.process import importing
from whyclip.types import SIDES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whyclip.explanation import Explanation
    from whyclip.types import Side

HELP = """
Draw a figure for a paper: images as rows, methods as columns.

The figure has exactly the given width, text at the given font size, and no margin. Prints a \
caption with the models, methods and scaling.

\b
[bold]Examples[/bold]
  [dim]# four methods on three images[/dim]
  whyclip figure a.jpg b.jpg c.jpg "a dog" --methods grad_eclip,decomposition,grad_cam,rollout \
--out figure.pdf
  [dim]# each image with its own prompt: a CSV file with the columns image and prompt, and \
optionally model and methods[/dim]
  whyclip figure rows.csv --methods grad_eclip,grad_cam --out figure.pdf
  [dim]# one column wide, with highlighted words[/dim]
  whyclip figure rows.csv --methods grad_eclip --words --width column --font-size 7 --out figure.pdf
"""

ENDINGS = (".pdf", ".svg", ".png", ".jpg", ".jpeg")
DEFAULT_OUT = Path("figure.pdf")


def figure(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLE.csv|IMAGE... PROMPT...",
            help="A table with the columns image, prompt and optionally model, methods; or images, "
            "then prompts in quotes: each image with each prompt.",
        ),
    ],
    prompts_file: options.PromptsFile = None,
    model: options.Model = "mini",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            "--method",
            metavar="NAME,...",
            autocompletion=completion.methods,
            help="Methods of the columns, separated by commas, optionally with options such as "
            "grad_eclip:heads=single. [dim]Default: the model's default for images.[/dim]",
        ),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="Show the prompt's words below each map, highlighted.")
    ] = False,
    notes: Annotated[
        bool,
        typer.Option(
            "--notes", help="Add a header, the scores, each method's certificate and a colour bar."
        ),
    ] = False,
    against: options.Against = None,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    width: figure_options.Width = None,
    columns: figure_options.Columns = None,
    font_size: figure_options.FontSize = None,
    dpi: figure_options.Dpi = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help=f"File of the figure: {', '.join(ENDINGS)}; may be given several times. "
            f"[dim]Default: {DEFAULT_OUT}.[/dim]",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    rows = figure_rows(inputs, options.read_prompts(prompts_file) if prompts_file else ())
    targets = out or [DEFAULT_OUT]
    check_outputs(targets, ENDINGS, [row.image for row in rows])
    if against:
        options.check_prompts(against)
    layout = figure_options.layout_of(width, columns, font_size, dpi, bare=not notes)
    named = tuple(options.split_names(method))
    with progress(2 + len(rows) + len(targets)) as begin:
        begin("starting")
        with importing():
            from whyclip.files import write_atomic
            from whyclip.render import figure_bytes
            from whyclip.render.panels import methods_figure
            from whyclip.variant import Variant

        for name in {name for row in rows for name in (row.methods or named)}:
            Variant.of(name)
        options.check_device(device)
        arguments = {"against": against or None, "geometry": geometry, "precision": precision}
        explained = []
        views: dict[str, Any] = {}
        for row in rows:
            begin(f"explaining {row.image}")
            spec = row.model or model
            if spec not in views:
                # Only one model is in memory at a time; rows of one model are usually adjacent.
                views = {spec: load(spec, device)}
            sides = SIDES if words else SIDES[:1]
            explained.append(_explained(views[spec], row, row.methods or named, sides, arguments))
        drawn = methods_figure(explained, layout, words=words)
        for path in targets:
            begin(f"writing {path.name}")
            kind = path.suffix[1:].lower()
            write_atomic(path, lambda kind=kind: figure_bytes(drawn, kind))  # type: ignore[misc]
    caption = caption_of([one for row in explained for one in row.values()])
    stdout().print(caption, markup=False, highlight=False, soft_wrap=True)
    emit(_record(rows, explained, targets, drawn.get_size_inches(), caption))
    for path in targets:
        wrote(path)


def _explained(
    view: Any,
    row: FigureRow,
    names: Sequence[str],
    sides: Sequence[Side],
    arguments: dict[str, Any],
) -> dict[str, Explanation]:
    """Compute one explanation per method, by column title."""
    import whyclip
    from whyclip.cli.compare import method_title
    from whyclip.selection import default_variants

    names = names or [variant.spelling for variant in default_variants(view, SIDES[:1], {})]
    image = read(row.image)
    explanations = whyclip.compare(
        view, [image], [row.prompt], list(names), sides=sides, **arguments
    )
    return {method_title(label): explanation for label, [explanation] in explanations.items()}


def caption_of(explanations: Iterable[Explanation]) -> str:
    """Write a figure's caption: models, methods, scale, interpolation, certificates."""
    from whyclip.render.reading import method_title

    every = list(explanations)
    spelled = dict.fromkeys(method_title(one) for one in every)
    parts = [
        f"Model: {', '.join(dict.fromkeys(one.model for one in every))}",
        f"Methods: {', '.join(spelled)}",
        "Each map is scaled to its own peak; patches are interpolated (Catmull–Rom)",
        f"Input: {', '.join(dict.fromkeys(one.geometry.name for one in every))}",
    ]
    versus = [one.versus for one in every if one.versus]
    parts += [f"Prompts are explained {versus[0]}"] if versus else []
    failed = [
        f"{method_title(one)} {one.certificate.verdict}"
        for one in every
        if not one.certificate.explains_score
    ]
    shown = "; ".join(dict.fromkeys(failed)) or "all maps explain the model's own score"
    return ". ".join([*parts, f"Certificates: {shown}"]) + "."


def _record(
    rows: Sequence[FigureRow],
    explained: Sequence[dict[str, Explanation]],
    files: Sequence[Path],
    inches: Any,
    caption: str,
) -> dict[str, Any]:
    return {
        "files": [str(path) for path in files],
        "width": float(inches[0]),
        "height": float(inches[1]),
        "caption": caption,
        "rows": [
            {
                "file": row.image,
                "prompt": row.prompt,
                "panels": [
                    {
                        "method": one.method,
                        "options": dict(one.options),
                        "model": one.model,
                        "score": float(one.scores[0]),
                        "explains_score": one.certificate.explains_score,
                    }
                    for one in by_title.values()
                ],
            }
            for row, by_title in zip(rows, explained, strict=True)
        ],
    }
