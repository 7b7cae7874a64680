"""A table of layer × head for each prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from whyclip.certificate import Certificate
from whyclip.errors import InputError, check_count, quoted
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
        layer: index of the layer, from 0.
        head: index of the head, from 0.
        value: its contribution to the score.
    """

    layer: int
    head: int
    value: float


@dataclass(frozen=True, eq=False, repr=False)
class Heads:
    """Contribution of each head of each layer to the scores of one image.

    Attributes:
        model: name of the model.
        prompts: the prompts as the user wrote them.
        scores: ``[n]`` cosines, or differences of cosines.
        table: ``[n, layers, heads]`` float32, signed contribution of each head, summed over tokens.
        maps: ``[n, layers, heads, gh, gw]`` contributions of each patch.
        first_layer: layer of the first row; not 0 if only a pooling head is included.
        paths: ``"direct"`` or ``"readout"``.
        certificate: as in an explanation.
        geometry: position of the patch grid on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels.
        against: contrast prompts.
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
        """Compare everything except the image, tensors by value."""
        return same(self, other) if isinstance(other, Heads) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.prompts, self.paths))

    def __repr__(self) -> str:
        n, layers, count = self.table.shape
        return f"Heads({self.model!r:.60}; {n} prompts × {layers} layers × {count} heads)"

    def top(self, k: int = 5, prompt: int = 0) -> tuple[Head, ...]:
        """Return the k heads with the largest absolute contributions, strongest first.

        Args:
            k: number of heads.
            prompt: index of the prompt.

        Raises:
            InputError: k is not a whole number of at least 1, or there is no such prompt.
        """
        most = check_count(k)
        n = len(self.table)
        whole = isinstance(prompt, Integral) and not isinstance(prompt, bool)
        if not whole or not -n <= prompt < n:
            raise InputError(f"prompt={quoted(prompt)}: give the index of a prompt, 0 to {n - 1}")
        flat = self.table[prompt].flatten()
        best = flat.abs().argsort(descending=True, stable=True)[:most].tolist()
        count = self.table.shape[2]
        return tuple(
            Head(self.first_layer + place // count, place % count, float(flat[place]))
            for place in best
        )

    def explanation(self, k: int = 5, prompt: int = 0) -> Explanation:
        """Return the maps of the strongest heads as an explanation, on one scale."""
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
            OutputError: unknown extension, or a folder that does not exist.
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
        """Return the table as CSV, one row for each prompt, layer and head."""
        lines = ["prompt,layer,head,value\n"]
        for index, layers in enumerate(self.table.tolist()):
            for layer, row in enumerate(layers, self.first_layer):
                lines += [f"{index},{layer},{head},{value:.9g}\n" for head, value in enumerate(row)]
        return "".join(lines)

    def _repr_html_(self) -> str:
        from whyclip.render.heads import heads_fragment

        return heads_fragment(self)
