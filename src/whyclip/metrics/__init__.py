"""Every metric.

A module here that has ``METRICS`` declares metrics; nothing else needs to be told of them. All
are pure functions; the model comes in as a function ``score``, see
:data:`~whyclip.perturbation.perturbations.Score`.
"""

from __future__ import annotations

from whyclip.metrics.accuracy import READINGS
from whyclip.metrics.metric import Metric, Need
from whyclip.perturbation.perturbations import Perturbations, Score, stream
from whyclip.registry import Registry, look_up
from whyclip.stats.intervals import FEWEST, Interval, interval, paired_difference, wilson

__all__ = [
    "FEWEST",
    "METRICS",
    "READINGS",
    "Interval",
    "Metric",
    "Need",
    "Perturbations",
    "Score",
    "get_metric",
    "interval",
    "paired_difference",
    "stream",
    "wilson",
]


METRICS = Registry("metric", __name__, Metric, "METRICS", group="whyclip.metrics")


def get_metric(name: str) -> Metric:
    """Look a metric up by its name.

    Raises:
        OptionError: no such metric; the message names the nearest.
    """
    return look_up("metric", name, METRICS)
