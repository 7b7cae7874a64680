"""What decides the results of an evaluation, so that no folder mixes two."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import numpy as np
from PIL import Image

from whyclip import __version__
from whyclip.data import Dataset
from whyclip.data.sample import base_of
from whyclip.evaluation.plan import Plan
from whyclip.model import ModelView, model_inputs


def identity(model: ModelView, dataset: Dataset, plan: Plan, data: str) -> dict[str, Any]:
    """Everything that decides the results, but which samples are drawn.

    Args:
        model: what is asked.
        dataset: of its samples, of the whole from which they were drawn.
        plan: what is measured.
        data: what the dataset is called.

    Returns:
        JSON types; digests stand for what is long.
    """
    base = base_of(dataset)
    texts = [base.classes, base.class_prompts, base.prompt_of(base.classes[0])]
    return {
        **plan.to_json(),
        "whyclip": __version__,
        "model": model.name,
        "weights": model.fingerprint,
        "preprocessing": _preprocessing(model),
        "dataset": {
            "name": data or base.name,
            "samples": len(base),
            "contents": digest(json.dumps(base.contents()).encode()),
            "classes": f"{len(base.classes)}, {digest(json.dumps(texts).encode())}",
        },
    }


def digest(content: bytes) -> str:
    """Sixteen hexadecimal digits that stand for some bytes."""
    return blake2b(content, digest_size=8).hexdigest()


def _preprocessing(model: ModelView) -> str:
    """A digest of what the model's own preprocessing makes of a picture of noise.

    What it is made of cannot be asked: it may be any callable.
    """
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    [(pixels, _)] = model_inputs(model, [Image.fromarray(noise)])
    # Rounded, so that another build of the same library does not count as another preprocessing.
    return digest((pixels.float().numpy().round(2) + 0.0).tobytes())
