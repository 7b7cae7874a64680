"""What decides the results of a study, so that no folder mixes two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from whyclip._version import __version__
from whyclip.datasets import Dataset
from whyclip.datasets.annotation_files import digest
from whyclip.datasets.dataset import base_dataset
from whyclip.models import ModelView, model_inputs


def model_identity(model: ModelView) -> dict[str, Any]:
    """Weights and preprocessing of a model, and the version that looks at them."""
    return {
        "whyclip": __version__,
        "model": model.name,
        "weights": model.fingerprint,
        "preprocessing": _preprocessing(model),
    }


def dataset_identity(dataset: Dataset, data: str = "") -> dict[str, Any]:
    """A dataset's name and classes; its length, too, if its samples are known by number alone."""
    base = base_dataset(dataset)
    # In any order: where classes are those of the rows, the first row may be taken away.
    classes = sorted([label, *texts] for label, texts in _classes(base))
    template = base.prompt_of(min(base.classes)) if base.classes else ""
    identity: dict[str, Any] = {
        "name": data or base.name,
        "contents": digest(base.contents()),
        "classes": f"{len(base.classes)}, {digest([classes, template])}",
    }
    if len(base) and base.state_of(0) is None:
        identity["samples"] = len(base)
    return identity


def _classes(dataset: Dataset) -> Iterator[tuple[str, tuple[str, ...]]]:
    return zip(dataset.classes, dataset.class_prompts, strict=True)


def _preprocessing(model: ModelView) -> str:
    """A digest of what the model's own preprocessing makes of an image of noise.

    What it is made of cannot be asked: it may be any callable.
    """
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    [(pixels, _)] = model_inputs(model, [Image.fromarray(noise)])
    # Rounded, so that another build of the same library does not count as another preprocessing.
    return digest((pixels.float().numpy().round(2) + 0.0).tobytes())
