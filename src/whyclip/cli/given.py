"""Which images and prompts a command line names, and where the results of each image go."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from whyclip.errors import ImageError, OutputError, PromptError

if TYPE_CHECKING:
    from PIL import Image

STDIN = "-"
NAME = "{name}"
EXTENSIONS = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".tga"),
    )
)


@dataclass(frozen=True)
class Given:
    """What stands on the command line.

    Attributes:
        images: paths, or ``"-"`` for standard input, each once.
        prompts: the prompts.
        many: whether results are to be kept apart by the images' names, because there are several
            images, or a folder or pattern that may give several.
    """

    images: tuple[str, ...]
    prompts: tuple[str, ...]
    many: bool


def split(arguments: Sequence[str], more: Sequence[str] = ()) -> Given:
    """Split arguments into images and prompts.

    Images come first: the first argument, and those after it that name a file, a folder or files
    by a pattern. The first that does not is the first prompt, and all after it are prompts.

    Args:
        arguments: images and prompts.
        more: prompts from elsewhere, such as a file.

    Raises:
        ImageError: a folder or pattern without images, or an image that is not there.
        PromptError: a prompt that is the name of a file, or no prompt at all.
    """
    images: list[str] = []
    spread, at = False, 0
    for at, argument in enumerate(arguments):
        found = _named(argument)
        if found is None and at:
            break
        images += [argument] if found is None else found
        spread = spread or found not in (None, [argument])
    else:
        at = len(arguments)
    prompts = (*arguments[at:], *more)
    for prompt in arguments[at:]:
        _encoded(prompt)
    if not prompts:
        raise PromptError(
            "no prompt given: write prompts in quotes after the images, such as 'a dog', or in a "
            "file for --prompts"
        )
    images = list(dict.fromkeys(images))
    return Given(tuple(images), prompts, spread or len(images) > 1)


def _named(argument: str) -> list[str] | None:
    """Images that an argument names; None if it does not look like any that are there.

    Raises:
        ImageError: it is a folder or a pattern, but there are no images.
    """
    if argument == STDIN or argument.startswith("file://"):
        return [argument]
    try:
        path = Path(argument)
        if path.is_dir():
            return _images(sorted(map(str, path.iterdir())), f"folder {argument!r}")
        if path.is_file():
            return [argument]
        if not glob.has_magic(argument):
            return None
        matching = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  patterns may be absolute
    # A name that is too long, a null byte, a folder that may not be entered.
    except ImageError:
        raise
    except (OSError, ValueError, re.error):
        return None
    files = [name for name in matching if Path(name).is_file()]
    return _images(files, f"pattern {argument!r}") if files else None


def _images(names: Sequence[str], where: str) -> list[str]:
    found = [name for name in names if Path(name).suffix.lower() in EXTENSIONS]
    if not found:
        raise ImageError(f"{where} has no images; known extensions are .png, .jpg, .webp and more")
    return found


def _encoded(prompt: str) -> None:
    """Refuse a prompt that was most likely meant as an image.

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
        The image, upright and in RGB. Where the library's own pipeline may read the file
        differently, what was given instead, so that the certificate can compare the two.

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
    # Whatever a decoder raises on bytes that are no image.
    except Exception as error:
        raise ImageError("standard input is not an image that Pillow can read") from error


def places(given: Given, outs: Sequence[str]) -> list[list[Path]]:
    """Files to write for each image.

    For one image, ``--out`` names a file. For several it names a folder, or a pattern such as
    ``out/{name}.json`` in which ``{name}`` stands for the image's file name without its extension.

    Raises:
        OutputError: several images would be written into one file.
    """
    names = _unique([_stem(image) for image in given.images])
    found: list[list[Path]] = [[] for _ in names]
    for out in outs:
        pattern = out
        if given.many and NAME not in out:
            if not out.endswith("/") and not Path(out).is_dir() and Path(out).suffix:
                raise OutputError(
                    f"--out {out!r} is one file for {len(names)} images; name a folder, or a "
                    f"pattern such as {_pattern(out)!r}"
                )
            pattern = f"{out.rstrip('/')}/{NAME}.html"
        for name, paths in zip(names, found, strict=True):
            paths.append(Path(pattern.replace(NAME, name)))
    return found


def _pattern(out: str) -> str:
    path = Path(out)
    return str(path.with_name(f"{NAME}{path.suffix}"))


def _stem(image: str) -> str:
    return "stdin" if image == STDIN else Path(image).stem or "image"


def _unique(names: Sequence[str]) -> list[str]:
    """Number names that occur before, so that each is another, also where case is ignored."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        one, number = name, 1
        while one.casefold() in taken:
            number += 1
            one = f"{name}-{number}"
        taken.add(one.casefold())
        found.append(one)
    return found
