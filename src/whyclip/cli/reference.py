"""``whyclip reference``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyclip.cli import options
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, progress, stdout, wrote
from whyclip.errors import ImageError, OptionError
from whyclip.image_files import named_images
from whyclip.process import importing

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = """
Build a file of reference scores, to judge later whether a score is a match at all.

Embeds about 1,300 everyday nouns, or the prompts of a file, and your images. whyclip explain \
--reference FILE then compares a score with the scores of other prompts for this image, and of \
other images for this prompt. Use images like those you will explain.

\b
[bold]Examples[/bold]
  whyclip reference photos/ --out photos.npz
  whyclip explain photo.jpg "a dog" --reference photos.npz
  [dim]# your own prompts; scenes of the embedded model as images[/dim]
  whyclip reference --data scenes:200 --prompts queries.txt --out scenes.npz
"""


def reference(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images: files, folders or patterns. [dim]Default: none, only prompts.[/dim]",
            metavar="IMAGE",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write, .npz.")] = Path(
        "reference.npz"
    ),
    data: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:PLACE", help="Images of a dataset instead. See: whyclip datasets."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use N random images. [dim]Default: all.[/dim]")
    ] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="Text file with the reference prompts, one per line. [dim]Default: everyday "
            "nouns.[/dim]",
        ),
    ] = None,
    template: Annotated[str, typer.Option(help="Text around each prompt, with {} for it.")] = "{}",
    rate: Annotated[
        float,
        typer.Option(help="Rate of false matches of the calibrated thresholds, 0 to 1."),
    ] = 0.05,
    model: options.Model = "mini",
    seed: options.Seed = 0,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
) -> None:
    """See ``HELP``."""
    if images and data:
        raise OptionError(f"images {images[0]!r} and --data {data!r}: give one of them")
    prompts = options.read_prompts(prompts_file) if prompts_file else None
    files = image_list(images or ())
    with progress(3) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.matching.store import check_reference_path

        check_reference_path(out)
        options.check_device(device)
        sources: Any = _some(files, limit, seed) if files else None
        if data:
            sources = whyclip.open_dataset(data, limit=limit, seed=seed)
        begin(f"loading {model}")
        view = load(model, device)
        begin("encoding")
        built = whyclip.reference(
            view,
            sources,
            prompts,
            template=template,
            rate=rate,
            geometry=geometry,
            precision=precision,
        )
        built.save(out)
    stdout().print(
        f"{len(built.prompts):,} prompts, {len(built.images):,} images of {view.name}",
        markup=False,
        highlight=False,
    )
    emit(
        {
            "model": view.name,
            "prompts": len(built.prompts),
            "images": len(built.images),
            "files": [str(out)],
        }
    )
    wrote(out)


def image_list(given: Sequence[str]) -> list[str]:
    """List the files that arguments name, each once.

    Raises:
        ImageError: an argument matches no image.
    """
    files: list[str] = []
    for argument in given:
        named = named_images(argument)
        if named is None:
            raise ImageError(f"no image, folder or pattern of images: {argument!r}")
        files += named
    return list(dict.fromkeys(files))


def _some(files: list[str], limit: int | None, seed: int) -> list[str]:
    """Choose some of the files at random, and keep their order."""
    if limit is None or limit >= len(files):
        return files
    import numpy as np

    drawn = np.random.default_rng(seed).permutation(len(files))[:limit]
    return [files[index] for index in sorted(drawn.tolist())]
