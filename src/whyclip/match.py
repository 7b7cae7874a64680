"""Position of a score among reference scores, as numbers and as a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Evidence = Literal["strong", "moderate", "weak", "no"]

# Minimum percentiles among prompts and among images for each strength, strongest first.
LEVELS: tuple[tuple[Evidence, float, float], ...] = (
    ("strong", 99.0, 95.0),
    ("moderate", 95.0, 80.0),
    ("weak", 80.0, 50.0),
)


@dataclass(frozen=True)
class Standing:
    """Position of a score among n reference scores.

    Attributes:
        percentile: share of the reference scores below it, in per cent; equal ones count half.
        z: distance from their mean in standard deviations; None if all are equal.
        n: number of reference scores.
        mean: their mean.
        std: their standard deviation (divided by n).
    """

    percentile: float
    z: float | None
    n: int
    mean: float
    std: float


@dataclass(frozen=True)
class Threshold:
    """A score above which an image counts as a match, with the rate of false matches.

    Attributes:
        score: the threshold; an image matches if its score is greater.
        rate: expected rate of images like the reference's that exceed it, 0 to 1.
        low: lower bound of the true rate.
        high: upper bound of the true rate.
        confidence: probability that the interval contains the true rate, 0 to 1.
        n: number of reference images.
        probability: the same threshold as a probability of a match; None unless the model was
            trained with a sigmoid loss.
    """

    score: float
    rate: float
    low: float
    high: float
    confidence: float
    n: int
    probability: float | None = None


@dataclass(frozen=True)
class Match:
    """How unusual the score of one image and one prompt is.

    Attributes:
        score: the model's score of image and prompt, a cosine.
        among_prompts: position among the scores of this image with many prompts; None if the prompt
            is not text or there are no reference prompts.
        among_images: position among the scores of many images with this prompt; None without
            reference images.
        competitors: reference prompts that score highest for this image, with their scores.
        nonsense: nonsense string that scores highest for this image, with its score.
        threshold: calibrated threshold of this prompt; None if there are too few images.
        prompt_kind: name of the reference prompts in sentences, such as "everyday words".
        probability: probability of a match; None unless the model was trained with a sigmoid
            loss.
    """

    score: float
    among_prompts: Standing | None
    among_images: Standing | None
    competitors: tuple[tuple[str, float], ...] = ()
    nonsense: tuple[str, float] | None = None
    threshold: Threshold | None = None
    prompt_kind: str = "prompts"
    probability: float | None = None

    @property
    def evidence(self) -> Evidence:
        """Strength of the evidence: ``"strong"``, ``"moderate"``, ``"weak"`` or ``"no"``.

        Strong evidence needs percentile 99 among prompts and 95 among images; moderate 95 and 80;
        weak 80 and 50. Percentile p also needs at least ``100 / (100 − p)`` reference scores, such
        as 100 for percentile 99. A direction without reference scores is ignored; without both,
        there is no evidence. A prompt that scores no higher than a nonsense string has no evidence.
        """
        if self.nonsense is not None and self.score <= self.nonsense[1]:
            return "no"
        if self.among_prompts is None and self.among_images is None:
            return "no"
        for level, prompts, images in LEVELS:
            pairs = ((self.among_prompts, prompts), (self.among_images, images))
            if all(place is None or _reaches(place, least) for place, least in pairs):
                return level
        return "no"

    @property
    def sentence(self) -> str:
        """Positions in both directions and strength of the evidence, as one sentence."""
        parts = []
        if self.among_prompts is not None:
            parts.append(_place(self.among_prompts, f"{self.prompt_kind} for this image"))
        if self.among_images is not None:
            images = f"reference image{'s' * (self.among_images.n != 1)} for this prompt"
            parts.append(_place(self.among_images, images))
        if self.nonsense is not None and self.score <= self.nonsense[1]:
            parts.append(f"no higher than the nonsense prompt {self.nonsense[0]!r}")
        if not parts:
            parts.append("no reference prompt or image to compare with")
        return f"{'; '.join(parts)}: {self.evidence} evidence of a match"

    @property
    def verdict(self) -> str:
        """Score compared with the calibrated threshold, as a sentence; empty without one."""
        limit = self.threshold
        if limit is None:
            return ""
        side = "above" if self.score > limit.score else "not above"
        return (
            f"{side} {limit.score:.3f}, which {share(limit.rate)} of images like the reference's "
            f"exceed ({100 * limit.confidence:g} % interval: {share(limit.low)} to "
            f"{share(limit.high)})"
        )


def share(rate: float) -> str:
    """Write a rate as a percentage with two significant digits.

    Example:
        >>> share(0.0526), share(0.5)
        ('5.3 %', '50 %')
    """
    percent = 100 * rate
    digits = 0 if percent >= 10 or percent == 0 else 1 - math.floor(math.log10(percent))
    return f"{percent:.{min(digits, 4)}f} %"


def _reaches(standing: Standing, least: float) -> bool:
    """Whether a position reaches a percentile, with enough reference scores for it."""
    return standing.percentile >= least and standing.n * (100 - least) >= 100


def _place(standing: Standing, among: str) -> str:
    higher = standing.percentile >= 50
    percent = standing.percentile if higher else 100 - standing.percentile
    # Truncate instead of rounding to 100 % if some scores are higher.
    shown = percent if percent >= 100 else min(math.floor(percent * 10 + 0.5) / 10, 99.9)
    word = "higher" if higher else "lower"
    return f"{word} than {shown:g} % of {standing.n:,} {among}"


def match_to_json(match: Match) -> dict[str, Any]:
    """Describe a match in plain JSON types, with its sentences."""
    return {
        **asdict(match),
        "competitors": [list(pair) for pair in match.competitors],
        "nonsense": None if match.nonsense is None else list(match.nonsense),
        "evidence": match.evidence,
        "sentence": match.sentence,
        "verdict": match.verdict,
    }


def match_of(record: Mapping[str, Any]) -> Match:
    """Rebuild a match from :func:`match_to_json`'s description.

    Raises:
        LookupError, TypeError, ValueError: a part is missing or has another type.
    """
    prompts, images = record["among_prompts"], record["among_images"]
    limit, nonsense = record["threshold"], record["nonsense"]
    return Match(
        score=float(record["score"]),
        among_prompts=None if prompts is None else Standing(**prompts),
        among_images=None if images is None else Standing(**images),
        competitors=tuple((str(text), float(score)) for text, score in record["competitors"]),
        nonsense=None if nonsense is None else (str(nonsense[0]), float(nonsense[1])),
        threshold=None if limit is None else Threshold(**limit),
        prompt_kind=str(record["prompt_kind"]),
        probability=record["probability"],
    )
