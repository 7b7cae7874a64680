"""What an experiment is: a claim of a paper, and a function that measures it."""

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
        model: model, as ``whyclip.load`` takes it; ``""`` if the experiment trains its own model
            on scenes that it draws itself, and so takes neither ``data`` nor ``model``.
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
    """What an experiment runs on.

    Attributes:
        model: the model; an untrained ``small_clip`` if the experiment trains its own.
        dataset: the samples, all of them to be looked at; an experiment that trains its own
            model uses their number only.
        seed: of whatever is drawn at random.
        data: how the dataset was called.
    """

    model: ModelView
    dataset: Dataset
    seed: int = 0
    data: str = ""

    def samples(self, what: str) -> Iterator[Sample]:
        """Go through the samples, with a progress bar named ``what``."""
        return track(self.dataset, what, len(self.dataset))


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        findings: what the numbers say of the claim, most important first.
        sections: tables, pictures and paragraphs, in the order of reading.
        facts: of the run, beside what every run states.
    """

    findings: Sequence[Finding]
    sections: Sequence[str | Table | Picture]
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Experiment:
    """One claim, and how it is measured.

    Attributes:
        name: on the command line.
        title: in a few words.
        claim: of the source, in our words.
        source: paper, equation or section.
        run: ``(setting, *, options...) -> ExperimentResult``; its keyword-only parameters are the
            experiment's options.
        defaults: what it runs on where nothing else is asked for.
        cost: of one core, for one sample of the default data with ``mini``.
        on_real_data: how it is called on the data of the source; of an experiment that trains its
            own model, at full size.
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
