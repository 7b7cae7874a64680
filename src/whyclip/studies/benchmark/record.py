"""Measurements of a benchmark: one record per model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from whyclip.errors import OutputError
from whyclip.studies.benchmark.reliance import Reliance
from whyclip.types import Side

VERSION = 1
_DIGITS = 5


@dataclass(frozen=True)
class Outcome:
    """One check of one method on one side, for one model.

    Attributes:
        value: the check's quantity over all images; NaN if nothing could be measured.
        images: pseudo-value of each image by its name, see
            :func:`~whyclip.studies.benchmark.influence.pseudo_values`.
    """

    check: str
    method: str
    side: Side
    value: float
    images: Mapping[str, float]


@dataclass(frozen=True)
class ModelRecord:
    """All measurements of one model.

    Attributes:
        model: name of the model, for example ``"badge-1"``.
        kind: kind of its training data.
        seed: random seed of its training.
        fingerprint: fingerprint of its weights.
        facts: facts about its training, for example its recall@k.
        outcomes: outcomes of the checks.
        reliance: reliance by cue.
        samples: number of scenes.
        seconds: duration of the measurement.
    """

    model: str
    kind: str
    seed: int
    fingerprint: str
    facts: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    reliance: Mapping[str, Reliance] = field(default_factory=dict)
    samples: int = 0
    seconds: float = 0.0

    def value(self, check: str, method: str, side: Side) -> float:
        """Value of a check; NaN if it was not measured."""
        for outcome in self.outcomes:
            if (outcome.check, outcome.method, outcome.side) == (check, method, side):
                return outcome.value
        return math.nan

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON types; NaN becomes null."""
        plain = asdict(self)
        plain["reliance"] = {cue: part.to_json() for cue, part in self.reliance.items()}
        rounded: dict[str, Any] = _plain(plain)
        return rounded

    @staticmethod
    def from_json(kept: Mapping[str, Any]) -> ModelRecord:
        """Read the result of ``to_json``.

        Raises:
            OutputError: a field is missing.
        """
        try:
            outcomes = tuple(
                Outcome(
                    each["check"], each["method"], each["side"], _number(each["value"]),
                    {image: _number(value) for image, value in each["images"].items()},
                )
                for each in kept["outcomes"]
            )  # fmt: skip
            reliance = {cue: Reliance.from_json(part) for cue, part in kept["reliance"].items()}
            return ModelRecord(**{**kept, "outcomes": outcomes, "reliance": reliance})
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"not a model's record written by whyclip: {error!r:.80}") from error


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
