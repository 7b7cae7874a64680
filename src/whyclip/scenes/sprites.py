"""The sprite atlas: concepts, styles, and held-out pairs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from PIL import Image

from whyclip.errors import check_choice, unknown

HELD_OUT_SHARE = 0.10


@dataclass(frozen=True)
class Atlas:
    """All sprites, premultiplied, with tables from concept and style to sprite.

    Attributes:
        names: concept names, `[c]`.
        synonyms: other names of each concept, `[c]` tuples.
        styles: style names, `[s]`.
        pixels: float32 `[s, v, 4, 64, 64]` in 0..1, colours premultiplied by alpha; `v` is the
            total number of variants of all concepts.
        first: first variant of each concept, `[c]`.
        count: number of variants of each concept, `[c]`.
        held_out: bool `[c, s]`, pairs excluded from training.
    """

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    styles: tuple[str, ...]
    pixels: torch.Tensor
    first: np.ndarray
    count: np.ndarray
    held_out: np.ndarray

    def concept(self, name: str) -> int:
        """Return the index of a concept by its name or a synonym.

        Raises:
            OptionError: unknown concept; the message suggests similar names.
        """
        for index, names in enumerate(zip(self.names, self.synonyms, strict=True)):
            if name == names[0] or name in names[1]:
                return index
        raise unknown("object", name, self.names)

    def style(self, name: str) -> int:
        """Return the index of a style by its name.

        Raises:
            OptionError: unknown style.
        """
        check_choice("style", name, self.styles)
        return self.styles.index(name)


def hold_out(concepts: int, styles: int, share: float = HELD_OUT_SHARE) -> np.ndarray:
    """Choose the concept-style pairs excluded from training, bool `[concepts, styles]`.

    A concept is held out in at most one style, so that it can be learned from the others.
    """
    rng = np.random.default_rng(20)
    table = np.zeros((concepts, styles), dtype=bool)
    rows = rng.permutation(concepts)[: round(share * concepts * styles)]
    table[rows, rng.integers(0, styles, rows.size)] = True
    return table


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Read the package's sprite sheets (cached)."""
    folder = files("whyclip.scenes").joinpath("art")
    index = json.loads(folder.joinpath("index.json").read_text(encoding="utf-8"))
    side, columns = index["side"], index["columns"]
    count = np.array([len(c["codes"]) for c in index["concepts"]])
    sheets = []
    for style in index["styles"]:
        with folder.joinpath(f"{style}.png").open("rb") as file, Image.open(file) as image:
            sheet = np.asarray(image.convert("RGBA"))
        rows = sheet.shape[0] // side
        tiles = sheet.reshape(rows, side, columns, side, 4).transpose(0, 2, 4, 1, 3)
        sheets.append(tiles.reshape(-1, 4, side, side)[: count.sum()])
    pixels = torch.from_numpy(np.stack(sheets)).float().div_(255)
    pixels[:, :, :3] *= pixels[:, :, 3:]
    return Atlas(
        names=tuple(c["name"] for c in index["concepts"]),
        synonyms=tuple(tuple(c["synonyms"]) for c in index["concepts"]),
        styles=tuple(index["styles"]),
        pixels=pixels,
        first=np.concatenate([[0], count.cumsum()[:-1]]),
        count=count,
        held_out=hold_out(len(count), len(index["styles"])),
    )
