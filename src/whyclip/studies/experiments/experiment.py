"""The type of an experiment: a claim of a paper, and a function that measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from whyclip.options import options_of
from whyclip.progress import track

if TYPE_CHECKING:
    from whyclip.datasets import Dataset
    from whyclip.datasets.dataset import Sample
    from whyclip.models import ModelView
    from whyclip.report import Picture, Table
    from whyclip.studies.claims import Finding


@dataclass(frozen=True)
class Defaults:
    """Default number of samples, data and model of an experiment.

    Attributes:
        limit: number of samples.
        data: dataset, as ``open_dataset`` takes it.
        model: model, as ``whyclip.load`` takes it; ``""`` if the experiment trains its own model on
            generated scenes and accepts neither ``data`` nor ``model``.
    """

    limit: int
    data: str = "scenes:1000"
    model: str = "mini"

    @property
    def trains(self) -> bool:
        """Whether the experiment trains its own model."""
        return not self.model


@dataclass(frozen=True)
class ExperimentInput:
    """Input of an experiment.

    Attributes:
        model: the model; an untrained ``small_clip`` if the experiment trains its own.
        dataset: the samples, all of which are used; an experiment that trains its own model uses
            only their number.
        seed: random seed.
        data: specification of the dataset.
    """

    model: ModelView
    dataset: Dataset
    seed: int = 0
    data: str = ""

    def samples(self, what: str) -> Iterator[Sample]:
        """Iterate over the samples, with a progress bar labelled ``what``."""
        return track(self.dataset, what, len(self.dataset))


@dataclass(frozen=True)
class ExperimentResult:
    """Result of an experiment.

    Attributes:
        findings: verdicts on the claim, most important first.
        sections: tables, figures and paragraphs, in order.
        facts: facts about the run in addition to the common ones.
    """

    findings: Sequence[Finding]
    sections: Sequence[str | Table | Picture]
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Experiment:
    """One claim, and its measurement.

    Attributes:
        name: name on the command line.
        title: short title.
        claim: claim of the source, in our words.
        source: paper, equation or section.
        run: ``(setting, *, options...) -> ExperimentResult``; its keyword-only parameters are the
            experiment's options.
        defaults: default number of samples, data and model.
        cost: time on one core, for one sample of the default data with ``mini``.
        on_real_data: command for the data of the source; for an experiment that trains its own
            model, the command at full size.
    """

    name: str
    title: str
    claim: str
    source: str
    run: Callable[..., ExperimentResult]
    defaults: Defaults
    cost: str
    on_real_data: str

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Names and defaults of the experiment's options."""
        return options_of(self.run)
