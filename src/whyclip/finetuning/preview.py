"""What a run would train, without training anything."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from whyclip.finetuning.batch import Example, make_batch
from whyclip.finetuning.feed import Data
from whyclip.finetuning.parameters import counts, module_of, prepared
from whyclip.finetuning.settings import Settings
from whyclip.finetuning.train import extractor_of, length_of, objective_of
from whyclip.model import ModelView


@dataclass(frozen=True)
class Preview:
    """What a run would train.

    Attributes:
        parameters: number of parameters, without adapters.
        trained: number of trained parameters, with adapters.
        steps: number of optimiser steps.
        examples: number of examples; None if the data does not give it.
        captions: the first captions with their phrases.
    """

    parameters: int
    trained: int
    steps: int
    examples: int | None
    captions: tuple[tuple[str, tuple[str, ...]], ...]


def preview(view: ModelView, data: Data, settings: Settings, captions: int = 3) -> Preview:
    """Check model, data and settings, and describe the run. Nothing is written.

    Args:
        view: the model.
        data: captioned images.
        settings: of the run.
        captions: number of captions to show.

    Raises:
        WhyclipError: as :func:`whyclip.finetuning.train.finetune` raises it before it trains.
    """
    _, parameters = counts(module_of(view))
    extract = extractor_of(settings)
    objective_of(view, settings)
    with prepared(view, settings) as module:
        trained, _ = counts(module)
    items = data.epoch(0, seed=settings.seed)
    examples = list(islice((item for item in items if isinstance(item, Example)), captions))
    if examples:
        make_batch(
            view, examples, extract=extract, template=settings.template, limit=settings.phrases
        )
    size = length_of(data)
    shown = tuple(
        (e.caption, tuple((extract(e.caption) if e.phrases is None else e.phrases))[: settings.phrases])
        for e in examples
    )
    return Preview(parameters, trained, settings.total(size), size, shown)
