"""Every metric.

Each module with a ``METRICS`` tuple declares metrics, which are found automatically. All are pure
functions; the model is passed as a function ``score``, see
:data:`~whyclip.perturbation.perturbations.Score`.
"""

from __future__ import annotations

from whyclip.metrics.accuracy import READINGS
from whyclip.metrics.metric import Metric, Need
from whyclip.perturbation.perturbations import Perturbations, Score, stream
from whyclip.registry import Registry, look_up
from whyclip.stats.intervals import Interval, interval, paired_difference, wilson

__all__ = [
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
    """Return a metric by name.

    Raises:
        OptionError: no such metric; the message suggests the most similar name.
    """
    return look_up("metric", name, METRICS)
