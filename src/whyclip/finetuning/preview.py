"""Description of a run, without training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import CaptionData
from whyclip.finetuning.loader import Loader
from whyclip.finetuning.machine import check_precision
from whyclip.finetuning.parameters import counts, module_of, prepared
from whyclip.finetuning.phrases import phrase_extractor
from whyclip.finetuning.settings import Settings
from whyclip.finetuning.train import check_marked, objective_of, preparing
from whyclip.models import ModelView


@dataclass(frozen=True)
class Preview:
    """Description of a run.

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


def preview(view: ModelView, data: CaptionData, settings: Settings, captions: int = 3) -> Preview:
    """Check model, data and settings, and describe the run. Nothing is written.

    Args:
        view: the model.
        data: captioned images.
        settings: of the run.
        captions: number of captions to show.

    Raises:
        WhyclipError: as :func:`whyclip.finetuning.train.finetune` before training.
    """
    _, parameters = counts(module_of(view))
    check_marked(data, settings)
    check_precision(settings, view.image.device)
    extract = phrase_extractor(settings.extractor, settings.phrases)
    objective_of(view, settings)
    with prepared(view, settings) as module:
        trained, _ = counts(module)
    # It also raises an error for data smaller than a batch.
    Loader(data, settings.batch_size, seed=settings.seed, prepare=preparing(view, settings))
    items = data.epoch(0, seed=settings.seed)
    examples = list(islice((item for item in items if isinstance(item, Example)), captions))
    if examples:
        preparing(view, settings)(examples)
    shown = []
    for example in examples:
        names = extract(example.caption) if example.phrases is None else example.phrases
        shown.append((example.caption, tuple(names)[: settings.phrases]))
    return Preview(parameters, trained, settings.total(data.length), data.length, tuple(shown))
