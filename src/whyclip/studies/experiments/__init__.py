"""Every experiment.

Each module with an ``EXPERIMENT`` declares an experiment, which is found automatically.
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
    """Return an experiment by name.

    Raises:
        OptionError: no such experiment; the message suggests the most similar name.
    """
    return look_up("experiment", name, EXPERIMENTS)
