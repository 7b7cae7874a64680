"""The table of words and regions, with maps of words and words of boxes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from whyclip.certificate import Certificate
from whyclip.errors import InputError, PromptError, check_count, quoted
from whyclip.explanation import Explanation, same
from whyclip.interactions.places import characters_of, sides_of
from whyclip.interactions.save import save, to_csv
from whyclip.types import INTERACTION, Box, Geometry, Word

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT = "readout"
"""How words and regions are split up, unless the user chooses."""


class Pair(NamedTuple):
    """One word and one patch.

    Attributes:
        word: the word; its ``relevance`` is the sum over its whole map.
        row: of the patch on the grid, from the top.
        column: of the patch on the grid, from the left.
        box: the patch in pixels of the original image.
        value: what the two add to the score together.
    """

    word: Word
    row: int
    column: int
    box: Box
    value: float


class WordSum(NamedTuple):
    """What one word adds to the score.

    Attributes:
        word: the word.
        regions: with all patches of the image together, the sum of its map.
        remainder: with the parts of the image's embedding that belong to no patch.
        total: both together.
    """

    word: Word
    regions: float
    remainder: float
    total: float


@dataclass(frozen=True, eq=False, repr=False)
class Interaction:
    """Which word of one prompt matches which region of one image, in amounts.

    Attributes:
        model: name of the model.
        prompt: as the user wrote it.
        words: its words in reading order; ``relevance`` is the sum over the word's map.
        matrix: ``[words, gh, gw]`` float32, signed; what each pair of a word and a patch adds to
            the score, in units of the score. The first rows and columns of ``table``.
        score: the cosine of image and prompt, −1 to 1; with opponents, less their mean cosine.
        total: the sum of all parts that the two ways of splitting up computed; everything in the
            table but what they left unattributed.
        table: ``[rows, columns]`` float32: words, then the text's remainders; patches row by row,
            then the image's remainders. Its sum is the score: to 1e-5 in fp32, and to about 1e-2
            in half precision.
        rows: names of the rows.
        columns: names of the columns.
        certificate: as for an explanation, with the completeness error as a check.
        geometry: where the grid lies on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels.
        methods: how words and regions were split up, by ``"words"`` and ``"regions"``.
        against: the prompts that this one is set against.
    """

    model: str
    prompt: str
    words: tuple[Word, ...]
    matrix: Tensor
    score: float
    total: float
    table: Tensor
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    certificate: Certificate
    geometry: Geometry
    image: Image | None = field(default=None, compare=False)
    methods: dict[str, str] = field(default_factory=dict)
    against: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Equal in everything but the image, tensors by value."""
        return same(self, other) if isinstance(other, Interaction) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.prompt, self.geometry))

    def __repr__(self) -> str:
        words, rows, columns = self.matrix.shape
        return (
            f"Interaction({self.model!r:.60}, {self.prompt!r:.60}; "
            f"{words} words × {rows}×{columns} patches, score {self.score:.3f})"
        )

    @property
    def gap(self) -> float:
        """``score − total``: what the two ways of splitting up leave unattributed."""
        return self.score - self.total

    @property
    def sums(self) -> tuple[WordSum, ...]:
        """What each word adds: with the patches, with the image's remainder, and together."""
        patches = self.matrix[0].numel()
        rest = self.table[: len(self.words), patches:].sum(1).tolist()
        return tuple(
            WordSum(word, word.relevance, other, word.relevance + other)
            for word, other in zip(self.words, rest, strict=True)
        )

    @property
    def remainders(self) -> dict[str, float]:
        """What the text's remainders add, with the whole image, by name."""
        sums = self.table.sum(1).tolist()
        return dict(zip(self.rows[len(self.words) :], sums[len(self.words) :], strict=True))

    @property
    def explanation(self) -> Explanation:
        """The same as an explanation with one map for each word, to draw, save and compare.

        Its prompts are the words, its scores all the score of the whole prompt. Figures, pages
        and terminals draw it on one scale for all words, unless ``shared_scale=False``.
        """
        return self._explained([(word.text, (index,)) for index, word in enumerate(self.words)])

    def where(self, span: str | tuple[int, int]) -> Explanation:
        """Map the words of a span of the prompt: where in the image they match.

        Args:
            span: a part of the prompt in upper or lower case, such as ``"red car"``. Its first
                occurrence as whole words counts, or else its first occurrence within words. Or
                two numbers, its first character and the one behind its last, as in
                ``prompt[start:end]``.

        Returns:
            An explanation with one map, the sum of the words' maps.

        Raises:
            PromptError: the prompt has no such part, the part has no word, or ``span`` is of
                another type.
        """
        start, end = characters_of(self.prompt, span)
        chosen = [
            index
            for index, word in enumerate(self.words)
            if word.start < end and start < word.end and start >= 0
        ]
        if not chosen:
            raise PromptError(
                f"where({quoted(span)}): no word of {quoted(self.prompt)} stands there"
            )
        first, last = self.words[chosen[0]], self.words[chosen[-1]]
        return self._explained([(self.prompt[first.start : last.end], tuple(chosen))])

    def what(self, box: tuple[float, float, float, float]) -> tuple[Word, ...]:
        """Say which words match a box, in reading order.

        Args:
            box: left, top, right and bottom in pixels of the original image.

        Returns:
            The words; ``relevance`` is what each adds together with the patches in the box, a patch
            counting by the share of it that lies inside.

        Raises:
            InputError: the box is empty, or the model saw nothing of it.
        """
        left, top, right, bottom = sides_of(box)
        grid = self._edges()
        down, across = (
            ((ends[1:].clamp(max=high) - ends[:-1].clamp(min=low)).clamp(min=0) / ends.diff())
            for ends, low, high in zip(grid, (top, left), (bottom, right), strict=True)
        )
        weights = down[:, None] * across
        if not left < right or not top < bottom or not bool(weights.any()):
            raise InputError(
                f"box {quoted(tuple(box))}: give left, top, right, bottom in pixels of the "
                f"{self.geometry.width}×{self.geometry.height} image, within what the model saw"
            )
        inside = (self.matrix * weights.to(self.matrix)).flatten(1).sum(1).tolist()
        return tuple(replace(w, relevance=s) for w, s in zip(self.words, inside, strict=True))

    def pairs(self, k: int = 10) -> tuple[Pair, ...]:
        """The k pairs of a word and a patch that add or take most, strongest first.

        Raises:
            OptionError: k is not a whole number of at least 1.
        """
        count = check_count(k)
        flat = self.matrix.flatten()
        best = flat.abs().argsort(descending=True, stable=True)[:count].tolist()
        down, across = (ends.tolist() for ends in self._edges())
        pairs = []
        for index in best:
            word, place = divmod(index, self.matrix[0].numel())
            row, column = divmod(place, self.matrix.shape[2])
            box = Box(across[column], down[row], across[column + 1], down[row + 1])
            pairs.append(Pair(self.words[word], row, column, box, float(flat[index])))
        return tuple(pairs)

    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format.

        ``.html`` is a page, ``.png``, ``.jpg``, ``.svg`` and ``.pdf`` are figures, ``.csv`` is the
        whole table with its names; ``.json``, ``.npz`` and ``.safetensors`` hold the words' maps.

        Raises:
            OutputError: another ending, or a folder that does not exist.
        """
        return save(self, path)

    def to_csv(self) -> str:
        """The table as CSV, with the names of its rows and columns."""
        return to_csv(self)

    def show(self) -> None:
        """Show one map for each word: in a notebook as a page, elsewhere in a window."""
        self.explanation.show()

    def _repr_html_(self) -> str:
        from whyclip.render.interaction import interaction_fragment

        return interaction_fragment(self)

    def _edges(self) -> tuple[Tensor, Tensor]:
        """Edges of the patches in pixels of the original image, downwards and across."""
        _, rows, columns = self.matrix.shape
        box = self.geometry.box
        return (
            torch.linspace(box.top, box.bottom, rows + 1, dtype=torch.float64),
            torch.linspace(box.left, box.right, columns + 1, dtype=torch.float64),
        )

    def _explained(self, chosen: list[tuple[str, tuple[int, ...]]]) -> Explanation:
        """One map for each text and the words by index that it stands for."""
        n, noted = len(chosen), self.certificate
        unusual = {name: way for name, way in self.methods.items() if way != DEFAULT}
        maps = torch.stack([self.matrix[list(indices)].sum(0) for _, indices in chosen])
        words = [
            (Word(text, 0, len(text), sum(self.words[index].relevance for index in indices)),)
            for text, indices in chosen
        ]
        return Explanation(
            model=self.model,
            method=INTERACTION,
            prompts=tuple(text for text, _ in chosen),
            scores=torch.full((n,), self.score),
            maps=maps,
            words=tuple(words),
            certificate=replace(
                noted,
                score_model=noted.score_model * n,
                scores={side: scores * n for side, scores in noted.scores.items()},
                diagnostics={name: values * n for name, values in noted.diagnostics.items()},
            ),
            geometry=self.geometry,
            image=self.image,
            options={"prompt": self.prompt, **unusual},
            against=self.against,
        )
