"""Embeddings of a dataset's classes."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.datasets import Dataset
from whyclip.datasets.dataset import filled_in
from whyclip.datasets.imagenet import imagenet_prompts
from whyclip.encoded_classes import class_targets
from whyclip.errors import OptionError
from whyclip.models import ModelView

OPENAI = "openai"
FROM_DATASET = "dataset"


def class_embeddings(view: ModelView, dataset: Dataset, template: str | None = None) -> Tensor:
    """Embed the classes of a dataset.

    A class is the normalised mean of the normalised embeddings of its prompts.

    Args:
        view: the model.
        dataset: the dataset.
        template: one prompt with ``{}`` for the name; ``"openai"`` (default) for the 80 templates
            of Radford et al., ICML 2021; ``"dataset"`` for the dataset's own prompts.

    Returns:
        ``[C, e]`` float32, each of length 1.

    Raises:
        OptionError: the template has no ``{}``.
    """
    parts = class_targets(view, class_prompts(dataset, template))
    return torch.cat([part.directions for part in parts]).float()


def class_prompts(dataset: Dataset, template: str | None = None) -> list[tuple[str, ...]]:
    """Write the prompts of each class; see :func:`class_embeddings`."""
    if template is None or template == OPENAI:
        return list(imagenet_prompts(dataset.names))
    if template == FROM_DATASET:
        return list(dataset.class_prompts)
    if "{}" not in template:
        raise OptionError(
            f"template {template!r:.80} has no {{}} for the class name; write one, or give "
            f"{OPENAI} or {FROM_DATASET}"
        )
    return [(prompt,) for prompt in filled_in(template, dataset.names)]
