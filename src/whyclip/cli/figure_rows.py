"""Rows of a figure: images and prompts from the command line, or from a small table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whyclip.cli.given import split
from whyclip.errors import ImageError, InputError, OptionError, PromptError

TABLES = (".csv", ".tsv")
_REQUIRED, _OPTIONAL = ("image", "prompt"), ("model", "methods")


@dataclass(frozen=True)
class FigureRow:
    """One row of a figure.

    Attributes:
        image: path of the image.
        prompt: prompt to explain.
        model: name of the row's model, or ``""`` for the command's.
        methods: methods of the row; empty for the command's.
    """

    image: str
    prompt: str
    model: str = ""
    methods: tuple[str, ...] = ()


def figure_rows(arguments: Sequence[str], more: Sequence[str] = ()) -> list[FigureRow]:
    """Read the rows of a figure.

    Args:
        arguments: one table, or images followed by prompts; each image gets each prompt.
        more: further prompts, for example from a file.

    Raises:
        InputError: the table cannot be read, an image does not exist, or there is no prompt.
        OptionError: prompts are given with a table.
    """
    if Path(arguments[0]).suffix.lower() not in TABLES:
        given = split(arguments, more)
        return [FigureRow(image, prompt) for image in given.images for prompt in given.prompts]
    if len(arguments) > 1 or more:
        extra = [*arguments[1:], *more][0]
        raise OptionError(f"{extra!r} with the table {arguments[0]!r}: give prompts in its rows")
    return read_rows(Path(arguments[0]))


def read_rows(path: Path) -> list[FigureRow]:
    """Read a table with the columns image, prompt and optionally model and methods.

    Paths of images are relative to the table. Methods are separated by spaces, commas or
    semicolons.

    Raises:
        InputError: it cannot be read, has other columns or no row, or names a missing image.
    """
    from whyclip.datasets.tables import read_table

    columns, lines = read_table(path)
    known = (*_REQUIRED, *_OPTIONAL)
    if not set(_REQUIRED) <= set(columns) or not set(columns) <= set(known):
        raise InputError(
            f"{path.name!r} has the columns {', '.join(columns) or '(none)'}; a figure's table has "
            f"{', '.join(_REQUIRED)} and optionally {', '.join(_OPTIONAL)}"
        )
    rows = []
    for line, cells in lines:
        where = f"{path.name!r}, line {line}"
        if not cells["prompt"]:
            raise PromptError(f"{where}: the prompt is empty")
        image = path.parent / cells["image"]
        if not cells["image"] or not image.is_file():
            raise ImageError(f"{where}: there is no image {str(image)!r}")
        names = tuple(filter(None, re.split(r"[\s,;]+", cells.get("methods", ""))))
        rows.append(FigureRow(str(image), cells["prompt"], cells.get("model", ""), names))
    if not rows:
        raise InputError(f"{path.name!r} has no row; write one image and prompt per line")
    return rows
