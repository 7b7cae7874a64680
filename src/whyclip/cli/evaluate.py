"""``whyclip evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from whyclip.cli import completion, options
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, note, stdout, wrote
from whyclip.errors import OptionError, check_choice
from whyclip.process import importing
from whyclip.types import SIDES, Side

HELP = """
Evaluate explanation methods on a dataset, with 95 % intervals.

Every method explains each label of each sample, and every metric scores the explanation: does \
the class score fall when relevant pixels or words are removed (deletion, insertion), and is the \
map's peak on the object (pointing game, IoU)? A random map is always included. \
Differences between methods have 95 % intervals; a method is marked as best only if its interval \
excludes 0.

Finished samples are kept in the folder given by --out. The same command resumes an interrupted \
run.

\b
[bold]Examples[/bold]
  [dim]# two methods on built-in scenes, with the embedded model: a few minutes[/dim]
  whyclip evaluate --data scenes:20 --methods grad_eclip,contribution
  [dim]# localisation only: seconds[/dim]
  whyclip evaluate --data scenes:20 --metrics pointing_game,iou --out places
  [dim]# a paper's table: ImageNet, its 50,000 images or 1,000 of them[/dim]
  whyclip evaluate --data imagenet:val --limit 1000 --model openclip:ViT-B-16/openai \
--methods grad_cam,maskclip,grad_eclip --metrics deletion,insertion --out table1
  [dim]# variants of one method[/dim]
  whyclip evaluate --data scenes:20 --methods grad_eclip,grad_eclip:spatial=none --out variants
"""

FOLDER = Path("evaluation")
SCENES = "scenes:20"


def evaluate(
    data: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:PATH",
            autocompletion=completion.datasets,
            help="scenes:N, imagenet:FOLDER, imagenet-s:FOLDER, coco:FOLDER, folder:FILE.csv "
            f"... See: whyclip datasets. [dim]Default for mini: {SCENES}.[/dim]",
        ),
    ] = None,
    methods: options.Methods = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            autocompletion=completion.metrics,
            help="Metrics, separated by commas. [dim]Default: deletion, insertion, "
            "word metrics, and localisation if there are masks. See: whyclip metrics.[/dim]",
        ),
    ] = None,
    model: options.Model = "mini",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Use N random samples. More can be added later to the same folder. "
            "[dim]Default: all.[/dim]",
        ),
    ] = None,
    seed: options.Seed = 0,
    sides: Annotated[
        list[str] | None,
        typer.Option(
            "--sides",
            "--side",
            help="image, text, or both. [dim]Default: both.[/dim]",
            metavar="SIDE,...",
        ),
    ] = None,
    prompt: Annotated[
        Literal["gt", "pred"],
        typer.Option(
            help="Explain the prompt of each true label ([bold]gt[/bold]) or the predicted class "
            "([bold]pred[/bold])."
        ),
    ] = "gt",
    protocol: Annotated[
        Literal["grad-eclip", "rise"],
        typer.Option(
            help="Deletion and insertion protocol: [bold]grad-eclip[/bold] (half of the pixels, 11 "
            "points, accuracy) or [bold]rise[/bold] (all pixels, 224 per step, probability)."
        ),
    ] = "grad-eclip",
    fill: Annotated[
        Literal["papers", "background", "black", "blurred", "random"],
        typer.Option(
            help="Values of deleted pixels: the fill of the [bold]papers[/bold], or the scene's "
            "true [bold]background[/bold] (also black and blurred, for comparison)."
        ),
    ] = "papers",
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    batch_size: Annotated[
        int,
        typer.Option(min=1, help="Batch size for perturbed inputs; does not affect the results."),
    ] = 64,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the report. Rerun with the same folder to resume."),
    ] = FOLDER,
    outside: options.Outside = False,
) -> None:
    """See ``HELP``."""
    if data is None and model != "mini":
        raise OptionError(
            f"--data is required for {model!r}, such as imagenet:FOLDER or folder:FILE.csv; "
            "see whyclip datasets"
        )
    wanted_sides: list[Side] = [check_choice("side", s, SIDES) for s in options.split_names(sides)]
    named, measured = options.split_names(methods), options.split_names(metrics)
    options.check_device(device)
    with importing():
        from whyclip.datasets import open_dataset
        from whyclip.report import command_line
        from whyclip.selection import variants_of
        from whyclip.studies.evaluation import evaluate as run
        from whyclip.studies.evaluation import main_tables

    given: dict[str, Any] = {
        "--data": data or SCENES,
        "--methods": ",".join(named) or None,
        "--metrics": ",".join(measured) or None,
        "--model": model,
        "--limit": limit,
        "--seed": seed,
        "--sides": ",".join(wanted_sides) or None,
        "--prompt": None if prompt == "gt" else prompt,
        "--protocol": None if protocol == "grad-eclip" else protocol,
        "--fill": None if fill == "papers" else fill,
        "--geometry": None if geometry == "model" else geometry,
        "--precision": None if precision == "fp32" else precision,
        "--out": out,
        "--outside": outside,
    }
    variants = variants_of(named)
    dataset = open_dataset(data or SCENES, limit=limit, seed=seed, outside=outside)
    view = load(model, device)
    try:
        evaluation = run(
            view,
            dataset,
            variants or None,
            measured or None,
            sides=wanted_sides or SIDES,
            prompt=prompt,
            protocol=protocol,
            fill=fill,
            geometry=geometry,
            precision=precision,
            seed=seed,
            batch_size=batch_size,
            out=out,
            data=data or SCENES,
            command=command_line("evaluate", given),
        )
    except KeyboardInterrupt:
        note(f"finished samples are in {str(out)!r}; the same command resumes")
        raise
    # Save before printing, so that a closed pipe does not lose the report.
    page = evaluation.save(out)
    for table in main_tables(evaluation.summary):
        stdout().print(table.to_rich())
        stdout().print()
    emit(
        {
            "command": command_line("evaluate", given),
            "report": str(page),
            "tables": [table.to_json() for table in main_tables(evaluation.summary)],
        }
    )
    wrote(page)
