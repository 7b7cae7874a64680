"""``whyclip reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyclip.cli import completion, lists, options
from whyclip.cli.shared import use_threads
from whyclip.cli.terminal import emit, stdout, wrote
from whyclip.files import check_folder
from whyclip.options import parse, show
from whyclip.process import importing

if TYPE_CHECKING:
    from rich.table import Table

    from whyclip.report import Report

HELP = """
Test a published claim on your model and data.

Without a name, lists the experiments. Each writes a page with the claim, its source, a verdict, \
tables with 95 % intervals and a figure, also as CSV and Markdown. By default, experiments use \
built-in scenes and the embedded model; give --data and --model for those of the papers.

\b
[bold]Examples[/bold]
  [dim]# list the experiments and their cost[/dim]
  whyclip reproduce
  [dim]# are Grad-ECLIP and Attention-ECLIP the same map?[/dim]
  whyclip reproduce equality
  [dim]# the deletion and insertion table, on ImageNet's validation images[/dim]
  whyclip reproduce table1 --data imagenet:val --model openclip:ViT-B-16/openai
"""

FOLDER = Path("reproduced")


def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(
            help="An experiment. [dim]Default: list them.[/dim]",
            metavar="NAME",
            autocompletion=completion.experiments,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.datasets,
            help="A dataset: scenes:N, imagenet:FOLDER, imagenet-s:FOLDER, coco:FOLDER, "
            "folder:FILE.csv, hf:FOLDER. [dim]Default: the experiment's own, built in.[/dim]",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=completion.models,
            help="[bold]mini[/bold] (comes with whyclip), openclip:ARCH/PRETRAINED, "
            "openclip:ARCH/FILE.safetensors, openclip:FOLDER, hf:NAME or hf:FOLDER. "
            "[dim]Default: mini. Experiments that train their own model do not accept it.[/dim]",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Use N random samples; 0 for all. [dim]Default: the experiment's own.[/dim]",
        ),
    ] = None,
    seed: options.Seed = 0,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="An option of the experiment; may be given several times. "
            "[dim]See: whyclip reproduce.[/dim]",
        ),
    ] = None,
    device: options.Device = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Folder of the report. [dim]Default: {FOLDER}/NAME.[/dim]"),
    ] = None,
) -> None:
    """See ``HELP``."""
    if name is None:
        stdout().print(_list())
        emit(lists.records("experiments"))
        return
    with importing():
        from whyclip.studies.experiments import get_experiment
        from whyclip.studies.experiments.run import reproduce as run

    experiment = get_experiment(name)
    chosen = parse(name, experiment.run, option or ())
    folder = out or FOLDER / name
    check_folder(folder, "--out")
    options.check_device(device)
    use_threads(1 if (model or experiment.defaults.model) == "mini" else None)
    reproduction = run(
        experiment,
        data=data,
        model=model,
        limit=limit,
        seed=seed,
        device=device,
        **chosen,
    )
    # Save before printing, so that a closed pipe does not lose the run.
    page = reproduction.save(folder)
    _print(reproduction.report())
    emit({**reproduction.to_json(), "report": str(page)})
    wrote(page)


def _print(report: Report) -> None:
    """Print paragraphs and tables; figures are on the page."""
    from rich.markdown import Markdown

    from whyclip.report import Table

    console = stdout()
    for section in report.sections:
        if isinstance(section, str):
            console.print(Markdown(section))
            console.print()
        elif isinstance(section, Table):
            console.print(section.to_rich())
            console.print()


def _list() -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="bold")
    table.add_column("experiment", no_wrap=True)
    table.add_column("claim", ratio=1)
    table.add_column("samples, CPU time each", no_wrap=True)
    table.add_column("options")
    for one in lists.declared("experiments").values():
        known = ", ".join(f"{key}={show(value)}" for key, value in one.options.items())
        usual = one.defaults["limit"]
        table.add_row(one.name, one.claim, f"{usual} at {one.cost}", known or "–")
    return table
