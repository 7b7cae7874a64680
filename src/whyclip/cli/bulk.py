"""``whyclip bulk``: explain any number of images, or report on a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyclip.cli import options
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, note, stdout, wrote
from whyclip.errors import OptionError, check_choice
from whyclip.process import importing
from whyclip.types import SIDES, Engine, Side

if TYPE_CHECKING:
    from whyclip.bulk.progress import Progress
    from whyclip.bulk.result import BulkResult

HELP = """
Explain any number of images and write Parquet files, or report on a finished run.

SOURCE is a folder, a pattern, a .csv or .parquet file with a column of images, webdataset tars, \
hf:FOLDER, a dataset such as scenes:200, or an address (s3://, gs://, https://) of one of the \
first four. A broken image becomes a row with its error. After a crash, the same command resumes. \
Needs: pip install 'whyclip\\[bulk]'.

DuckDB, pandas and polars read FOLDER/parts/*.parquet; whyclip.read_bulk returns explanations.

\b
[bold]Examples[/bold]
  [dim]# a folder of images, and prompts one per line[/dim]
  whyclip bulk photos --prompts prompts.txt --out run
  [dim]# the predicted class of each image[/dim]
  whyclip bulk photos --classes classes.txt --top 1 --out run
  [dim]# tars with a caption for each image, on two GPUs[/dim]
  torchrun --nproc-per-node 2 -m whyclip bulk "cc3m-{0000..0331}.tar" --prompt-column txt \
--out run --model openclip:ViT-B-16/openai --precision bf16
  [dim]# on the Ray cluster of this machine[/dim]
  whyclip bulk s3://bucket/photos --prompts prompts.txt --out run --engine ray --address auto
  [dim]# one page with the mean maps of the dataset and clusters of maps[/dim]
  whyclip bulk report run
"""

REPORT = "report"
# Seconds between progress lines if stderr is not a terminal, for example in a cluster's log.
EVERY = 60.0


def bulk(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The images, or: report DIR.")],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="With report: the folder of a finished run."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the results.")
    ] = None,
    prompts: options.PromptsFile = None,
    prompt_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column with each image's prompts. In tars: an extension (txt) or a JSON field.",
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text file with one prompt per class. The best-matching classes are explained.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of predicted classes per image.")] = 1,
    against: options.Against = None,
    model: options.Model = "mini",
    method: options.OneMethod = None,
    side: Annotated[str, typer.Option(help="image, text or both.")] = "both",
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    check: options.Check = "auto",
    map_type: Annotated[
        str, typer.Option(help="float32, or float16 (divided by the column map_scale).")
    ] = "float32",
    image_column: Annotated[str, typer.Option(metavar="NAME", help="Column of images.")] = "image",
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of reference scores, which adds the columns of percentiles and evidence. "
            "See: whyclip reference.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of images from the start of the source.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Decoding processes. [dim]Default: one less than the CPUs, up to 8.[/dim]"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 16,
    part_size: Annotated[
        int, typer.Option(min=1, help="Images per file; a crash loses at most one file.")
    ] = 1024,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Try images with an error again.")
    ] = False,
    device: options.Device = None,
    engine: Annotated[
        Engine, typer.Option(help="Engine: this machine (local) or a Ray cluster (ray).")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address of the Ray cluster; auto for this machine's cluster. "
            "[dim]Default: a new cluster for this run.[/dim]",
        ),
    ] = None,
    outside: Annotated[
        bool,
        typer.Option(
            "--outside",
            help="Allow a table to name addresses, and files outside its folder.",
        ),
    ] = False,
) -> None:
    """See ``HELP``."""
    if source == REPORT and folder is not None:
        _report(folder)
        return
    if folder is not None:
        raise OptionError(f"{str(folder)!r}: whyclip bulk takes one SOURCE; quote its pattern")
    if out is None:
        raise OptionError("--out is missing; name a folder for the results")
    sides: tuple[Side, ...] = SIDES if side == "both" else (check_choice("side", side, SIDES),)
    common = None if prompts is None else options.read_prompts(prompts)
    names = None if classes is None else options.read_prompts(classes)
    device = device or _launched_device()
    options.check_device(device)
    with importing():
        from whyclip.bulk.run import explain_bulk

    given: dict[str, Any] = {
        "geometry": geometry,
        "check": check,
        "precision": precision,
        "map_type": map_type,
    }
    with _progress() as report:
        result = explain_bulk(
            load(model, device),
            source,
            common,
            out=out,
            classes=names,
            top=top,
            prompt_column=prompt_column,
            image_column=image_column,
            against=against,
            method=options.one_name("--method", method),
            sides=sides,
            reference=reference,
            limit=limit,
            workers=workers,
            batch_size=batch_size,
            part_size=part_size,
            retry_errors=retry_errors,
            outside=outside,
            engine=engine,
            address=address,
            report=report,
            **given,
        )
    _tell(result)
    wrote(out)


def _launched_device() -> str | None:
    """The GPU of this process under ``torchrun`` and ``accelerate launch``; None elsewhere."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is None:
        return None
    import torch

    return f"cuda:{rank}" if torch.cuda.is_available() else None


def _tell(result: BulkResult) -> None:
    errors = list(result.errors())
    state = "complete" if result.complete else "other processes are still running"
    files = f"{len(result.files)} file{'s' * (len(result.files) != 1)}"
    stdout().print(f"{len(result):,} rows in {files}; {state}", highlight=False)
    if errors:
        id, reason = errors[0]
        images = "1 image has" if len(errors) == 1 else f"{len(errors):,} images have"
        note(f"{images} an error; the first, {id!r}: {reason}")
    emit(
        {
            "rows": len(result),
            "files": [str(file) for file in result.files],
            "complete": result.complete,
            "errors": [{"id": id, "error": error} for id, error in errors],
        }
    )


def _report(folder: Path) -> None:
    with importing():
        from whyclip.bulk.report import save_report
    page = save_report(folder)
    emit({"report": str(page)})
    wrote(page)


class _progress:  # noqa: N801 - a context manager that reads as a function
    """Show rate, time left and errors, on one updated line or on one line per minute."""

    def __init__(self) -> None:
        self.last = monotonic()
        self.status: Any = None

    def __enter__(self) -> _progress:
        from whyclip.cli.terminal import stderr

        console = stderr()
        if console.is_terminal:
            self.status = console.status("explaining")
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is not None:
            self.status.stop()

    def __call__(self, progress: Progress) -> None:
        """Show the current counts."""
        if self.status is not None:
            self.status.update(str(progress))
        elif monotonic() - self.last >= EVERY:
            self.last = monotonic()
            note(str(progress))
