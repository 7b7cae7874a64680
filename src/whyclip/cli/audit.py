"""``whyclip audit``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyclip.cli import completion, options
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, note, stdout, wrote
from whyclip.errors import OptionError, OutputError
from whyclip.files import check_folder
from whyclip.process import importing

if TYPE_CHECKING:
    from rich.table import Table

    from whyclip.studies.audit import Audit

HELP = """
Check which explanation methods work for your model.

[bold]Model fidelity[/bold]: does the method explain the model's own score? \
[bold]Performance consistency[/bold]: does the score fall when relevant regions or words are \
removed, does the map mark the object if the model is right, and does the map change when the \
weights are randomised? \
The result of each check is pass, fail or inconclusive, with a 95 % interval.

\b
[bold]Examples[/bold]
  [dim]# the embedded model on built-in scenes: a few minutes[/dim]
  whyclip audit
  [dim]# your own model and images; without masks or labels, fewer checks[/dim]
  whyclip audit --model openclip:ViT-B-16/openai --data folder:photos.csv --out photos-audit
  [dim]# does the published single-head variant explain the model's own score?[/dim]
  whyclip audit --methods grad_eclip,grad_eclip:heads=single --out heads
  [dim]# two checks, and a stricter threshold[/dim]
  whyclip audit --checks score_gap,removed_objects --threshold removed_objects=0.7 \
--out strict
"""

FOLDER = Path("audit")
SCENES = "scenes:200"


def audit(
    model: options.Model = "mini",
    data: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.datasets,
            help="scenes:N, folder:CSV, imagenet:FOLDER, imagenet-s:FOLDER, coco:FOLDER or "
            f"hf:FOLDER. [dim]Default for mini: {SCENES}.[/dim]",
        ),
    ] = None,
    methods: options.Methods = None,
    checks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...", help="Checks, separated by commas. [dim]Default: all.[/dim]"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use N random samples. [dim]Default: 80.[/dim]"),
    ] = None,
    edited: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of samples whose images are perturbed; they dominate the run time. "
            "[dim]Default: 24.[/dim]",
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK=VALUE", help="Threshold of a check; may be given several times."
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = FOLDER,
    keep: Annotated[
        bool,
        typer.Option(
            help="Save the result and show it with later explanations. Only audits with all "
            "checks and default thresholds are saved."
        ),
    ] = True,
    outside: options.Outside = False,
) -> None:
    """See ``HELP``."""
    if data is None and model != "mini":
        raise OptionError(
            f"--data is missing: name the data to audit {model!r} on, such as folder:photos.csv "
            "(a CSV file with the columns image, label and optionally mask)"
        )
    check_folder(out, "--out")
    thresholds = dict(map(_parse_threshold, threshold or ()))
    named, wanted = options.split_names(methods), options.split_names(checks)
    with importing():
        from whyclip.datasets.load import open_dataset
        from whyclip.selection import variants_of
        from whyclip.studies.audit import audit as run
        from whyclip.studies.audit import get_check
        from whyclip.studies.audit.answer import answers
        from whyclip.studies.audit.check import check_threshold
        from whyclip.studies.audit.keep import keep as remember
        from whyclip.studies.audit.run import EDITED, LIMIT
        from whyclip.studies.audit.store import RESULT

    variants = variants_of(named) or None
    for name in wanted:
        get_check(name)
    for name, number in thresholds.items():
        check_threshold(get_check(name), number)
    options.check_device(device)
    dataset = open_dataset(data or SCENES, outside=outside)
    audited = run(
        load(model, device),
        dataset,
        variants,
        wanted or None,
        limit=limit or LIMIT,
        edited=edited or EDITED,
        seed=seed,
        thresholds=thresholds,
        out=out,
    )
    # Save before printing, so that a closed pipe does not lose the run.
    command = _command(model, data or SCENES, named, wanted, audited, threshold, outside=outside)
    if (out / RESULT).exists():
        note(f"replacing the report of the same audit in {str(out)!r}")
    page = replace(audited, command=command).save(out)
    if keep and (wanted or thresholds):
        # Shown with an explanation, it would look like a full audit, and it would replace one.
        note("audit not saved: only runs with all checks and default thresholds are saved")
    elif keep:
        try:
            remember(audited)
        except OutputError as error:
            note(f"audit not saved: {error}")
    stdout().print(_table(audited))
    for answer in answers(audited):
        stdout().print(answer, highlight=False)
    emit({**audited.to_json(), "command": command, "report": str(page)})
    for line in audited.notes:
        note(line)
    wrote(page)


def _parse_threshold(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not equals or number != number:  # noqa: PLR0124  NaN is not itself
        raise OptionError(f"--threshold {text!r} is not CHECK=NUMBER, such as removed_objects=0.7")
    return name, number


def _table(audited: Audit) -> Table:
    """Build a table with one row per method and side; colours repeat the results."""
    from rich.table import Table
    from rich.text import Text

    from whyclip.studies.audit import PRINCIPLES

    colours = {"pass": "bold green", "fail": "bold red", "inconclusive": "yellow"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in (
        "method",
        "side",
        "model fidelity",
        "performance consistency",
        "failed",
    ):
        table.add_column(heading)
    for name in audited.methods:
        for index, side in enumerate(audited.sides(name)):
            cells = []
            for principle in PRINCIPLES:
                passed, measured = audited.passed(name, principle, side)
                verdict = audited.verdict(name, principle, side)
                text = Text(verdict if measured else "–", colours.get(verdict, "dim"))
                text.append(f" ({passed} of {measured})" if measured else "", "not bold dim")
                cells.append(text)
            failed = [f for f in audited.of(name) if f.side == side and f.verdict == "fail"]
            failures = ", ".join(f"{f.check} {f.number.partition(' ')[0]}" for f in failed)
            table.add_row(Text("" if index else name), side, *cells, Text(failures or "–", "dim"))
    return table


def _command(
    model: str,
    data: str,
    methods: list[str],
    checks: list[str],
    audited: Audit,
    threshold: list[str] | None,
    *,
    outside: bool = False,
) -> str:
    """Build the command that repeats the audit."""
    from whyclip.report import command_line

    given = {
        "--model": model,
        "--data": data,
        "--methods": ",".join(methods) or None,
        "--checks": ",".join(checks) or None,
        "--threshold": threshold,
        "--limit": audited.samples,
        "--edited": audited.edited or None,
        "--seed": audited.seed,
        "--outside": outside,
    }
    return command_line("audit", given)
