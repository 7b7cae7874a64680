"""Images, prompts and output files of a command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from whyclip.errors import ImageError, OutputError, PromptError
from whyclip.image_files import EXTENSIONS, named_images

if TYPE_CHECKING:
    from PIL import Image

STDIN = "-"
NAME = "{name}"


@dataclass(frozen=True)
class Given:
    """Images and prompts of a command line.

    Attributes:
        images: distinct paths; ``"-"`` is standard input.
        prompts: the prompts.
        many: whether there may be several images, so that output files are named after them.
    """

    images: tuple[str, ...]
    prompts: tuple[str, ...]
    many: bool


def split(arguments: Sequence[str], more: Sequence[str] = ()) -> Given:
    """Split arguments into images and prompts.

    Images come first: the first argument and the following ones that name a file, a folder or a
    pattern. All other arguments are prompts.

    Args:
        arguments: images and prompts.
        more: further prompts, for example from a file.

    Raises:
        ImageError: a folder or pattern without images, or a missing image.
        PromptError: a prompt that is the name of a file, or no prompt.
    """
    images: list[str] = []
    spread, at = False, 0
    for at, argument in enumerate(arguments):
        inside = _named(argument)
        if inside is None and at:
            break
        images += [argument] if inside is None else inside
        spread = spread or inside not in (None, [argument])
    else:
        at = len(arguments)
    prompts = (*arguments[at:], *more)
    for prompt in arguments[at:]:
        _check_prompt(prompt)
    if not prompts:
        raise PromptError(
            "no prompt given: write prompts in quotes after the images, such as 'a dog', or in a "
            "file for --prompts"
        )
    images = list(dict.fromkeys(images))
    return Given(tuple(images), prompts, spread or len(images) > 1)


def _named(argument: str) -> list[str] | None:
    """Return the images that an argument names; None if it names none.

    Raises:
        ImageError: a folder or a pattern without images.
    """
    if argument == STDIN or argument.startswith("file://"):
        return [argument]
    return named_images(argument)


def _check_prompt(prompt: str) -> None:
    """Reject a prompt that was most likely meant as an image.

    Raises:
        PromptError: it names a file or folder, or looks like the name of an image.
    """
    try:
        exists = bool(prompt.strip()) and Path(prompt).exists()
    except (OSError, ValueError):
        exists = False
    if exists:
        raise PromptError(
            f"prompt {prompt!r} is the name of a file: put images before the prompts, or prompts "
            "in a file for --prompts"
        )
    if Path(prompt).suffix.lower() in EXTENSIONS and not re.search(r"\s", prompt):
        raise PromptError(
            f"{prompt!r} looks like an image, but there is no such file; put a prompt of this form "
            "in a file for --prompts"
        )


def read(name: str) -> str | Image.Image:
    """Read an image of the command line.

    Returns:
        The upright RGB image. If the model's library may read the file differently, the path
        instead, so that the certificate can compare the two.

    Raises:
        ImageError: it cannot be read.
    """
    from whyclip.inputs import read_image
    from whyclip.inputs.decoding import library_image

    source = _standard_input() if name == STDIN else name
    image = read_image(source)
    return image if library_image(source) is None else source


def _standard_input() -> Image.Image:
    from PIL import Image

    if sys.stdin is None or sys.stdin.isatty():
        raise ImageError("'-' reads an image from standard input, but nothing is piped into it")
    content = sys.stdin.buffer.read()
    if not content:
        raise ImageError("standard input is empty; '-' reads an image from it")
    try:
        return Image.open(BytesIO(content))
    # Decoders may raise any exception on invalid bytes.
    except Exception as error:
        raise ImageError("standard input is not an image that Pillow can read") from error


def places(given: Given, outs: Sequence[str]) -> list[list[Path]]:
    """List the files to write for each image.

    For one image, ``--out`` names a file. For several images, it names a folder or a pattern such
    as ``out/{name}.json``, where ``{name}`` is the image's file name without its extension.

    Raises:
        OutputError: several images would be written into one file.
    """
    names = _unique([_stem(image) for image in given.images])
    files: list[list[Path]] = [[] for _ in names]
    for out in outs:
        pattern = out
        if given.many and NAME not in out:
            if not out.endswith("/") and not Path(out).is_dir() and Path(out).suffix:
                raise OutputError(
                    f"--out {out!r} is one file for {len(names)} images; name a folder, or a "
                    f"pattern such as {_pattern(out)!r}"
                )
            pattern = f"{out.rstrip('/')}/{NAME}.html"
        for name, paths in zip(names, files, strict=True):
            paths.append(Path(pattern.replace(NAME, name)))
    return files


def _pattern(out: str) -> str:
    path = Path(out)
    return str(path.with_name(f"{NAME}{path.suffix}"))


def _stem(image: str) -> str:
    return "stdin" if image == STDIN else Path(image).stem or "image"


def _unique(names: Sequence[str]) -> list[str]:
    """Number repeated names, so that they differ even if case is ignored."""
    unique: list[str] = []
    taken: set[str] = set()
    for name in names:
        numbered, number = name, 1
        while numbered.casefold() in taken:
            number += 1
            numbered = f"{name}-{number}"
        taken.add(numbered.casefold())
        unique.append(numbered)
    return unique
