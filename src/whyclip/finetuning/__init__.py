"""Fine-tuning of a CLIP-like model so that phrases match their regions.

from whyclip.finetuning import Settings, finetune, open_captions
finetune(model, open_captions("csv:photos.csv"), "run", Settings(steps=1000))
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from whyclip.finetuning.batch import Batch, Example, make_batch
    from whyclip.finetuning.captions import CaptionData, open_captions
    from whyclip.finetuning.objective import Objective
    from whyclip.finetuning.phrases import phrase_extractor
    from whyclip.finetuning.settings import Settings
    from whyclip.finetuning.train import Finetuned, finetune

__all__ = [
    "Batch",
    "CaptionData",
    "Example",
    "Finetuned",
    "Objective",
    "Settings",
    "finetune",
    "make_batch",
    "open_captions",
    "phrase_extractor",
]

if not typing.TYPE_CHECKING:
    # Imported on first use, so that an experiment that needs one part does not import them all.
    _HOMES = {
        "Batch": "batch",
        "CaptionData": "captions",
        "Example": "batch",
        "Finetuned": "train",
        "Objective": "objective",
        "Settings": "settings",
        "finetune": "train",
        "make_batch": "batch",
        "open_captions": "captions",
        "phrase_extractor": "phrases",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module 'whyclip.finetuning' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"whyclip.finetuning.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
