"""Results of a benchmark from its records: values, ranks, reliance on cues, and defaults."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyclip.stats.hierarchical import hierarchical_interval
from whyclip.stats.intervals import Interval
from whyclip.stats.verdict import Verdict
from whyclip.studies.audit.checks import get_check
from whyclip.studies.benchmark.criteria import (
    CHECKS,
    LEAST_CORRELATION,
    LEAST_RELIANCE,
    NO_RELIANCE,
)
from whyclip.studies.benchmark.influence import mean_ranks
from whyclip.studies.benchmark.record import VERSION, ModelRecord
from whyclip.studies.benchmark.reliance import ORACLE, Reliance
from whyclip.studies.control import CONTROL
from whyclip.types import SIDES, Side

RESAMPLES = 2000


@dataclass(frozen=True)
class Benchmark:
    """Results of a benchmark.

    Attributes:
        records: one record per model.
        seed: random seed of the scenes.
        seconds: duration of this run, without models that were measured before.
    """

    records: tuple[ModelRecord, ...]
    seed: int = 0
    seconds: float = 0.0

    def of_kind(self, kind: str) -> tuple[ModelRecord, ...]:
        """The models of one kind."""
        return tuple(record for record in self.records if record.kind == kind)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of models, in the order of their records."""
        return tuple(dict.fromkeys(record.kind for record in self.records))

    def checks(self, side: Side) -> tuple[str, ...]:
        """The checks that were measured on a side."""
        measured = {(o.check, o.side) for record in self.records for o in record.outcomes}
        return tuple(check for check in CHECKS if (check, side) in measured)

    def methods(self, side: Side) -> tuple[str, ...]:
        """The methods that were measured on a side."""
        outcomes = (o for record in self.records for o in record.outcomes)
        return tuple(dict.fromkeys(o.method for o in outcomes if o.side == side))

    def interval(self, check: str, method: str, side: Side, kind: str = NO_RELIANCE) -> Interval:
        """Mean of a check over the models of a kind, with its interval over models."""
        values: list[float] = []
        models: list[str] = []
        images: list[str] = []
        for record in self.of_kind(kind):
            for outcome in record.outcomes:
                if (outcome.check, outcome.method, outcome.side) == (check, method, side):
                    values += outcome.images.values()
                    images += outcome.images
                    models += [record.model] * len(outcome.images)
        interval = hierarchical_interval(values, models, images)
        # Jackknife pseudo-values can lie outside the range of the check's value.
        least, most = get_check(check).bounds
        low, high = np.clip([interval.low, interval.high], least, most).tolist()
        return interval._replace(low=low, high=high)

    def ranks(self, side: Side, kind: str = NO_RELIANCE) -> dict[str, NDArray[np.float64]]:
        """Rank of each method in every check on every model of a kind, ``[models, checks]``."""
        methods, checks = self.methods(side), self.checks(side)
        rows: dict[str, list[list[float]]] = {method: [] for method in methods}
        for record in self.of_kind(kind):
            of_check = [
                mean_ranks({method: record.value(check, method, side) for method in methods})
                for check in checks
            ]
            for method in methods:
                rows[method].append([ranks[method] for ranks in of_check])
        return {method: np.array(row) for method, row in rows.items()}

    def order(self, side: Side) -> tuple[tuple[str, float], ...]:
        """Methods with their mean rank over checks and ordinary models, best first.

        Empty without ordinary models.
        """
        if not self.of_kind(NO_RELIANCE):
            return ()
        means = {method: float(ranks.mean()) for method, ranks in self.ranks(side).items()}
        return tuple(sorted(means.items(), key=lambda item: item[1]))

    def reliances(self, cue: str, *, ordinary: bool = True) -> tuple[tuple[str, Reliance], ...]:
        """Reliance on a cue of the models trained with it and of the ordinary models."""
        kinds = (cue, NO_RELIANCE) if ordinary else (cue,)
        return tuple(
            (record.kind, record.reliance[cue])
            for record in self.records
            if record.kind in kinds and cue in record.reliance
        )

    @cached_property
    def cues(self) -> tuple[str, ...]:
        """The cues with at least one model in the benchmark."""
        return tuple(kind for kind in self.kinds if kind in self._measured_cues)

    @property
    def _measured_cues(self) -> set[str]:
        return {cue for record in self.records for cue in record.reliance}

    def follows(
        self, cue: str, method: str, *, ordinary: bool = True, share: bool = False
    ) -> Interval:
        """Correlation of the relevance on a cue with the reliance, over models and images.

        The interval resamples models within each kind, then images; its bounds contain the middle
        95 % of 2,000 draws. With few models per kind it is too short.

        Args:
            cue: name of the cue.
            method: label of the method, or ``"object_mask"``.
            ordinary: whether to include the ordinary models.
            share: whether to divide the relevance by that of the whole map.
        """
        kinds, xs, ys = [], [], []
        for kind, part in self.reliances(cue, ordinary=ordinary):
            row = (part.shares if share else part.raw).get(method)
            if row is not None:
                kinds.append(kind)
                xs.append(np.array(row))
                ys.append(np.array(part.drops))
        return correlation_over_models(xs, ys, kinds)

    def learned(self, cue: str) -> float:
        """Mean reliance on a cue of the models that were trained with it."""
        parts = self.reliances(cue, ordinary=False)
        return float(np.mean([drop for _, part in parts for drop in part.drops]))

    def verdict(self, cue: str, method: str) -> Verdict:
        """Verdict on whether a method's relevance on a cue follows the reliance."""
        interval = self.follows(cue, method)
        if math.isnan(interval.low) or self.learned(cue) < LEAST_RELIANCE:
            return "not applicable"
        if interval.low > LEAST_CORRELATION:
            return "pass"
        return "fail" if interval.high < LEAST_CORRELATION else "inconclusive"

    def explained(self, cue: str) -> tuple[str, ...]:
        """The measured methods for a cue, including the planted bad method and the baseline."""
        labels = dict.fromkeys(label for _, part in self.reliances(cue) for label in part.raw)
        last = [label for label in (ORACLE, CONTROL) if label in labels]
        return (*(label for label in labels if label not in last), *last)

    def to_json(self) -> dict[str, Any]:
        """Describe the results in plain JSON types; an interval is mean, low and high."""
        return {
            "whyclip_benchmark": VERSION,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "models": [
                {
                    "model": record.model, "kind": record.kind, "seed": record.seed,
                    "fingerprint": record.fingerprint, "facts": dict(record.facts),
                    "samples": record.samples, "seconds": round(record.seconds, 1),
                }
                for record in self.records
            ],
            "checks": [
                {
                    "kind": kind, "side": side, "check": check, "method": method,
                    "value": _bounds(self.interval(check, method, side, kind)),
                }
                for kind in self.kinds
                for side in SIDES
                for check in self.checks(side)
                for method in self.methods(side)
            ],
            "ranks": {side: dict(self.order(side)) for side in SIDES},
            "reliance": [
                {
                    "cue": cue, "method": method,
                    "correlation": _bounds(self.follows(cue, method)),
                    "shortcut_models": _bounds(self.follows(cue, method, ordinary=False)),
                    "share": _bounds(self.follows(cue, method, share=True)),
                    "verdict": self.verdict(cue, method),
                }
                for cue in self.cues
                for method in self.explained(cue)
            ],
        }  # fmt: skip

    def save(self, folder: str | Path) -> Path:
        """Write ``benchmark.json`` and the page ``index.html``; return the page.

        Raises:
            OutputError: the folder cannot be written.
        """
        from whyclip.studies.benchmark.page import write_pages

        return write_pages(self, Path(folder))


