"""Explain, write and print each image of ``whyclip explain``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from whyclip.cli.given import Given
from whyclip.cli.terminal import complain, stdout, wrote
from whyclip.errors import ImageError
from whyclip.files import make_folder

if TYPE_CHECKING:
    from whyclip.attention_heads import Heads
    from whyclip.explanation import Explanation
    from whyclip.render.layout import Layout
    from whyclip.report.gallery import Gallery

STRONGEST = 5
"""Number of heads printed per prompt."""

GALLERY = "index.html"
LINKED = (".html", ".png", ".jpg", ".jpeg", ".svg", ".pdf")
"""Extensions of the files that a gallery links to."""


def each(
    given: Given,
    targets: Sequence[Sequence[Path]],
    explained: Callable[[int], Explanation],
    begin: Callable[[str], None],
    *,
    as_json: bool,
    layout: Layout | None = None,
    bundle: tuple[Path, str] | None = None,
) -> None:
    """Explain, write and print each image; continue after a broken one.

    Several images written as pages or figures also get a gallery, as ``index.html`` beside them.

    Args:
        given: the images.
        targets: the files of each image.
        explained: function that explains the image with a given index.
        begin: function called with the name of each step.
        as_json: whether to print JSON.
        layout: layout of figures.
        bundle: folder for bundles, and the command to store in them.

    Raises:
        ImageError: the only image is broken.
        typer.Exit: one of several images is broken, with exit code 2.
    """
    broken = 0
    folders = _galleries(targets) if given.many else {}
    linked = {folder: kind for folder, kind in _linked(targets).items() if folder in folders}
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
            _save(explanation, path, name, layout)
            if path.parent in folders and path.suffix.lower() == linked.get(path.parent):
                folders[path.parent].add(name, path.name, explanation)
        manifest = None if bundle is None else _bundle(explanation, given, index, bundle)
        _print(name, explanation, many=given.many, as_json=as_json)
        for path in (*paths, *([manifest] if manifest else ())):
            wrote(path)
    for folder, gallery in folders.items():
        if gallery.entries:
            wrote(gallery.save(folder / GALLERY))
    if broken:
        raise typer.Exit(2)


def print_heads(heads: Heads, *, as_json: bool) -> None:
    """Print the strongest heads of each prompt, unless JSON is printed."""
    if as_json:
        return
    for index, prompt in enumerate(heads.prompts):
        strongest = "   ".join(
            f"layer {head.layer} head {head.head} {head.value:+.3f}"
            for head in heads.top(STRONGEST, index)
        )
        stdout().print(f"{prompt}: {strongest}", highlight=False, markup=False)


def _galleries(targets: Sequence[Sequence[Path]]) -> dict[Path, Gallery]:
    """Create an empty gallery for each folder that gets pages or figures.

    A folder gets none if an image's own page has the gallery's name.
    """
    from whyclip.report.gallery import Gallery

    every = [path for paths in targets for path in paths]
    if any(path.name.lower() == GALLERY for path in every):
        return {}
    return {folder: Gallery() for folder in _linked(targets)}


def _linked(targets: Sequence[Sequence[Path]]) -> dict[Path, str]:
    """Choose the extension that each folder's gallery links to: a page if there is one."""
    kinds: dict[Path, set[str]] = {}
    for path in (path for paths in targets for path in paths):
        kinds.setdefault(path.parent, set()).add(path.suffix.lower())
    return {
        folder: next(kind for kind in LINKED if kind in known)
        for folder, known in kinds.items()
        if known & set(LINKED)
    }


def _bundle(explanation: Explanation, given: Given, index: int, bundle: tuple[Path, str]) -> Path:
    from whyclip.cli.given import places
    from whyclip.report.bundle import save_bundle

    folder, command = bundle
    if given.many:
        [[image_folder]] = [places(given, [f"{folder}/{{name}}"])[index]]
        folder = image_folder
    return save_bundle(explanation, folder, source=given.images[index], command=command)


def _save(explanation: Explanation, path: Path, name: str, layout: Layout | None) -> None:
    """Write an explanation; COCO JSON names the image's file."""
    from whyclip.coco_json import COCO, save_coco
    from whyclip.export import FIGURES

    if path.name.lower().endswith(COCO):
        save_coco(path, {Path(name).name: explanation})
    elif layout is not None and path.suffix.lower() in FIGURES:
        from whyclip.files import write_atomic
        from whyclip.render import figure_bytes
        from whyclip.render.panels import prompts_figure

        drawn = prompts_figure(explanation, layout)
        write_atomic(path, lambda: figure_bytes(drawn, path.suffix[1:].lower()))
    else:
        explanation.save(path)


def _print(name: str, explanation: Explanation, *, many: bool, as_json: bool) -> None:
    if as_json:
        from whyclip.storage import to_json

        # Only ASCII, so that it is valid JSON in any encoding of the stream.
        record = {"file": name, **to_json(explanation)}
        print(json.dumps(record, allow_nan=False), flush=True)
        return
    from whyclip.render import summary

    console = stdout()
    if many:
        console.print(name, style="bold", markup=False, highlight=False, soft_wrap=True)
    console.print(summary(explanation))
