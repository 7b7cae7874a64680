"""Measured values of an evaluation by prompt, method and metric, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whyclip.errors import OptionError, OutputError, unknown
from whyclip.metrics import Interval, Metric, get_metric, interval, paired_difference
from whyclip.stats.intervals import differences, p_value, share_interval
from whyclip.studies.evaluation.case_record import CaseRecord, Key
from whyclip.studies.evaluation.prompts import ExplainedPrompt
from whyclip.studies.evaluation.setup import Setup

if TYPE_CHECKING:
    import pandas

Values = NDArray[np.float64]

_SHARES = {"top1", "top5", "top10"}
"""Readings that are shares of right predictions."""


class Row(NamedTuple):
    """One value of one metric.

    ``read`` is the name of the model output (``"top1"``, ``"score"`` ...), empty for a metric that
    does not use the model. For the other fields see
    :class:`~whyclip.studies.evaluation.prompts.ExplainedPrompt`.
    """

    sample: str
    image: str
    label: str
    prompt: str
    predicted: str
    correct: bool
    method: str
    metric: str
    read: str
    value: float


class Curve(NamedTuple):
    """A mean curve with amounts ``[m]`` and scores ``[m]``."""

    amounts: Values
    scores: Values


@dataclass(frozen=True)
class EvaluationRecord:
    """All measurements, as plain data.

    Attributes:
        setup: methods, metrics and options.
        records: one record per measured sample, in the order of the dataset.
        facts: facts about the run: model, dataset, samples, seed, versions, seconds.
        command: command that repeats the evaluation; empty from Python.
        failed: one record with its ``error`` per sample that could not be measured.
    """

    setup: Setup
    records: tuple[CaseRecord, ...]
    facts: Mapping[str, str]
    command: str = ""
    failed: tuple[CaseRecord, ...] = ()

    @property
    def failures(self) -> str:
        """Number of failed samples with the first error; empty if none failed."""
        if not self.failed:
            return ""
        first, total = self.failed[0], len(self.failed) + len(self.records)
        return (
            f"{len(self.failed)} of {total} samples failed; first: {first.sample!r:.80}: "
            f"{first.error}"
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, including the random baseline."""
        return self.setup.names

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that were measured."""
        return self.setup.metrics

    @cached_property
    def subjects(self) -> tuple[ExplainedPrompt, ...]:
        """The explained prompts: one per label of each sample (or prediction, see ``prompt``)."""
        return tuple(one.subject for record in self.records for one in record.measured)

    @cached_property
    def images(self) -> NDArray[np.str_]:
        """Image identifier of each prompt, for resampling."""
        return np.array([r.image for r in self.records for _ in r.measured], dtype=np.str_)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the model is correct, for each prompt."""
        return np.array([subject.correct for subject in self.subjects], dtype=bool)

    @cached_property
    def accuracy(self) -> Interval:
        """Share of prompts for which the model is correct."""
        return share_interval(self.correct.astype(float), groups=self.images)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every value, one per row."""
        return tuple(self.iterate())

    def iterate(self) -> Iterator[Row]:
        """Iterate over all values."""
        for record in self.records:
            for one in record.measured:
                s = one.subject
                for (method, metric, read), value in one.values.items():
                    yield Row(
                        record.sample, record.image, s.label, s.prompt, s.predicted, s.correct,
                        method, metric, read, value,
                    )  # fmt: skip

    def values(
        self,
        method: str,
        metric: str,
        read: str | None = None,
        *,
        correct: bool | None = None,
    ) -> Values:
        """The values of one metric for one method, one per prompt, NaN if undefined.

        Args:
            method: label of a variant.
            metric: name of a metric.
            read: name of the model output; default: the first reading of the metric.
            correct: True for only the prompts for which the model is correct, False for the others.

        Raises:
            OptionError: these values were not measured.
        """
        key = self._key(method, metric, read)
        values = np.array(
            [one.values.get(key, np.nan) for record in self.records for one in record.measured],
            dtype=np.float64,
        )
        return values[self._where(correct)]

    def interval(
        self, method: str, metric: str, read: str | None = None, *, correct: bool | None = None
    ) -> Interval:
        """Mean of :meth:`values` with its 95 % interval over images, 0 to 1 for shares."""
        groups = self.images[self._where(correct)]
        values = self.values(method, metric, read, correct=correct)
        share = "mask" in get_metric(metric).needs or self._key(method, metric, read)[2] in _SHARES
        limits = (0.0, 1.0) if share else None
        return interval(values, groups=groups, limits=limits, seed=self.setup.seed)

    def difference(
        self,
        method: str,
        other: str,
        metric: str,
        read: str | None = None,
        *,
        correct: bool | None = None,
    ) -> Interval:
        """Mean of one method's values minus another's on the same prompts, with its interval."""
        return paired_difference(
            self.values(method, metric, read, correct=correct),
            self.values(other, metric, read, correct=correct),
            groups=self.images[self._where(correct)],
            seed=self.setup.seed,
        )

    def p_value(self, method: str, other: str, metric: str, read: str | None = None) -> float:
        """P value of a zero :meth:`difference`, not adjusted for other comparisons."""
        return p_value(
            differences(self.values(method, metric, read), self.values(other, metric, read)),
            groups=self.images,
            seed=self.setup.seed,
        )

    def curve(self, method: str, metric: str, read: str | None = None) -> Curve:
        """The mean curve of a metric, for example deletion.

        Raises:
            OptionError: the metric was not measured, or has no curve.
        """
        key = self._key(method, metric, read)
        with_it = [one for r in self.records for one in r.measured if key in one.curves]
        if not with_it:
            raise OptionError(f"metric {metric!r} has no curve for method {method!r}")
        amounts = np.array([one.amounts[metric] for one in with_it]).mean(0)
        return Curve(amounts, np.array([one.curves[key] for one in with_it]).mean(0))

    def reads(self, method: str, metric: Metric) -> Sequence[str]:
        """The readings measured for a method; empty if it does not explain the metric's side."""
        [variant] = [one for one in self.setup.methods if one.label == method]
        return (metric.readings or ("",)) if metric in self.setup.measured(variant) else ()

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one row per value (needs pandas: ``pip install 'whyclip[pandas]'``).

        Raises:
            OutputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise OutputError("to_dataframe needs pandas: pip install 'whyclip[pandas]'") from None
        return pandas.DataFrame.from_records(list(self.iterate()), columns=Row._fields)

    def _where(self, correct: bool | None) -> Any:
        return slice(None) if correct is None else self.correct == correct

    def _key(self, method: str, metric: str, read: str | None) -> Key:
        if method not in self.methods:
            raise unknown("method of this evaluation", method, self.methods)
        names = [one.name for one in self.metrics]
        if metric not in names:
            raise unknown("metric of this evaluation", metric, names)
        reads = get_metric(metric).readings or ("",)
        if read is not None and read not in reads:
            raise unknown(f"reading of {metric}", read, reads)
        return method, metric, reads[0] if read is None else read
