"""Every experiment.

A module here that has an ``EXPERIMENT`` is an experiment; nothing else needs to be told of it.
"""

from __future__ import annotations

from whyclip.registry import Registry, look_up
from whyclip.studies.claims import Finding
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)

__all__ = [
    "EXPERIMENTS",
    "Defaults",
    "Experiment",
    "ExperimentInput",
    "ExperimentResult",
    "Finding",
    "get_experiment",
]


EXPERIMENTS = Registry("experiment", __name__, Experiment, "EXPERIMENT")


def get_experiment(name: str) -> Experiment:
    """Look an experiment up by its name.

    Raises:
        OptionError: no such experiment; the message names the nearest.
    """
    return look_up("experiment", name, EXPERIMENTS)
