"""Build the sprite atlas from three openly licensed emoji packages.

    python -m training.build_atlas --noto A.tgz --twemoji B.tgz --fluent C.tgz

The tarballs are the published npm packages ``emoji-datasource-google`` 16.0.0,
``emoji-datasource-twitter`` 16.0.0 and ``@lobehub/fluent-emoji-3d`` 1.1.0. The list of emoji and
their names is ``atlas/concepts.tsv`` (name, synonyms, code points; tab-separated).
Lines that begin with ``#`` are ignored. The output is one lossless PNG sheet per style and
``index.json``. If the concepts change, the model must be retrained.
"""

from __future__ import annotations

import io
import json
import tarfile
from importlib import resources
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console

from whyclip.errors import InputError

ATLAS = Path(str(resources.files("whyclip.scenes") / "art"))
SIDE = 64
COLUMNS = 32


def read_concepts(path: Path = ATLAS / "concepts.tsv") -> list[tuple[str, list[str], list[str]]]:
    """Read the concept table as (name, synonyms, code points), without lines that begin with #."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, synonyms, codes = line.split("\t")
        rows.append((name, [s for s in synonyms.split(",") if s], codes.split()))
    return rows


def fit_square(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Crop a sprite to its visible part and centre it in a transparent square of `side` pixels.

    All styles then fill the square equally, so that object sizes in scenes are comparable.
    """
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba)[..., 3] > 8
    rows, cols = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not rows.size:
        raise InputError("a sprite is fully transparent")
    rgba = rgba.crop((int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1))
    longest = max(rgba.size)
    square = Image.new("RGBA", (longest, longest))
    square.paste(rgba, ((longest - rgba.width) // 2, (longest - rgba.height) // 2))
    # Premultiplied, so that hidden colours of transparent pixels do not affect the edges.
    pixels = np.asarray(square, dtype=np.float32) / 255
    pixels = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], -1)
    planes = [
        np.asarray(Image.fromarray(pixels[..., c]).resize((side, side), Image.Resampling.LANCZOS))
        for c in range(4)
    ]
    alpha_plane = planes[3].clip(0, 1)
    colours = [(p / np.maximum(alpha_plane, 1e-3)).clip(0, 1) for p in planes[:3]]
    stacked = np.stack([*colours, alpha_plane], -1)
    stacked[alpha_plane < 4 / 255] = 0
    return Image.fromarray((stacked * 255).round().astype(np.uint8), "RGBA")


def _members(tarball: Path, folder: str) -> dict[str, bytes]:
    """Return the files of `folder` in a package by code point, without presentation selectors."""
    found = {}
    with tarfile.open(tarball) as archive:
        for member in archive:
            path = Path(member.name)
            if member.isfile() and str(path.parent) == folder:
                file = archive.extractfile(member)
                if file is not None:
                    found[path.stem.replace("-fe0f", "")] = file.read()
    return found


def build(noto: Path, twemoji: Path, fluent: Path, out: Path = ATLAS) -> dict[str, object]:
    """Write the sheets and the index into `out` and return the index."""
    styles = {
        "noto": _members(noto, "package/img/google/64"),
        "twemoji": _members(twemoji, "package/img/twitter/64"),
        "fluent": _members(fluent, "package/assets"),
    }
    concepts = read_concepts(out / "concepts.tsv")
    sprites = [(name, code) for name, _, codes in concepts for code in codes]
    rows = -(-len(sprites) // COLUMNS)
    for style, files in styles.items():
        sheet = Image.new("RGBA", (COLUMNS * SIDE, rows * SIDE))
        for index, (name, code) in enumerate(sprites):
            key = code.replace("-fe0f", "")
            if key not in files:
                raise InputError(f"{style} has no image {code} for {name!r}")
            sprite = fit_square(Image.open(io.BytesIO(files[key])))
            sheet.paste(sprite, (index % COLUMNS * SIDE, index // COLUMNS * SIDE))
        sheet.save(out / f"{style}.png", optimize=True)
    table: dict[str, object] = {
        "side": SIDE,
        "columns": COLUMNS,
        "styles": list(styles),
        "concepts": [
            {"name": name, "synonyms": synonyms, "codes": codes}
            for name, synonyms, codes in concepts
        ],
    }
    (out / "index.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return table


def main(
    noto: Annotated[Path, typer.Option(help="emoji-datasource-google tarball")],
    twemoji: Annotated[Path, typer.Option(help="emoji-datasource-twitter tarball")],
    fluent: Annotated[Path, typer.Option(help="@lobehub/fluent-emoji-3d tarball")],
) -> None:
    """Rebuild the sprite sheets from the three published packages."""
    index = build(noto, twemoji, fluent)
    concepts = index["concepts"]
    assert isinstance(concepts, list)
    Console().print(f"{len(concepts)} concepts written to {ATLAS}")


if __name__ == "__main__":
    typer.run(main)
