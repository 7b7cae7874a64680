"""Compare the scores of explained images with the scores of a reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.encoded_prompts import EncodedPrompts
from whyclip.errors import OptionError, quoted
from whyclip.inputs import Prompt, TextPrompt
from whyclip.match import Match, Threshold
from whyclip.matching.standing import calibrated, probability_of, standing
from whyclip.matching.store import Reference, load_reference
from whyclip.models import ModelView
from whyclip.stats.order import rank_possible
from whyclip.types import GeometryName

COMPETITORS = 5

ReferenceLike: TypeAlias = Reference | str | Path


@dataclass(frozen=True)
class ReferenceScores:
    """Scores of the reference images with the prompts, for any number of explained images.

    Attributes:
        directions: ``[n, e]`` text embeddings of the n prompts.
        others: indices of the reference prompts to compare each prompt with; None for a prompt that
            is not a string.
        images: ``[m, n]`` scores of the reference images with the prompts.
        thresholds: calibrated threshold of each prompt; None with too few images.
    """

    model: ModelView
    reference: Reference
    encoded: EncodedPrompts
    directions: Tensor
    others: tuple[Tensor | None, ...]
    images: Tensor
    thresholds: tuple[Threshold | None, ...]

    @classmethod
    def of(cls, model: ModelView, reference: Reference, encoded: EncodedPrompts) -> ReferenceScores:
        """Score the reference images with the prompts."""
        directions = encoded.targets().directions.cpu()
        scores = reference.image_rows @ directions.T
        enough = rank_possible(reference.rate, len(reference.images))
        limits = [
            calibrated(model, column, reference.rate) if enough else None for column in scores.T
        ]
        if encoded.against is not None:
            # A difference of two scores has no probability.
            limits = [None if limit is None else _without_probability(limit) for limit in limits]
        others = tuple(_others(prompt, reference.prompts) for prompt in encoded.prompts)
        return cls(model, reference, encoded, directions, others, scores, tuple(limits))

    def matches(self, embedding: Tensor) -> list[tuple[Match, ...]]:
        """Matches of all prompts with images ``[b, e]``."""
        unit = F.normalize(embedding.float(), dim=-1).cpu()
        scores = unit @ self.directions.T
        listed = unit @ self.reference.text_rows.T
        if self.encoded.against is not None:
            listed = listed - (unit @ self.encoded.against.cpu())[:, None]
        return [
            tuple(
                self._match(index, float(scores[image, index]), listed[image])
                for index in range(scores.shape[1])
            )
            for image in range(len(unit))
        ]

    def _match(self, index: int, score: float, listed: Tensor) -> Match:
        reference, other = self.reference, self.others[index]
        count = len(reference.prompts)
        among_prompts, nonsense = None, None
        competitors: tuple[tuple[str, float], ...] = ()
        if other is not None:
            scores = listed[:count][other]
            among_prompts = standing(score, scores)
            top = scores.argsort(descending=True)[:COMPETITORS]
            competitors = tuple(
                (reference.prompts[int(other[place])], float(scores[place])) for place in top
            )
            if reference.nonsense:
                best = int(listed[count:].argmax())
                nonsense = (reference.nonsense[best], float(listed[count + best]))
        difference = self.encoded.against is not None
        return Match(
            score=score,
            among_prompts=among_prompts,
            among_images=standing(score, self.images[:, index]),
            competitors=competitors,
            nonsense=nonsense,
            threshold=self.thresholds[index],
            prompt_kind=reference.prompt_kind,
            probability=None if difference else probability_of(self.model, score),
        )


def opened(given: ReferenceLike | None) -> Reference | None:
    """Return a reference, and read it from its file if given a path.

    Raises:
        OptionError: the argument is neither a reference nor a path.
        OutputError: the file is not a reference.
    """
    if given is None or isinstance(given, Reference):
        return given
    if isinstance(given, (str, os.PathLike)):
        return load_reference(os.fspath(given))
    raise OptionError(
        f"reference={quoted(given)}: give the result of whyclip.reference, or its file"
    )


def reference_scores(
    model: ModelView,
    reference: Reference | None,
    encoded: EncodedPrompts,
    geometry: GeometryName,
) -> ReferenceScores | None:
    """Prepare the comparison with a reference; None without one.

    Raises:
        OptionError: the reference has another model or geometry.
    """
    if reference is None:
        return None
    reference.check(model, geometry)
    return ReferenceScores.of(model, reference, encoded)


def _without_probability(limit: Threshold) -> Threshold:
    return Threshold(limit.score, limit.rate, limit.low, limit.high, limit.confidence, limit.n)


def _others(prompt: Prompt, listed: Sequence[str]) -> Tensor | None:
    """Indices of the reference prompts that differ from the prompt."""
    if not isinstance(prompt, TextPrompt):
        return None
    same = {_plain(text) for text in prompt.templates}
    other = [index for index, text in enumerate(listed) if _plain(text) not in same]
    return torch.tensor(other, dtype=torch.long)


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(" .!?").split())
