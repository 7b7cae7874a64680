"""Every experiment, gathered from the files of this folder.

A module here that has an ``EXPERIMENT`` is an experiment; nothing else needs to be told of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from whyclip.errors import unknown
from whyclip.reproduce.experiment import Defaults, Experiment, Findings, Setting
from whyclip.reproduce.verdict import Verdict

__all__ = [
    "EXPERIMENTS",
    "Defaults",
    "Experiment",
    "Findings",
    "Setting",
    "Verdict",
    "get_experiment",
]


def _gather() -> Mapping[str, Experiment]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    experiments = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return MappingProxyType({experiment.name: experiment for experiment in experiments})


EXPERIMENTS: Mapping[str, Experiment] = _gather()


def get_experiment(name: str) -> Experiment:
    """Look an experiment up by its name.

    Raises:
        OptionError: no such experiment; the message names the nearest.
    """
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
