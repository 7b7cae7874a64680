"""The result: maps, words, scores, and the certificate that says what they explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.certificate import Certificate
from whyclip.errors import OutputError
from whyclip.types import Geometry, Side, Word

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image

Prompt = str | tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why one image matched each of n prompts.

    Attributes:
        maps: ``[n, gh, gw]`` float32, signed and unnormalised relevance of each patch,
            or None when the image side was not asked for.
        words: for each prompt its words in reading order; empty where there are none.
        scores: ``[n]`` float32, the score that was explained (cosine, −1 to 1).
        geometry: where the grid lies on the original image.
        image: the original image as RGB, or None when it was not kept.
        against: what every prompt was set against; the scores are then differences.
        contrast: with ``against``, for each prompt the model's score of the prompt and its mean
            score of what the prompt is set against; empty otherwise.
        method: the method's name; ``"a + b"`` where maps and words come from two methods.
        methods: by side the method, where maps and words come from two; empty otherwise.
        notes: what to bear in mind, such as an image unlike those the model was trained on.
    """

    model: str
    method: str
    prompts: tuple[Prompt, ...]
    scores: Tensor
    maps: Tensor | None
    words: tuple[tuple[Word, ...], ...]
    certificate: Certificate
    geometry: Geometry
    image: Image | None = field(default=None, repr=False, compare=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    against: tuple[Prompt, ...] = ()
    notes: tuple[str, ...] = ()
    contrast: tuple[tuple[float, float], ...] = ()
    methods: Mapping[Side, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def labels(self) -> tuple[str, ...]:
        """One line of text for each prompt; an ensemble shows its first template."""
        return tuple(map(_label, self.prompts))

    @property
    def method_of(self) -> dict[Side, str]:
        """For each explained side the name of its method."""
        return {side: self.methods.get(side, self.method) for side in self.certificate.scores}

    @property
    def versus(self) -> str:
        """``"rather than …"`` where prompts were set against others, else an empty string."""
        return f"rather than {' or '.join(map(_label, self.against))}" if self.against else ""

    def heatmap(self, size: tuple[int, int] | None = None) -> Tensor:
        """Resample the maps onto the original image.

        Args:
            size: height and width of the result; the image's own by default.

        Returns:
            ``[n, height, width]`` float32, bilinear between patch centres, same units as
            ``maps``; NaN where the model never saw the image.

        Raises:
            OutputError: the image side was not explained.
        """
        if self.maps is None:
            raise OutputError(
                f"this explanation has sides {tuple(self.certificate.scores)} and so no map; "
                'ask for sides=("image", ...)'
            )
        return lay_on_image(self.maps, self.geometry, size)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each patch and each word (needs pandas: ``pip install whyclip[pandas]``)."""
        from whyclip.storage import to_dataframe

        return to_dataframe(self)

    def save(self, path: str | Path) -> Path:
        """Write to ``.html``, ``.png``, ``.json``, ``.npz`` or ``.safetensors``.

        The file appears whole or not at all. Returns the path written.

        Raises:
            OutputError: another ending, or a folder that does not exist.
        """
        from whyclip.storage import save

        return save(self, Path(path))

    def show(self) -> None:
        """Show the figure: in a notebook as a page, elsewhere in a window."""
        from whyclip.render import show

        show(self)

    def _repr_html_(self) -> str:
        from whyclip.render import fragment

        return fragment(self)


def lay_on_image(maps: Tensor, geometry: Geometry, size: tuple[int, int] | None = None) -> Tensor:
    """Resample maps ``[n, gh, gw]`` onto the original image; see :meth:`Explanation.heatmap`."""
    height, width = size or (geometry.height, geometry.width)
    box = geometry.box
    x = (torch.arange(width) + 0.5) * (geometry.width / width)
    y = (torch.arange(height) + 0.5) * (geometry.height / height)
    u = (x - box.left) / (box.right - box.left)
    v = (y - box.top) / (box.bottom - box.top)
    grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None] * 2 - 1
    laid = F.grid_sample(
        maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[0]
    seen = ((v >= 0) & (v <= 1))[:, None] & ((u >= 0) & (u <= 1))[None, :]
    return laid.masked_fill(~seen, float("nan"))


def _label(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    more = len(prompt) - 1
    return f"{prompt[0]} (+{more} template{'s' if more > 1 else ''})"
