"""Measurements of one sample, in memory and on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from whyclip.errors import OutputError
from whyclip.metrics import Metric
from whyclip.studies.evaluation.prompts import ExplainedPrompt

# (method, metric, read): `read` is empty for metrics that do not use the model's output.
Key = tuple[str, str, str]


@dataclass
class PromptRecord:
    """One (image, prompt) pair with the value of every metric for every method, and the curves.

    ``curves`` has the scores of a metric with curve at each key, ``amounts`` the x values of each
    metric's curve.
    """

    subject: ExplainedPrompt
    values: dict[Key, float] = field(default_factory=dict)
    curves: dict[Key, list[float]] = field(default_factory=dict)
    amounts: dict[str, list[float]] = field(default_factory=dict)

    def put_curve(
        self, metric: Metric, method: str, read: str, amounts: Tensor, scores: Tensor
    ) -> None:
        """Store a curve, linearly interpolated to the metric's number of points."""
        x = amounts.double().numpy()
        y = scores.double().numpy()
        if len(x) != metric.curve_points:
            at = np.linspace(x[0], x[-1], metric.curve_points)
            x, y = at, np.interp(at, x, y)
        self.amounts[metric.name] = [round(float(v), 6) for v in x]
        self.curves[method, metric.name, read] = [round(float(v), 6) for v in y]


@dataclass
class CaseRecord:
    """One sample.

    Attributes:
        number: number of the sample in the whole dataset, independent of the drawn subset.
        sample: id of the sample.
        image: identifier of its image; rows of one image are not independent.
        strange: whether the image is out of distribution for the model.
        seconds: time since the previous sample was finished.
        key: key of the sample when it was measured; a changed sample is measured again.
        error: error of a failed sample; the next run tries it again.
    """

    number: int
    sample: str
    image: str
    strange: bool
    measured: list[PromptRecord]
    seconds: float = 0.0
    key: str = ""
    error: str = ""

    def sort(self, keys: Sequence[Key]) -> None:
        """Bring values and curves into this order."""
        for prompt in self.measured:
            prompt.values = {key: prompt.values[key] for key in keys if key in prompt.values}
            prompt.curves = {key: prompt.curves[key] for key in keys if key in prompt.curves}

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON types; NaN becomes None."""
        return {
            "number": self.number,
            "key": self.key,
            "error": self.error,
            "sample": self.sample,
            "image": self.image,
            "strange": self.strange,
            "seconds": self.seconds,
            "subjects": [
                {
                    **asdict(prompt.subject),
                    "values": [
                        [*key, None if math.isnan(v) else v] for key, v in prompt.values.items()
                    ],
                    "curves": [[*key, points] for key, points in prompt.curves.items()],
                    "amounts": prompt.amounts,
                }
                for prompt in self.measured
            ],
        }


def record_from_json(content: Mapping[str, Any]) -> CaseRecord:
    """Read the result of :meth:`CaseRecord.to_json`.

    Raises:
        OutputError: a field is missing.
    """
    try:
        return CaseRecord(
            content["number"],
            content["sample"],
            content["image"],
            content["strange"],
            [_measured(prompt) for prompt in content["subjects"]],
            content["seconds"],
            content["key"],
            content["error"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"a record of an evaluation lacks {error}") from None


def _measured(content: Mapping[str, Any]) -> PromptRecord:
    named = {name: content[name] for name in ExplainedPrompt.__dataclass_fields__}
    return PromptRecord(
        ExplainedPrompt(**named),
        {_key(row): math.nan if row[3] is None else float(row[3]) for row in content["values"]},
        {_key(row): list(row[3]) for row in content["curves"]},
        dict(content["amounts"]),
    )


def _key(row: Sequence[Any]) -> Key:
    method, metric, read = row[:3]
    return method, metric, read
