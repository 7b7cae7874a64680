"""Directions of many classes, encoded a few at a time with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whyclip.encoded_prompts import encode_prompts
from whyclip.forward.targets import Targets
from whyclip.models import ModelView
from whyclip.progress import track
from whyclip.types import Precision

CLASSES_AT_ONCE = 16


def class_targets(
    model: ModelView, prompts: Sequence[Any], precision: Precision = "fp32"
) -> list[Targets]:
    """Encode the prompts of classes, ``CLASSES_AT_ONCE`` classes at a time.

    Args:
        model: the model.
        prompts: for each class, its prompt or its templates.
        precision: of the forward pass.

    Returns:
        Targets of up to ``CLASSES_AT_ONCE`` classes each, in order.

    Raises:
        PromptError: a prompt cannot be used.
    """
    parts = [prompts[i : i + CLASSES_AT_ONCE] for i in range(0, len(prompts), CLASSES_AT_ONCE)]
    return [
        encode_prompts(model, part, precision=precision).targets()
        for part in track(parts, "embedding classes")
    ]
