"""Files that the library's own pipeline decodes otherwise than whyclip, or does not take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms

import families
import whyclip
from lies.library import Subject, embed_image, photo
from lies.registry import Claim, lie

Write = Callable[[Path], Path]


def picture() -> Image.Image:
    """Broad areas with a little noise, so that also lossy files keep it."""
    rows, columns = np.mgrid[0:40, 0:52]
    noise = np.random.default_rng(1).integers(0, 60, (40, 52, 3))
    base = np.stack([rows * 4, columns * 3, (rows + columns) % 16 * 12], -1)
    return Image.fromarray((base + noise).clip(0, 255).astype(np.uint8))


def alpha(size: tuple[int, int]) -> Image.Image:
    grid = np.random.default_rng(2).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    return Image.fromarray(grid)


def turned(orientation: int, folder: Path) -> Path:
    file, exif = folder / "turned.jpg", Image.Exif()
    exif[0x0112] = orientation
    picture().save(file, exif=exif, quality=95)
    return file


def with_alpha(mode: str, folder: Path) -> Path:
    file, image = folder / "alpha.png", picture().convert(mode[:-1])
    image.putalpha(alpha(image.size))
    image.save(file)
    return file


def palette(transparent: bool, folder: Path) -> Path:
    file, image = folder / "palette.png", picture().quantize(32)
    image.save(file, **({"transparency": 3} if transparent else {}))
    return file


def keyed(mode: str, folder: Path) -> Path:
    """A PNG whose header names one colour as transparent."""
    file, image = folder / "keyed.png", picture().convert(mode)
    image.paste((9, 9, 9) if mode == "RGB" else 9, (0, 0, 20, 20))
    image.save(file, transparency=(9, 9, 9) if mode == "RGB" else 9)
    return file


def deep(folder: Path) -> Path:
    file = folder / "deep.png"
    values = np.random.default_rng(3).integers(0, 65536, (40, 52), dtype=np.uint16)
    Image.fromarray(values).save(file)
    return file


def deep_tiff(dtype: Any, folder: Path) -> Path:
    file = folder / "deep.tiff"
    values = np.random.default_rng(4).integers(0, 256, (40, 52)).astype(dtype)
    Image.fromarray(values / 255 if dtype == np.float32 else values).save(file)
    return file


def cmyk(profile: bool, folder: Path) -> Path:
    file, extra = folder / "cmyk.jpg", {}
    if profile:
        # Any profile in the file's header makes the difference; sRGB's own is at hand.
        extra["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture().convert("CMYK").save(file, quality=95, **extra)
    return file


def converted(mode: str, ending: str, folder: Path) -> Path:
    file = folder / f"{mode.lower()}.{ending}"
    picture().convert(mode).save(file)
    return file


def animated(folder: Path) -> Path:
    file = folder / "animated.gif"
    frames = [families.picture(52, 40).quantize(16), picture().quantize(16)]
    frames[0].save(file, save_all=True, append_images=frames[1:], transparency=2)
    return file


def webp(folder: Path) -> Path:
    file, image = folder / "alpha.webp", picture()
    image.putalpha(alpha(image.size))
    image.save(file, lossless=True)
    return file


FILES: dict[str, Write] = {
    **{f"EXIF orientation {o}": partial(turned, o) for o in range(2, 9)},
    "RGB with transparency": partial(with_alpha, "RGBA"),
    "grey with transparency": partial(with_alpha, "LA"),
    "a palette": partial(palette, False),
    "a palette with transparency": partial(palette, True),
    "a transparent colour of RGB": partial(keyed, "RGB"),
    "a transparent shade of grey": partial(keyed, "L"),
    "16 bits of grey": deep,
    "32 bits of grey": partial(deep_tiff, np.int32),
    "grey as floats": partial(deep_tiff, np.float32),
    "CMYK": partial(cmyk, False),
    "CMYK with a profile": partial(cmyk, True),
    "one bit": partial(converted, "1", "png"),
    "grey": partial(converted, "L", "png"),
    "CIELAB": partial(converted, "LAB", "tiff"),
    "an animation": animated,
    "WebP with transparency": webp,
}


def read(family: str, write: Write, folder: Path) -> Iterator[Claim]:
    """By path, and as the image that the user opened."""
    subject, file = Subject(family), write(folder)
    yield subject.claim(file)
    with Image.open(file) as opened:
        opened.load()
        explained = whyclip.explain(subject.view, opened, subject.prompts)
    yield Claim(explained, subject.library(file))


for _what, _write in FILES.items():
    lie(f"file/openclip, {_what}")(partial(read, "openclip", _write))
for _what in (
    "EXIF orientation 6", "RGB with transparency", "16 bits of grey", "one bit", "grey", "a palette"
):  # fmt: skip
    lie(f"file/transformers, {_what}")(partial(read, "hf", FILES[_what]))
    lie(f"file/SigLIP, {_what}")(partial(read, "siglip", FILES[_what]))
lie("file/a classifier, EXIF orientation 3")(
    partial(read, "classifier", FILES["EXIF orientation 3"])
)


def as_prompt(write: Write, against: bool, folder: Path) -> Claim:
    """An image as the prompt: the library decodes this file in its own way, too."""
    subject, file, prompt = Subject(), photo(folder), write(folder)

    def embed(name: Path) -> torch.Tensor:
        with torch.no_grad(), Image.open(name) as image:
            return F.normalize(embed_image(subject.model, subject.preprocess(image)[None]), dim=-1)

    try:
        library = float(embed(file) @ embed(prompt).T)
    except Exception:  # noqa: BLE001 - the library does not take this file
        return Claim(whyclip.explain(subject.view, file, [prompt]), None)
    if not against:
        return Claim(whyclip.explain(subject.view, file, [prompt]), (library,))
    [score] = subject.library(file, ["a dog"]) or (0.0,)
    explained = whyclip.explain(subject.view, file, ["a dog"], against=[prompt])
    return Claim(explained, (score - library,))


for _what in ("EXIF orientation 6", "RGB with transparency", "16 bits of grey", "one bit"):
    lie(f"image prompt/{_what}")(partial(as_prompt, FILES[_what], False))
lie("image prompt/against one with EXIF orientation 6")(
    partial(as_prompt, FILES["EXIF orientation 6"], True)
)
