"""Prompts: strings, ensembles of strings, images, and directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whyclip.errors import ImageError, PromptError, quoted
from whyclip.inputs.images import ImageSource, read_image

_KINDS = (
    "a prompt is a string, a list of template strings, or an image (path object, PIL or array); "
    "prompts may also be a float tensor [n, e] of directions"
)


@dataclass(frozen=True)
class TextPrompt:
    """One string, or several template strings whose normalised embeddings are averaged."""

    templates: tuple[str, ...]

    @property
    def label(self) -> str | tuple[str, ...]:
        """The prompt as the user wrote it."""
        return self.templates[0] if len(self.templates) == 1 else self.templates


@dataclass(frozen=True)
class ImagePrompt:
    """Another image, whose similarity is explained."""

    image: Image.Image = field(repr=False)
    source: ImageSource = field(repr=False, compare=False)
    label: str = "image"


@dataclass(frozen=True)
class DirectionPrompt:
    """A direction ``[e]`` in embedding space, float32, not zero."""

    vector: Tensor
    label: str = "direction"


Prompt = TextPrompt | ImagePrompt | DirectionPrompt


def parse_prompts(prompts: Any) -> tuple[Prompt, ...]:
    """Parse the user's prompts.

    Args:
        prompts: one prompt or a list of them. A prompt is a string (always text, never a
            path), a list of template strings (an ensemble), or an image: a ``pathlib.Path``,
            a PIL image, an array or a 3-axis tensor. A float tensor ``[n, e]`` instead of a
            list is n directions in embedding space.

    Returns:
        At least one prompt, in the order given.

    Raises:
        PromptError: no prompt, an empty one, or one of another type.
    """
    if isinstance(prompts, Tensor) and prompts.ndim <= 2:
        return _directions(prompts)
    if isinstance(prompts, (str, Path, Image.Image, np.ndarray, Tensor)):
        return (_parse(prompts, "prompt"),)
    if not isinstance(prompts, Sequence) or isinstance(prompts, (bytes, bytearray)):
        raise PromptError(f"prompts {quoted(prompts)} of type {type(prompts).__name__}; {_KINDS}")
    if not prompts:
        raise PromptError(f"no prompt given ({quoted(prompts)}); write one, such as 'a dog'")
    return tuple(_parse(prompt, f"prompt #{i + 1}") for i, prompt in enumerate(prompts))


def _parse(prompt: Any, name: str) -> Prompt:
    if isinstance(prompt, str):
        return TextPrompt((_text(prompt, name),))
    if isinstance(prompt, (Path, Image.Image, np.ndarray, Tensor)):
        label = f"image {prompt.name}" if isinstance(prompt, Path) else f"image ({name})"
        try:
            return ImagePrompt(read_image(prompt), prompt, label)
        except ImageError as error:
            raise PromptError(f"{name}: {error}") from None
    if isinstance(prompt, (list, tuple)):
        if not prompt:
            raise PromptError(f"{name} is an ensemble without templates: {quoted(prompt)}")
        return TextPrompt(
            tuple(_text(t, f"template #{i + 1} of {name}") for i, t in enumerate(prompt))
        )
    raise PromptError(f"{name} is {quoted(prompt)} of type {type(prompt).__name__}; {_KINDS}")


def _text(text: Any, name: str) -> str:
    if not isinstance(text, str):
        raise PromptError(f"{name} is {quoted(text)} of type {type(text).__name__}; write a string")
    if not text.strip():
        raise PromptError(f"{name} is empty: {quoted(text)}; write some words, such as 'a dog'")
    return text


def _directions(vectors: Tensor) -> tuple[DirectionPrompt, ...]:
    name = f"prompts tensor of shape {tuple(vectors.shape)} and type {vectors.dtype}"
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise PromptError(f"{name}; directions have shape [n, e], both at least 1")
    if not vectors.is_floating_point():
        raise PromptError(f"{name}; directions have a float type")
    if not bool(torch.isfinite(vectors).all()):
        raise PromptError(f"{name} has values that are NaN or infinite")
    rows = vectors.detach().float()
    if not bool((rows.norm(dim=1) > 0).all()):
        raise PromptError(f"{name} has a row of zeros")
    return tuple(DirectionPrompt(row, f"direction {i + 1}") for i, row in enumerate(rows))
