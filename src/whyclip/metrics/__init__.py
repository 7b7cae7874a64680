"""Every metric, gathered from the files of this folder.

A module here that has ``METRICS`` declares metrics; nothing else needs to be told of them. All
are pure functions; the model comes in as a function ``score``, see
:data:`~whyclip.metrics.edits.Score`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from whyclip.errors import unknown
from whyclip.metrics.accuracy import READS
from whyclip.metrics.bootstrap import Interval, interval, paired_difference
from whyclip.metrics.edits import Edits, Score, stream
from whyclip.metrics.metric import Metric, Need

__all__ = [
    "METRICS",
    "READS",
    "Edits",
    "Interval",
    "Metric",
    "Need",
    "Score",
    "get_metric",
    "interval",
    "paired_difference",
    "stream",
]


def _gather() -> Mapping[str, Metric]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    metrics = [metric for module in modules for metric in getattr(module, "METRICS", ())]
    return MappingProxyType({metric.name: metric for metric in metrics})


METRICS: Mapping[str, Metric] = _gather()


def get_metric(name: str) -> Metric:
    """Look a metric up by its name.

    Raises:
        OptionError: no such metric; the message names the nearest.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