def _bounds(interval: Interval) -> list[float | None]:
    numbers = (interval.mean, interval.low, interval.high)
    return [round(value, 4) if math.isfinite(value) else None for value in numbers]


def correlation_over_models(
    xs: Sequence[NDArray[np.float64]],
    ys: Sequence[NDArray[np.float64]],
    kinds: Iterable[str],
    seed: int = 0,
) -> Interval:
    """Pearson correlation over the images of all models, with its interval over both.

    Args:
        xs: one row over images per model.
        ys: the other quantity, in the same form.
        kinds: kind of each model; models are resampled within their kind.
        seed: random seed of the draws.

    Returns:
        Bounds are NaN if there is only one model. Values that are the same for every image and
        model have correlation 0.
    """
    count = sum(map(len, xs))
    if not count or np.ptp(np.concatenate(ys)) == 0:
        return Interval(math.nan, math.nan, math.nan, 0, len(xs))
    whole = _pearson(np.concatenate(xs), np.concatenate(ys))
    if len(xs) < 2:
        return Interval(whole, math.nan, math.nan, count, len(xs))
    of_kind: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds):
        of_kind.setdefault(kind, []).append(number)
    rng = np.random.default_rng((seed, 24))
    drawn = []
    for _ in range(RESAMPLES):
        models = [int(m) for numbers in of_kind.values() for m in rng.choice(numbers, len(numbers))]
        rows = [rng.integers(0, len(xs[m]), len(xs[m])) for m in models]
        drawn.append(
            _pearson(
                np.concatenate([xs[m][row] for m, row in zip(models, rows, strict=True)]),
                np.concatenate([ys[m][row] for m, row in zip(models, rows, strict=True)]),
            )
        )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(whole, float(low), float(high), count, len(xs))


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    norm = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / norm if norm > 1e-12 else 0.0
