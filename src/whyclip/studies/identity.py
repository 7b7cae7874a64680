"""Identity of a study: everything that affects its results, so that a folder has only one."""

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
    """Weights and preprocessing of a model, and the version of whyclip."""
    return {
        "whyclip": __version__,
        "model": model.name,
        "weights": model.fingerprint,
        "preprocessing": _preprocessing(model),
    }


def dataset_identity(dataset: Dataset, data: str = "") -> dict[str, Any]:
    """Name and classes of a dataset, and its length if samples are identified only by number."""
    base = base_dataset(dataset)
    # The order is ignored, because classes taken from rows depend on the first row.
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
    """Digest of a noise image after the model's preprocessing.

    The preprocessing can be any callable, so its settings are not known.
    """
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    [(pixels, _)] = model_inputs(model, [Image.fromarray(noise)])
    # Rounded, so that another build of the same library gives the same digest.
    return digest((pixels.float().numpy().round(2) + 0.0).tobytes())
