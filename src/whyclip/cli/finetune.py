"""``whyclip finetune``."""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from whyclip.cli import completion, options
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, note, stdout, wrote
from whyclip.errors import OptionError
from whyclip.process import importing
from whyclip.types import Resume, TrainingPrecision

if TYPE_CHECKING:
    from whyclip.finetuning.preview import Preview
    from whyclip.finetuning.train import Finetuned

HELP = """
Fine-tune a CLIP model on captioned images, so that phrases match their image regions.

The loss is CLIP's own, plus one that compares each phrase of a caption with its region. A heat \
map of the phrase gives the region. Needs: pip install 'whyclip\\[train]'.

Ctrl-C writes a checkpoint. The same command resumes from it. The result, FOLDER/model, is in the \
format of the model's own library.

\b
[bold]Examples[/bold]
  [dim]# check data and settings, without training[/dim]
  whyclip finetune mini scenes:2000 --out run --dry-run
  [dim]# train the embedded model on built-in scenes: minutes on a CPU[/dim]
  whyclip finetune mini scenes:2000 --out run --steps 100 --batch-size 32 --learning-rate 1e-4
  [dim]# a tenth of CC3M on one GPU[/dim]
  whyclip finetune openclip:ViT-B-16/openai "wds:cc3m-{0000..0331}.tar" --fraction 0.1 --out run \
--epochs 1 --precision bf16 --workers 8
  [dim]# your own captions, with low-rank adapters, on two GPUs[/dim]
  accelerate launch --num_processes 2 -m whyclip finetune openclip:ViT-B-16/openai \
csv:photos.csv --out run --lora 16 --learning-rate 1e-4
"""


