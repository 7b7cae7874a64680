"""A table of layer × head for each prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from whyclip.certificate import Certificate
from whyclip.errors import InputError
from whyclip.explanation import Explanation, same
from whyclip.files import write_atomic
from whyclip.types import Geometry

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from whyclip.explanation import Prompt

TABLE = ".csv"
METHOD = "attention heads"


class Head(NamedTuple):
    """One head.

    Attributes:
        layer: from 0.
        head: from 0.
        value: what it adds to the score.
    """

    layer: int
    head: int
    value: float


@dataclass(frozen=True, eq=False, repr=False)
class Heads:
    """What each head of each layer adds to the scores of one image.

    Attributes:
        model: name of the model.
        prompts: as the user wrote them.
        scores: ``[n]`` cosines, or differences of cosines.
        table: ``[n, layers, heads]`` float32, signed; what each head adds, by all its tokens.
        maps: ``[n, layers, heads, gh, gw]`` the same by each patch.
        first_layer: the layer of the first row; not 0 where only a pooling head is read.
        paths: ``"direct"`` or ``"readout"``.
        certificate: as for an explanation.
        geometry: where the grid lies on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels.
        against: the prompts that these are set against.
    """

    model: str
    prompts: tuple[Prompt, ...]
    scores: Tensor
    table: Tensor
    maps: Tensor
    first_layer: int
    paths: str
    certificate: Certificate
    geometry: Geometry
    image: Image | None = field(default=None, compare=False)
    against: tuple[Prompt, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Equal in everything but the image, tensors by value."""
        return same(self, other) if isinstance(other, Heads) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.prompts, self.paths))

    def __repr__(self) -> str:
        n, layers, count = self.table.shape
        return f"Heads({self.model!r:.60}; {n} prompts × {layers} layers × {count} heads)"

    def top(self, k: int = 5, prompt: int = 0) -> tuple[Head, ...]:
        """The k heads that add or take most, strongest first.

        Args:
            k: how many.
            prompt: index of the prompt.

        Raises:
            InputError: k is less than 1, or there is no such prompt.
        """
        if k < 1 or not -len(self.table) <= prompt < len(self.table):
            raise InputError(
                f"top({k}, {prompt}): give at least 1 and a prompt from 0 to {len(self.table) - 1}"
            )
        flat = self.table[prompt].flatten()
        best = flat.abs().argsort(descending=True, stable=True)[:k].tolist()
        count = self.table.shape[2]
        return tuple(
            Head(self.first_layer + place // count, place % count, float(flat[place]))
            for place in best
        )

    def explanation(self, k: int = 5, prompt: int = 0) -> Explanation:
        """The maps of the strongest heads, to draw, save and compare; on one scale."""
        best = self.top(k, prompt)
        count = len(best)
        names = tuple(f"layer {head.layer}, head {head.head}" for head in best)
        maps = [self.maps[prompt, head.layer - self.first_layer, head.head] for head in best]
        return Explanation(
            model=self.model,
            method=METHOD,
            prompts=names,
            scores=torch.tensor([head.value for head in best]),
            maps=torch.stack(maps),
            words=((),) * count,
            certificate=self.certificate.of([prompt] * count),
            geometry=self.geometry,
            image=self.image,
            options={"prompt": str(self.prompts[prompt]), "paths": self.paths},
            against=self.against,
        )

    def figure(self) -> Figure:
        """Draw a table of layer × head for each prompt, all on one scale."""
        from whyclip.render.heads import heads_figure

        return heads_figure(self)

    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format.

        ``.png``, ``.jpg``, ``.svg`` and ``.pdf`` are figures of the table, ``.csv`` is the table,
        ``.html`` is a page with the table and the maps of the strongest heads.

        Raises:
            OutputError: another ending, or a folder that does not exist.
        """
        from whyclip.export import FIGURES, check_path
        from whyclip.render import figure_bytes
        from whyclip.render.heads import heads_page

        path = check_path(path, (".html", *FIGURES, TABLE))
        ending = path.suffix.lower()
        if ending == TABLE:
            write_atomic(path, self.to_csv().encode)
        elif ending == ".html":
            write_atomic(path, lambda: heads_page(self).encode())
        else:
            write_atomic(path, lambda: figure_bytes(self.figure(), ending[1:]))
        return path

    def to_csv(self) -> str:
        """The table as CSV: one row for each prompt, layer and head."""
        lines = ["prompt,layer,head,value\n"]
        for index, layers in enumerate(self.table.tolist()):
            for layer, row in enumerate(layers, self.first_layer):
                lines += [f"{index},{layer},{head},{value:.9g}\n" for head, value in enumerate(row)]
        return "".join(lines)

    def _repr_html_(self) -> str:
        from whyclip.render.heads import heads_fragment

        return heads_fragment(self)
