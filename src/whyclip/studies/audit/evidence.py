"""What an audit looks at: for each sample what the model says, and what each method says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from whyclip.methods import Method
from whyclip.types import Side, Word

Ask = Literal[
    "patches",
    "words",
    "curves",
    "shuffled",
    "spatial",
    "heads",
    "removed",
    "recoloured",
    "exchanges",
]


@dataclass(frozen=True)
class Exchange:
    """A prompt of a sample with one change, and how far the score falls by it.

    Attributes:
        prompt: which of the sample's own prompts, or, from their number on, of its probes.
        kind: what was changed, see :class:`whyclip.scenes.wording.TextEdit`.
        words: start and end of each changed word of the original prompt.
        drop: ``S(I, T) − S(I, changed T)``.
    """

    prompt: int
    kind: str
    words: tuple[tuple[int, int], ...]
    drop: float


@dataclass
class MethodEvidence:
    """What one method says of one sample, asked m prompts.

    Attributes:
        maps: ``[m, gh, gw]``; None where the method does not read images.
        words: for each prompt its words; empty where it does not read texts.
        scores: by side ``[m]``, the score that was explained for each prompt.
        candidate_scores: by side ``[c]``, the score of every candidate by the computation that was
            explained.
        changes: by side, in what that computation differs from the model's.
        diagnostics: by side, figures ``[m]`` of how exact the method was.
        located: by metric ``[m, k]``, each map against the mask of each of the k labels.
        curves: by name, the area of deletion or insertion.
        shuffled: by side, for each stage of the shuffling the maps ``[m, t]`` or words' values.
        spatial: ``[c]`` scores of the candidates, with the method's own weights in the model's
            readout.
        masses: ``[m, k]``, each map summed over the visible pixels of each label, in patches.
        beside: ``[m, k]``, the same over a place of each label's shape where nothing is drawn; NaN
            where there is no room.
        probe_words: for each probe its words.
        exchanged_heads: by side, for each own prompt how far its map changes, relative to its norm,
            if the heads of the last attention are exchanged.
    """

    maps: Tensor | None = None
    words: tuple[tuple[Word, ...], ...] = ()
    scores: dict[Side, Tensor] = field(default_factory=dict)
    candidate_scores: dict[Side, Tensor] = field(default_factory=dict)
    changes: dict[Side, tuple[str, ...]] = field(default_factory=dict)
    diagnostics: dict[Side, Mapping[str, Tensor]] = field(default_factory=dict)
    located: dict[str, Tensor] = field(default_factory=dict)
    curves: dict[str, float] = field(default_factory=dict)
    shuffled: dict[Side, list[list[Tensor]]] = field(default_factory=dict)
    spatial: Tensor | None = None
    masses: Tensor | None = None
    beside: Tensor | None = None
    probe_words: tuple[tuple[Word, ...], ...] = ()
    exchanged_heads: dict[Side, list[float]] = field(default_factory=dict)

    def relevance(self, side: Side) -> list[Tensor]:
        """Relevance of the patches, or of the words, for each of the m prompts."""
        if side == "image":
            return [] if self.maps is None else list(self.maps.flatten(1))
        return [relevance_of(words) for words in self.words]


def relevance_of(words: Sequence[Word]) -> Tensor:
    """The words' values ``[w]``."""
    return torch.tensor([word.relevance for word in words])


@dataclass
class SampleEvidence:
    """What the model says of one sample, for m prompts: its k true ones, then a distractor.

    Attributes:
        image_id: what it has in common with other samples of its image.
        prompts: the m prompts: the true ones, then the distractor, the best other candidate.
        true_count: k, the number of true prompts.
        labels: positions of its labels among the candidates; None without labels.
        right: for each label whether the model puts it among its k best; None without labels.
        scores: ``[m]``, the model's own.
        candidate_scores: ``[c]``, the model's own score of every candidate.
        edited_prompt: which of the own prompts deletion and insertion are about.
        patches: ``[p]`` which patches were removed, in reading order.
        score_drops: by way of removal ``[p, m]``, how far each score fell.
        word_drops: for each prompt, by start and end of the word, how far its score fell.
        image_drops: by kind of edit ``[k, m]``, how far each score falls if each label's object is
            changed; NaN where more than that object changed.
        exchanges: changes of the own prompts, then of the probes.
        names_colour: for each own prompt whether it names a colour that can be exchanged.
    """

    image_id: str
    prompts: tuple[str, ...]
    true_count: int
    labels: tuple[int, ...] | None
    right: tuple[bool, ...] | None
    scores: Tensor
    candidate_scores: Tensor
    edited_prompt: int = 0
    patches: Tensor | None = None
    score_drops: dict[str, Tensor] = field(default_factory=dict)
    word_drops: tuple[Mapping[tuple[int, int], float], ...] = ()
    methods: dict[str, MethodEvidence] = field(default_factory=dict)
    image_drops: dict[str, Tensor] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()
    names_colour: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All samples, and what the methods claim.

    Attributes:
        stages: what was shuffled at each stage, the last one everything.
        without: by need or ask, why it could not be had.
    """

    samples: tuple[SampleEvidence, ...]
    methods: Mapping[str, Method]
    stages: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)

    def of(self, method: str) -> Iterator[tuple[SampleEvidence, MethodEvidence]]:
        """Go through the samples with what one method says of each."""
        return ((sample, sample.methods[method]) for sample in self.samples)
