"""Result of an interaction: a table of words and patches, with maps and sums."""

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
"""Default decomposition of words and of regions."""


class Pair(NamedTuple):
    """One word and one patch.

    Attributes:
        word: the word; its ``relevance`` is the sum over its whole map.
        row: row of the patch on the grid, from the top.
        column: column of the patch on the grid, from the left.
        box: the patch in pixels of the original image.
        value: contribution of the pair to the score.
    """

    word: Word
    row: int
    column: int
    box: Box
    value: float


class WordSum(NamedTuple):
    """Contribution of one word to the score.

    Attributes:
        word: the word.
        regions: contribution with all patches of the image, the sum of its map.
        remainder: contribution with the parts of the image's embedding that belong to no patch.
        total: sum of both.
    """

    word: Word
    regions: float
    remainder: float
    total: float


@dataclass(frozen=True, eq=False, repr=False)
class Interaction:
    """Word–region relevance of one prompt and one image.

    Attributes:
        model: name of the model.
        prompt: the prompt as the user wrote it.
        words: its words in reading order; ``relevance`` is the sum over the word's map.
        matrix: ``[words, gh, gw]`` float32, signed contribution of each word–patch pair to the
            score. It equals the word rows and patch columns of ``table``.
        score: the cosine of image and prompt, −1 to 1; with contrast prompts, their mean cosine
            is subtracted.
        total: the sum of the table without its unattributed parts.
        table: ``[rows, columns]`` float32: words, then the text's remainders; patches row by row,
            then the image's remainders. Its sum is the score, to 1e-5 in fp32 and to about 1e-2 in
            half precision.
        rows: names of the rows.
        columns: names of the columns.
        certificate: as in an explanation, with the completeness error as a diagnostic.
        geometry: position of the patch grid on the original image.
        image: the original image as RGB, reduced to at most 1400 pixels.
        methods: decompositions, with keys ``"words"`` and ``"regions"``.
        against: contrast prompts.
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
        """Compare everything except the image, tensors by value."""
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
        """``score − total``, the unattributed part of the score."""
        return self.score - self.total

    @property
    def sums(self) -> tuple[WordSum, ...]:
        """Contribution of each word: with the patches, with the image's remainder, and in total."""
        patches = self.matrix[0].numel()
        rest = self.table[: len(self.words), patches:].sum(1).tolist()
        return tuple(
            WordSum(word, word.relevance, other, word.relevance + other)
            for word, other in zip(self.words, rest, strict=True)
        )

    @property
    def remainders(self) -> dict[str, float]:
        """Contributions of the text's remainders with the whole image, by name."""
        sums = self.table.sum(1).tolist()
        return dict(zip(self.rows[len(self.words) :], sums[len(self.words) :], strict=True))

    @property
    def explanation(self) -> Explanation:
        """Convert to an explanation with one map for each word, to draw, save and compare.

        Its prompts are the words, and each score is the score of the whole prompt. All words share
        one colour scale, unless ``shared_scale=False``.
        """
        return self._explained([(word.text, (index,)) for index, word in enumerate(self.words)])

    def where(self, span: str | tuple[int, int]) -> Explanation:
        """Map a span of the prompt to the image.

        Args:
            span: a part of the prompt in upper or lower case, such as ``"red car"``: its first
                occurrence as whole words, or else within words. Or start and end, as in
                ``prompt[start:end]``.

        Returns:
            An explanation with one map, the sum of the words' maps.

        Raises:
            PromptError: the prompt has no such part, the part has no word, or ``span`` has another
                type.
        """
        start, end = characters_of(self.prompt, span)
        chosen = [
            index
            for index, word in enumerate(self.words)
            if word.start < end and start < word.end and start >= 0
        ]
        if not chosen:
            raise PromptError(f"where({quoted(span)}): no word of {quoted(self.prompt)} is there")
        first, last = self.words[chosen[0]], self.words[chosen[-1]]
        return self._explained([(self.prompt[first.start : last.end], tuple(chosen))])

    def what(self, box: tuple[float, float, float, float]) -> tuple[Word, ...]:
        """Return the contribution of each word within a box, in reading order.

        Args:
            box: left, top, right and bottom in pixels of the original image.

        Returns:
            The words; ``relevance`` is the sum over the patches in the box, each weighted by its
            share inside the box.

        Raises:
            InputError: the box is empty, or lies outside the model's input.
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
                f"{self.geometry.width}×{self.geometry.height} image, within the model's crop"
            )
        inside = (self.matrix * weights.to(self.matrix)).flatten(1).sum(1).tolist()
        return tuple(replace(w, relevance=s) for w, s in zip(self.words, inside, strict=True))

    def pairs(self, k: int = 10) -> tuple[Pair, ...]:
        """Return the k word–patch pairs with the largest absolute contributions, strongest first.

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
        whole table with its names; ``.json``, ``.npz`` and ``.safetensors`` contain the words'
        maps.

        Raises:
            OutputError: unknown extension, or a folder that does not exist.
        """
        return save(self, path)

    def to_csv(self) -> str:
        """Return the table as CSV, with the names of its rows and columns."""
        return to_csv(self)

    def show(self) -> None:
        """Show one map for each word, as a page in a notebook or in a window elsewhere."""
        self.explanation.show()

    def _repr_html_(self) -> str:
        from whyclip.render.interaction import interaction_fragment

        return interaction_fragment(self)

    def _edges(self) -> tuple[Tensor, Tensor]:
        """Return row and column edges of the patches, in pixels of the original image."""
        _, rows, columns = self.matrix.shape
        box = self.geometry.box
        return (
            torch.linspace(box.top, box.bottom, rows + 1, dtype=torch.float64),
            torch.linspace(box.left, box.right, columns + 1, dtype=torch.float64),
        )

    def _explained(self, chosen: list[tuple[str, tuple[int, ...]]]) -> Explanation:
        """Build one map for each string, the sum over its words (given by index)."""
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
