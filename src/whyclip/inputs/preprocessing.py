"""One way to speak to the libraries' preprocessing: run it, and read what it does.

Two kinds are known by their parts: a torchvision ``Compose`` as OpenCLIP builds it, and an
image processor of transformers. Any other callable is measured by :mod:`whyclip.inputs.probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from whyclip.errors import UnsupportedModelError

Preprocess = Callable[..., Any]
"""Image in, normalised ``[3, H, W]`` tensor out; or an image processor of transformers."""

RGB = 3


@dataclass(frozen=True)
class Normalisation:
    """How pixels become model input: ``(rgb / 255 - mean) / std``, after resizing."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Image.Resampling = Image.Resampling.BICUBIC

    def apply(self, rgb: Tensor) -> Tensor:
        """Normalise ``[3, H, W]`` values from 0 to 1."""
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
    """Return the package a step comes from and the name of its class or function."""
    return _kind(step)


def run_preprocess(preprocess: Preprocess, image: Image.Image) -> Tensor:
    """Run the user's own preprocessing on one RGB image.

    Returns:
        ``[3, H, W]`` float32.

    Raises:
        UnsupportedModelError: the result has another shape or kind.
    """
    processor = image_processor(preprocess)
    if processor is None:
        pixels = preprocess(image)
    else:
        pixels = processor(images=image, return_tensors="pt")["pixel_values"][0]
    if not isinstance(pixels, Tensor) or pixels.ndim != RGB or pixels.shape[0] != RGB:
        found = tuple(pixels.shape) if isinstance(pixels, Tensor) else type(pixels).__name__
        raise UnsupportedModelError(
            f"preprocess {describe(preprocess)} returned {found}; "
            "expected a tensor of shape (3, height, width)"
        )
    return pixels.float()


def normalisation_of(preprocess: Preprocess) -> Normalisation:
    """Read mean, standard deviation and interpolation out of a preprocessing.

    Raises:
        UnsupportedModelError: the callable does not treat its pixels as ``(v - mean) / std``.
    """
    processor = image_processor(preprocess)
    if processor is not None:
        return _of_processor(processor)
    steps = compose_steps(preprocess)
    normalize = [s for s in steps or [] if step_kind(s) == ("torchvision", "Normalize")]
    if steps is None or len(normalize) != 1:
        from whyclip.inputs.probe import probe_normalisation

        return probe_normalisation(preprocess)
    return Normalisation(_rgb(normalize[0].mean), _rgb(normalize[0].std), _interpolation_of(steps))


def describe(preprocess: Preprocess) -> str:
    """Name a preprocessing in an error, on one line."""
    return " ".join(repr(preprocess).split())[:120]


def _of_processor(processor: Any) -> Normalisation:
    """Undo the rescale factor too, which a few models set to other than 1/255."""
    scale = 255.0 * processor.rescale_factor if processor.do_rescale else 255.0
    normalize = bool(processor.do_normalize)
    mean = _rgb(processor.image_mean) if normalize else (0.0, 0.0, 0.0)
    std = _rgb(processor.image_std) if normalize else (1.0, 1.0, 1.0)
    resample = Image.Resampling(int(processor.resample))
    first, second, third = (m / scale for m in mean)
    low, mid, high = (s / scale for s in std)
    return Normalisation((first, second, third), (low, mid, high), resample)


def _interpolation_of(steps: Sequence[Any]) -> Image.Resampling:
    for step in steps:
        mode = getattr(step, "interpolation", None)
        if mode is not None:
            return Image.Resampling[str(getattr(mode, "name", mode)).upper().split("_")[0]]
    return Image.Resampling.BICUBIC


def _rgb(values: float | Sequence[float]) -> tuple[float, float, float]:
    if isinstance(values, (int, float)):
        return (float(values),) * 3
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _kind(thing: Any) -> tuple[str, str]:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return str(named.__module__).split(".", maxsplit=1)[0], str(named.__name__)
