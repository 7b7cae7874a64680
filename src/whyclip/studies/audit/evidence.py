"""The evidence of an audit: outputs of the model and of each method for each sample."""

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
    "inpainted",
    "absent",
]


@dataclass(frozen=True)
class Exchange:
    """A prompt of a sample with one change, and the drop of its score.

    Attributes:
        prompt: index among the sample's own prompts, followed by its probes.
        kind: kind of the change, see :class:`whyclip.scenes.wording.TextEdit`.
        words: start and end of each changed word of the original prompt.
        drop: ``S(I, T) − S(I, changed T)``.
    """

    prompt: int
    kind: str
    words: tuple[tuple[int, int], ...]
    drop: float


@dataclass
class MethodEvidence:
    """Results of one method for one sample with m prompts.

    Attributes:
        maps: ``[m, gh, gw]``; None if the method does not explain images.
        words: words of each prompt; empty if the method does not explain text.
        scores: explained score of each prompt ``[m]``, by side.
        candidate_scores: score of every candidate by the explained computation ``[c]``, by side.
        changes: differences of the explained computation from the model's, by side.
        diagnostics: measures of the method's numerical error ``[m]``, by side.
        located: localisation of each map with the mask of each of the k labels ``[m, k]``, by
            metric.
        curves: area of deletion or insertion, by name.
        shuffled: maps ``[m, t]`` or word relevance for each stage of weight shuffling, by side.
        spatial: ``[c]`` scores of the candidates, with the method's weights in place of the model's
            pooling attention.
        masses: ``[m, k]``, each map summed over the visible pixels of each label, in patches.
        beside: ``[m, k]``, the same sum over an empty region of each label's shape; NaN if there is
            no such region.
        probe_words: words of each probe.
        exchanged_heads: change of the map of each own prompt, relative to its norm, if the heads of
            the last attention layer are exchanged; by side.
        positive: ``[m, k]``, as ``masses`` but with positive relevance only.
        absent_words: words of each prompt in which ``SampleEvidence.absent`` replaces a noun.
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
    positive: Tensor | None = None
    absent_words: tuple[tuple[Word, ...], ...] = ()

    def relevance(self, side: Side) -> list[Tensor]:
        """Relevance of the patches, or of the words, for each of the m prompts."""
        if side == "image":
            return [] if self.maps is None else list(self.maps.flatten(1))
        return [relevance_of(words) for words in self.words]


def relevance_of(words: Sequence[Word]) -> Tensor:
    """Relevance of the words ``[w]``."""
    return torch.tensor([word.relevance for word in words])


@dataclass
class SampleEvidence:
    """Model outputs for one sample with m prompts: its k true prompts, then a distractor.

    Attributes:
        image_id: identifier of the image, shared with other samples of it.
        prompts: the m prompts: the true ones, then the distractor, the best other candidate.
        true_count: k, the number of true prompts.
        labels: positions of its labels among the candidates; None without labels.
        right: whether each label is among the k best candidates; None without labels.
        scores: ``[m]``, the model's scores.
        candidate_scores: ``[c]``, the model's score of every candidate.
        edited_prompt: index of the own prompt that deletion and insertion use.
        patches: ``[p]`` indices of the removed patches, row by row.
        score_drops: drop of each score for each removed patch ``[p, m]``, by type of removal.
        word_drops: drop of each prompt's score, by start and end of the removed word.
        image_drops: drop of each score if each label's object is changed ``[k, m]``, by kind of
            edit; NaN if anything else changed too.
        exchanges: changes of the own prompts, then of the probes.
        names_colour: whether each own prompt names a replaceable colour.
        absent: nouns replaced by absent classes, see :mod:`whyclip.studies.audit.absent`; their
            prompts have a separate numbering from 0.
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
    absent: tuple[Exchange, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All samples, with the methods.

    Attributes:
        stages: shuffled part at each stage; the last stage shuffles everything.
        without: reason why a need or ask is not available, by its name.
    """

    samples: tuple[SampleEvidence, ...]
    methods: Mapping[str, Method]
    stages: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)

    def of(self, method: str) -> Iterator[tuple[SampleEvidence, MethodEvidence]]:
        """Iterate over the samples with the results of one method."""
        return ((sample, sample.methods[method]) for sample in self.samples)
