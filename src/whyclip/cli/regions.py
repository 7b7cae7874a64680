"""``whyclip regions``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from whyclip.cli import completion, options
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, note, stdout, wrote
from whyclip.files import check_folder
from whyclip.process import importing
from whyclip.types import MaskRule

HELP = """
Measure how often a model classifies boxes and masks correctly.

Each patch of an image gets a feature from the last block without its attention. Box features are \
pooled by RoIAlign, and mask features are averaged. The prediction is the class with the largest \
cosine. The result is mAcc (mean of the per-class accuracies), top-1 and top-5, with 95 % \
intervals. This is the protocol of CLIPSelf, used in papers on fine-tuning CLIP.

The folder given by --out gets a page, tables per class, the most frequent confusions with example \
crops, and every region as CSV.

\b
[bold]Examples[/bold]
  [dim]# built-in scenes, with the embedded model: seconds[/dim]
  whyclip regions scenes:100 --template "{}"
  [dim]# the papers' table: COCO panoptic, 5,000 images of 1024 pixels[/dim]
  whyclip regions coco-panoptic:COCO --model openclip:ViT-B-16/openai --size 1024 --masks clipself
  [dim]# your own boxes: image,left,top,right,bottom,label[/dim]
  whyclip regions boxes:boxes.csv --model openclip:ViT-B-16/openai
"""

FOLDER = Path("regions")


def regions(
    data: Annotated[
        str,
        typer.Argument(
            help="coco-panoptic:FOLDER, boxes:FILE.csv, scenes:N, or any dataset with masks. "
            "See: whyclip datasets.",
            metavar="KIND:PATH",
            autocompletion=completion.datasets,
        ),
    ],
    model: options.Model = "mini",
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of the input in pixels, a multiple of the patch size. The longer side of an "
            "image is resized to it. [dim]Default: the model's own.[/dim]",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Prompt of a class with {} for its name; [bold]openai[/bold]: mean of OpenAI's 80 "
            "templates; [bold]dataset[/bold]: the dataset's own prompts. "
            "[dim]Default: openai.[/dim]",
        ),
    ] = None,
    masks: Annotated[
        MaskRule,
        typer.Option(
            help="Weights of patches under a mask. [bold]share[/bold]: share of the patch that "
            "the mask covers. [bold]clipself[/bold]: 0 or 1, as in CLIPSelf's code."
        ),
    ] = "share",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use N random images. [dim]Default: all.[/dim]"),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of images in memory at once.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = FOLDER,
    outside: options.Outside = False,
) -> None:
    """See ``HELP``."""
    check_folder(out, "--out")
    options.check_device(device)
    with importing():
        from whyclip.datasets import open_dataset
        from whyclip.regions.classes import class_prompts
        from whyclip.regions.classify import classify_regions
        from whyclip.regions.pages import to_json
        from whyclip.regions.tables import confusion_table, main_table
        from whyclip.report import command_line

    given: dict[str, Any] = {
        "--model": model,
        "--size": size,
        "--template": template,
        "--masks": None if masks == "share" else masks,
        "--limit": limit,
        "--seed": seed,
        "--out": out,
        "--outside": outside,
    }
    # The argument may contain spaces.
    command = command_line("regions", given).split(" ", 2)
    command.insert(2, shlex.quote(data))
    dataset = open_dataset(data, limit=limit, seed=seed, outside=outside)
    # Check the template before loading a large model.
    class_prompts(dataset, template)
    result = classify_regions(
        load(model, device),
        dataset,
        size=size,
        template=template,
        seed=seed,
        batch_size=batch_size,
        masks=masks,
    ).described(data=data, command=" ".join(command))
    # Save before printing, so that a closed pipe does not lose the report.
    page = result.save(out)
    stdout().print(main_table(result).to_rich())
    for kind in result.counts:
        if result.confusions(kind, 1):
            stdout().print()
            stdout().print(confusion_table(result, kind, limit=5).to_rich())
    for reason, number in sorted(result.left_out.items()):
        note(f"{number} regions are not counted: {reason}")
    if result.failed:
        first = next(iter(result.failed.values()))
        note(f"{len(result.failed)} images cannot be read and are not counted; the first: {first}")
    emit({"report": str(page), **to_json(result)})
    wrote(page)