def finetune(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            autocompletion=completion.models,
            help="mini, openclip:ARCH/PRETRAINED, openclip:FOLDER, hf:NAME or hf:FOLDER.",
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Captioned images: scenes:N, csv:FILE.csv, parquet:FILE, hf:FOLDER, wds:FILES.tar "
            "or a URL.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; resumed if it holds one.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps. [dim]Default: 1000.[/dim]")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the data, in place of --steps.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images per contrastive batch, over all processes.")
    ] = 128,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Batches whose gradients one optimiser step averages.")
    ] = 1,
    learning_rate: Annotated[
        float,
        typer.Option(
            "--learning-rate", "--lr", help="Peak learning rate; small models need 1e-4 to 3e-4."
        ),
    ] = 1e-5,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of matrices.")] = 0.1,
    warmup: Annotated[int, typer.Option(min=0, help="Steps of linear warm-up.")] = 20,
    clip: Annotated[float, typer.Option(help="Maximum gradient norm; 0 for no limit.")] = 1.0,
    precision: Annotated[
        TrainingPrecision, typer.Option(help="Mixed precision: bf16, or fp16 on a GPU.")
    ] = "fp32",
    checkpoint_blocks: Annotated[
        bool,
        typer.Option("--checkpoint-blocks", help="Recompute activations: less memory, more time."),
    ] = False,
    ema: Annotated[
        float, typer.Option(help="Decay of the weights' moving average, such as .999; 0 for none.")
    ] = 0.0,
    freeze_text: Annotated[
        bool, typer.Option("--freeze-text", help="Train only the image encoder.")
    ] = False,
    lora: Annotated[
        int, typer.Option(min=0, help="Rank of low-rank adapters; 0 trains the weights.")
    ] = 0,
    local: Annotated[float, typer.Option(help="Weight of the phrase–region loss.")] = 1.0,
    removal: Annotated[
        float, typer.Option(help="Weight of the removal loss on masks in DATA.")
    ] = 0.0,
    relevance: Annotated[
        float, typer.Option(help="Weight of the relevance penalty on masks in DATA.")
    ] = 0.0,
    guidance: Annotated[
        str,
        typer.Option(help="Method whose maps guide the phrase–region loss, uniform, or true."),
    ] = "grad_eclip",
    template: Annotated[
        str, typer.Option(help="Sentence around each phrase, with {} in its place.")
    ] = "This is a photo of the {}.",
    phrases: Annotated[int, typer.Option(min=1, help="Maximum number of phrases per caption.")] = 5,
    extractor: Annotated[
        Literal["auto", "rules", "spacy"],
        typer.Option(help="Extractor of phrases; auto uses spaCy if its model is installed."),
    ] = "auto",
    fraction: Annotated[
        float, typer.Option(help="Share of the data to use, 0 to 1, drawn at random with --seed.")
    ] = 1.0,
    seed: options.Seed = 0,
    image_column: Annotated[str, typer.Option(help="Column of a table with images.")] = "image",
    caption_column: Annotated[str, typer.Option(help="Column with captions.")] = "caption",
    mask_column: Annotated[
        str, typer.Option(help="Column with masks of the pixels that the model must not use.")
    ] = "mask",
    outside: Annotated[
        bool,
        typer.Option("--outside", help="Allow a table to name files outside its folder."),
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data.")] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 500,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between log entries.")] = 1,
    resume: Annotated[
        Resume, typer.Option(help="Resume a run in --out; with [bold]never[/bold], an error.")
    ] = "auto",
    device: options.Device = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained, and exit.")
    ] = False,
) -> None:
    """See ``HELP``."""
    given: dict[str, Any] = dict(locals())
    if find_spec("accelerate") is None:
        raise OptionError("finetune needs Accelerate; install it with pip install 'whyclip[train]'")
    options.check_device(device)
    with importing():
        from whyclip.finetuning.captions import open_captions
        from whyclip.finetuning.machine import launched_device
        from whyclip.finetuning.preview import preview
        from whyclip.finetuning.settings import Settings
        from whyclip.finetuning.train import finetune as run

    named = {field.name for field in fields(Settings)}
    settings = Settings(**{key: value for key, value in given.items() if key in named})
    captions = open_captions(
        data,
        fraction=fraction,
        seed=seed,
        true_masks=guidance == "true",
        outside=outside,
        image=image_column,
        caption=caption_column,
        mask=mask_column,
    )
    view = load(model, device or launched_device())
    if dry_run:
        _show(preview(view, captions, settings), settings.batch_size * settings.accumulate)
        return
    try:
        done = run(
            view,
            captions,
            out,
            settings,
            resume=resume,
        )
    except KeyboardInterrupt as stopped:
        if _first_process():
            what = str(stopped) or "stopped at once; the last checkpoint is kept"
            note(f"{what}; the same command resumes from {str(out)!r}")
        raise
    if _first_process():
        _report(done)


def _first_process() -> bool:
    """Whether this is the process of ``accelerate launch`` that prints."""
    return os.environ.get("RANK", "0") == "0"


def _show(preview: Preview, each: int) -> None:
    console = stdout()
    share = preview.trained / max(preview.parameters, 1)
    examples = "unknown" if preview.examples is None else f"{preview.examples:,}"
    console.print(f"parameters  {preview.parameters:,}")
    console.print(f"trained     {preview.trained:,} ({share:.1%})")
    console.print(f"steps       {preview.steps:,} of {each:,} images")
    console.print(f"examples    {examples}")
    emit(asdict(preview))
    for caption, names in preview.captions:
        console.print(f"\ncaption     {escape(caption)}")
        console.print(f"phrases     {escape('; '.join(names)) or '(none)'}")


def _report(done: Finetuned) -> None:
    console = stdout()
    parts = ", ".join(f"{name} {value:.4f}" for name, value in done.losses.items())
    start = f", resumed at step {done.resumed}" if done.resumed else ""
    console.print(f"steps    {done.steps:,} in {done.seconds:.0f} s{start}")
    console.print(f"losses   {parts}")
    emit(asdict(done))
    console.print(f"skipped  {done.skipped:,} examples")
    for fault in done.faults:
        note(f"skipped {fault.number:,} examples: {fault.reason}; for example {fault.first}")
    wrote(done.folder)
