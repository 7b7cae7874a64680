"""The result: maps, words, scores, and the certificate that says what they explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from whyclip.audit_index import AuditLink, Audits
from whyclip.certificate import Certificate
from whyclip.errors import OutputError
from whyclip.methods import METHODS
from whyclip.resample import Interpolation, resample_to_image
from whyclip.types import Geometry, Side, Word

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image

Prompt = str | tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why one image matched each of n prompts.

    Attributes:
        maps: ``[n, gh, gw]`` float32, signed and unnormalised relevance of each patch,
            or None when the image side was not asked for.
        words: for each prompt its words in reading order; empty where there are none.
        scores: ``[n]`` float32, the score that was explained (cosine, −1 to 1).
        geometry: where the grid lies on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels, or None when it was
            not kept; ``geometry`` has the width and height of the original.
        against: what every prompt was set against; the scores are then differences.
        contrast: with ``against``, for each prompt the model's score of the prompt and its mean
            score of what the prompt is set against; empty otherwise.
        method: the method's name; ``"a + b"`` where maps and words come from two methods.
        methods: by side the method, where maps and words come from two; empty otherwise.
        notes: what to bear in mind, such as an image unlike those the model was trained on.
        audits: finds the last audit of the model; see :attr:`audit`.
    """

    model: str
    method: str
    prompts: tuple[Prompt, ...]
    scores: Tensor
    maps: Tensor | None
    words: tuple[tuple[Word, ...], ...]
    certificate: Certificate
    geometry: Geometry
    image: Image | None = field(default=None, compare=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    against: tuple[Prompt, ...] = ()
    notes: tuple[str, ...] = ()
    contrast: tuple[tuple[float, float], ...] = ()
    methods: Mapping[Side, str] = field(default_factory=dict)
    audits: Audits = field(default_factory=Audits, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int | slice) -> Explanation:
        """The explanation of one prompt, or of a slice of the prompts."""
        at = range(len(self))[index]
        chosen = list(at) if isinstance(at, range) else [at]
        return replace(
            self,
            prompts=_pick(self.prompts, chosen),
            scores=self.scores[chosen],
            maps=None if self.maps is None else self.maps[chosen],
            words=_pick(self.words, chosen),
            certificate=self.certificate.of(chosen),
            contrast=_pick(self.contrast, chosen) if self.contrast else (),
        )

    def __iter__(self) -> Iterator[Explanation]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Equal in everything but the image, tensors by value."""
        if not isinstance(other, Explanation):
            return NotImplemented
        return same(self, other)

    def __hash__(self) -> int:
        return hash((self.model, self.method, self.prompts, self.geometry))

    def __repr__(self) -> str:
        maps = "no maps" if self.maps is None else "maps {}×{}×{}".format(*self.maps.shape)
        prompts = ", ".join(f"{label!r:.40}" for label in self.labels[:3])
        more = f", … ({len(self)} prompts)" if len(self) > 3 else ""
        return (
            f"Explanation({self.model!r:.60}, {self.method!r:.60}, prompts: {prompts}{more}; "
            f"{maps}, {sum(map(len, self.words))} words)"
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """One line of text for each prompt; an ensemble shows its first template."""
        return tuple(map(_label, self.prompts))

    @property
    def method_of(self) -> dict[Side, str]:
        """For each explained side the name of its method."""
        return {side: self.methods.get(side, self.method) for side in self.certificate.scores}

    @property
    def audit(self) -> AuditLink | None:
        """What the last audit of this model found for this method, or None.

        Each access reads the cache; pages, files and terminal output do so too. A loaded
        explanation returns what its file says.
        """
        variants: dict[Side, tuple[str, Mapping[str, Any]]] = {}
        for side, name in self.method_of.items():
            # Methods that differ by side are the default ones, with their default options.
            default = bool(self.methods) and name in METHODS
            variants[side] = (name, METHODS[name].options if default else self.options)
        return self.audits.find(variants)

    @property
    def versus(self) -> str:
        """``"rather than …"`` where prompts were set against others, else an empty string."""
        return f"rather than {' or '.join(map(_label, self.against))}" if self.against else ""

    def heatmap(
        self, size: tuple[int, int] | None = None, *, interpolation: Interpolation = "catmull-rom"
    ) -> Tensor:
        """Resample the maps onto the original image.

        Args:
            size: height and width of the result; the size of the original image by default.
            interpolation: ``"catmull-rom"``, as the figures are drawn: cubic, equal to ``maps``
                at patch centres, and clamped to the range of the four nearest patches, so that no
                sign and no peak is added; ``"nearest"``, each pixel has the value of its patch;
                ``"bilinear"``, as the metrics and the audit measure.

        Returns:
            ``[n, height, width]`` float32, same units as ``maps``; NaN where the image was
            cropped away.

        Raises:
            OutputError: the image side was not explained.
            OptionError: the interpolation is unknown.
        """
        if self.maps is None:
            raise OutputError(
                f"this explanation has sides {tuple(self.certificate.scores)} and so no map; "
                'ask for sides=("image", ...)'
            )
        return resample_to_image(self.maps, self.geometry, size, interpolation)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each patch and each word (needs pandas: ``pip install whyclip[pandas]``)."""
        from whyclip.storage import to_dataframe

        return to_dataframe(self)

    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format.

        ``.html`` is a page, ``.png``, ``.jpg``, ``.svg`` and ``.pdf`` are figures, ``.json``,
        ``.npz`` and ``.safetensors`` hold numbers.

        The file appears whole or not at all. Returns the path written.

        Raises:
            OutputError: another ending, or a folder that does not exist.
        """
        from whyclip.export import save

        return save(self, path)

    def show(self) -> None:
        """Show the figure: in a notebook as a page, elsewhere in a window."""
        from whyclip.render import show

        show(self)

    def _repr_html_(self) -> str:
        from whyclip.render import fragment

        return fragment(self)


def same(one: Any, other: Any) -> bool:
    """Compare two results of one class field by field, tensors by kind, shape and numbers."""

    def equal(a: object, b: object) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.dtype == b.dtype and torch.equal(a, b)
        return bool(a == b)

    return one is other or all(
        equal(getattr(one, part.name), getattr(other, part.name))
        for part in fields(one)
        if part.compare
    )


def _pick(values: Sequence[T], chosen: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[index] for index in chosen)


def _label(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    more = len(prompt) - 1
    return f"{prompt[0]} (+{more} template{'s' if more > 1 else ''})"
