"""What a benchmark measured: one record for each model, and what follows from all of them."""

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
    """One check of one method on one side, by one model.

    Attributes:
        value: the check's quantity over all images; NaN where nothing could be measured.
        images: by image, its pseudo-value, see
            :func:`~whyclip.studies.benchmark.influence.pseudo_values`.
    """

    check: str
    method: str
    side: Side
    value: float
    images: Mapping[str, float]


@dataclass(frozen=True)
class ModelRecord:
    """Everything that was measured of one model.

    Attributes:
        model: name of the model, such as ``"badge-1"``.
        kind: what it was trained on.
        seed: of its training.
        fingerprint: of its weights.
        facts: of its training, such as its recall@k.
        outcomes: of the checks.
        reliance: by cue.
        samples: number of scenes.
        seconds: duration.
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
        """A check's quantity; NaN where it was not measured."""
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
        """Read what ``to_json`` gives.

        Raises:
            OutputError: something is missing.
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
