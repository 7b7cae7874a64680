"""A common interface to the libraries' preprocessing: run it, and read its steps.

Two kinds are recognised by their parts: OpenCLIP's torchvision ``Compose``, and an image processor
of transformers. Any other callable is measured by :mod:`whyclip.inputs.probe`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from whyclip.errors import UnsupportedModelError, WhyclipError, quoted, reason

Preprocess = Callable[..., Any]
"""Callable from an image to a normalised ``[3, H, W]`` tensor, or a transformers processor."""

RGB = 3

# Steps that keep colours, or normalise them.
PLAIN_STEPS = {
    *(("torchvision", name) for name in ("Resize", "CenterCrop", "ToTensor", "PILToTensor")),
    *(("torchvision", name) for name in ("ConvertImageDtype", "Normalize")),
    *(("open_clip", name) for name in ("ResizeKeepRatio", "CenterCropOrPad", "MaybeConvertMode")),
    *(("open_clip", name) for name in ("MaybeToTensor", "_convert_to_rgb")),
}
# Options of image processors that mix the channels.
MIXING = ("do_flip_channel_order", "do_grayscale")


@dataclass(frozen=True)
class Normalisation:
    """Conversion of pixels to model input: ``(mix · rgb / 255 - mean) / std``, after resizing.

    ``mix`` has one row per channel of the input; None keeps the channels.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Image.Resampling = Image.Resampling.BICUBIC
    mix: tuple[tuple[float, ...], ...] | None = None

    def apply(self, rgb: Tensor) -> Tensor:
        """Normalise ``[3, H, W]`` values from 0 to 1."""
        if self.mix is not None:
            rgb = torch.einsum("cd,dhw->chw", torch.tensor(self.mix), rgb)
        mean = torch.tensor(self.mean)[:, None, None]
        std = torch.tensor(self.std)[:, None, None]
        return (rgb - mean) / std


def image_processor(preprocess: Preprocess) -> Any | None:
    """Return the transformers image processor inside ``preprocess``, or None."""
    inner = getattr(preprocess, "image_processor", preprocess)
    ancestors = {base.__name__ for base in type(inner).__mro__}
    return inner if "BaseImageProcessor" in ancestors else None


def compose_steps(preprocess: Preprocess) -> list[Any] | None:
    """Return the flat list of steps of a torchvision ``Compose``, or None."""
    if _kind(preprocess) not in (("torchvision", "Compose"), ("torch", "Sequential")):
        return None
    steps: list[Any] = []
    for step in getattr(preprocess, "transforms", None) or list(preprocess):  # type: ignore[call-overload]
        steps.extend(compose_steps(step) or [step])
    return steps


def step_kind(step: Any) -> tuple[str, str]:
    """Return a step's package and the name of its class or function."""
    return _kind(step)


def run_preprocess(preprocess: Preprocess, image: Image.Image) -> Tensor:
    """Run the user's preprocessing on one RGB image.

    Returns:
        ``[3, H, W]`` float32.

    Raises:
        UnsupportedModelError: the result has another shape or type.
    """
    processor = image_processor(preprocess)
    try:
        if processor is None:
            pixels = preprocess(image)
        else:
            pixels = processor(images=image, return_tensors="pt")["pixel_values"][0]
    except WhyclipError:
        raise
    except Exception as error:
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} fails on an image of {image.width}x{image.height} "
            f"pixels: {reason(error)}"
        ) from error
    if not isinstance(pixels, Tensor) or pixels.ndim != RGB or pixels.shape[0] != RGB:
        described = tuple(pixels.shape) if isinstance(pixels, Tensor) else type(pixels).__name__
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} returned {described}; "
            "expected a tensor of shape (3, height, width)"
        )
    if pixels.layout != torch.strided or pixels.is_complex() or pixels.is_meta:
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} returned a {pixels.layout} tensor of type "
            f"{pixels.dtype} on {pixels.device}; expected a plain tensor of real numbers"
        )
    return pixels.detach().float().cpu()


def describe(preprocess: Preprocess) -> str:
    """Describe a preprocessing on one line, for errors."""
    return quoted(preprocess)


def _kind(thing: Any) -> tuple[str, str]:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return str(named.__module__).split(".", maxsplit=1)[0], str(named.__name__)
