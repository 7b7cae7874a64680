"""The result: maps, words, scores and certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import torch
from torch import Tensor

from whyclip.areas import above, areas, check_share, peaks
from whyclip.audit_index import AuditLink, Audits
from whyclip.certificate import Certificate
from whyclip.errors import OutputError, check_count
from whyclip.match import Match
from whyclip.methods import METHODS
from whyclip.resample import Interpolation, resample_to_image
from whyclip.types import Box, Geometry, Point, Side, Word

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
            or None without the image side.
        words: for each prompt, its words in reading order; may be empty.
        scores: ``[n]`` float32, explained scores (cosine, −1 to 1).
        geometry: position of the patch grid on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels, or None if it was
            not kept; ``geometry`` has the width and height of the original.
        against: contrast prompts; the scores are then differences.
        contrast: with ``against``, for each prompt the model's score of the prompt and the mean
            score of the contrast prompts; empty otherwise.
        method: the method's name; ``"a + b"`` if maps and words come from two methods.
        methods: the method of each side, if maps and words come from two methods; empty otherwise.
        notes: warnings, such as an image unlike the model's training images.
        matches: for each prompt how unusual its score is; empty without a reference.
        audits: looks up the last audit of the model; see :attr:`audit`.
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
    matches: tuple[Match, ...] = ()
    audits: Audits = field(default_factory=Audits, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int | slice | Sequence[int]) -> Explanation:
        """Return the explanation of one prompt, of a slice of the prompts, or of a list of them."""
        every = range(len(self))
        if isinstance(index, slice):
            chosen = list(every[index])
        else:
            chosen = [every[i] for i in ([index] if isinstance(index, SupportsIndex) else index)]
        return replace(
            self,
            prompts=_pick(self.prompts, chosen),
            scores=self.scores[chosen],
            maps=None if self.maps is None else self.maps[chosen],
            words=_pick(self.words, chosen),
            certificate=self.certificate.of(chosen),
            contrast=_pick(self.contrast, chosen) if self.contrast else (),
            matches=_pick(self.matches, chosen) if self.matches else (),
        )

    def __iter__(self) -> Iterator[Explanation]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare everything except the image, tensors by value."""
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
        """For each explained side, the name of its method."""
        return {side: self.methods.get(side, self.method) for side in self.certificate.scores}

    @property
    def audit(self) -> AuditLink | None:
        """The last audit of this model and method, or None.

        Each access reads the cache, including when pages, files or terminal output are written. A
        loaded explanation returns the audit in its file.
        """
        variants: dict[Side, tuple[str, Mapping[str, Any]]] = {}
        for side, name in self.method_of.items():
            # If methods differ by side, they are the defaults with default options.
            default = bool(self.methods) and name in METHODS
            variants[side] = (name, METHODS[name].options if default else self.options)
        return self.audits.find(variants)

    @property
    def versus(self) -> str:
        """``"rather than …"`` with contrast prompts, else an empty string."""
        return f"rather than {' or '.join(map(_label, self.against))}" if self.against else ""

    def heatmap(
        self, size: tuple[int, int] | None = None, *, interpolation: Interpolation = "catmull-rom"
    ) -> Tensor:
        """Resample the maps onto the original image.

        Args:
            size: height and width of the result; the size of the original image by default.
            interpolation: ``"catmull-rom"``, as in figures: cubic, equal to ``maps`` at patch
                centres, and clamped to the range of the four nearest patches, so that it adds no
                sign change and no peak; ``"nearest"``, the value of the patch; ``"bilinear"``, as
                in metrics and audit.

        Returns:
            ``[n, height, width]`` float32, same units as ``maps``; NaN where the image was
            cropped away.

        Raises:
            OutputError: the image side was not explained.
            OptionError: the interpolation is unknown.
        """
        return resample_to_image(self._required_maps(), self.geometry, size, interpolation)

    def _required_maps(self) -> Tensor:
        if self.maps is None:
            raise OutputError(
                f"this explanation has no map, only sides {tuple(self.certificate.scores)}; "
                'explain with sides=("image",)'
            )
        return self.maps

    def mask(self, threshold: float = 0.5) -> Tensor:
        """Mark where each map is at least a share of its largest value.

        Args:
            threshold: share of the largest value of :meth:`heatmap`, above 0 and at most 1.

        Returns:
            Bool ``[n, height, width]`` in pixels of the original image; False where the image was
            cropped away, and everywhere if a map has no positive value.

        Raises:
            OutputError: the image side was not explained.
            OptionError: the threshold is out of its range.
        """
        share = check_share(threshold)
        return torch.stack([torch.from_numpy(above(h.numpy(), share)) for h in self.heatmap()])

    def boxes(self, threshold: float = 0.5) -> tuple[tuple[Box, ...], ...]:
        """Bound the connected areas of :meth:`mask` by boxes.

        Args:
            threshold: as for :meth:`mask`.

        Returns:
            For each prompt, its boxes in pixels of the original image, with right and bottom
            exclusive; the area with the largest sum of heat comes first. Diagonal neighbours are
            connected.

        Raises:
            OutputError: the image side was not explained.
            OptionError: the threshold is out of its range.
        """
        share = check_share(threshold)
        return tuple(tuple(area.box for area in areas(h.numpy(), share)) for h in self.heatmap())

    def points(self, k: int = 1) -> tuple[tuple[Point, ...], ...]:
        """Find the strongest local maxima of each map, for use as prompts of a segmenter.

        Args:
            k: largest number of points of each map.

        Returns:
            For each prompt, centres of patches in pixels of the original image, with their
            relevance, strongest first; none if a map has no positive value.

        Raises:
            OutputError: the image side was not explained.
            OptionError: k is below 1.
        """
        count = check_count(k)
        return tuple(peaks(values, self.geometry, count) for values in self._required_maps())

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per patch and per word (needs pandas: ``pip install 'whyclip[pandas]'``)."""
        from whyclip.storage import to_dataframe

        return to_dataframe(self)

    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format.

        ``.html`` is a page, ``.png``, ``.jpg``, ``.svg`` and ``.pdf`` are figures, ``.json``,
        ``.npz`` and ``.safetensors`` hold numbers. ``.coco.json`` holds boxes and masks at half
        of each map's peak for annotation tools; :func:`whyclip.save_coco` has more options.

        The file is written atomically. Returns its path.

        Raises:
            OutputError: unknown extension, or a folder that does not exist.
        """
        from whyclip.export import save

        return save(self, path)

    def show(self) -> None:
        """Show the explanation as a page in a notebook, or in a window elsewhere."""
        from whyclip.render import show

        show(self)

    def _repr_html_(self) -> str:
        from whyclip.render import fragment

        return fragment(self)


def same(result: Any, other: Any) -> bool:
    """Compare two results of one class field by field, tensors by type, shape and values."""

    def equal(a: object, b: object) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.dtype == b.dtype and torch.equal(a, b)
        return bool(a == b)

    return result is other or all(
        equal(getattr(result, part.name), getattr(other, part.name))
        for part in fields(result)
        if part.compare
    )


def _pick(values: Sequence[T], chosen: Sequence[int]) -> tuple[T, ...]:
    return tuple(values[index] for index in chosen)


def _label(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    more = len(prompt) - 1
    return f"{prompt[0]} (+{more} template{'s' if more > 1 else ''})"
