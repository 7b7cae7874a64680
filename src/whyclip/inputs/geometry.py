"""The rectangle of the original image that a preprocessing shows to the model.

A deterministic preprocessing is a sequence of resizing, cropping and padding. A :class:`Canvas`
tracks the image's rectangle through them in original pixels, with the same rounding as the
libraries (torchvision truncates sizes in ``Resize`` and rounds half to even in ``CenterCrop``;
transformers truncates in both).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from whyclip.inputs.canvas import Canvas
from whyclip.inputs.preprocessing import (
    MIXING,
    PLAIN_STEPS,
    Normalisation,
    Preprocess,
    compose_steps,
    image_processor,
    step_kind,
)
from whyclip.inputs.probe import probe_canvas, probe_normalisation
from whyclip.types import Geometry


def model_geometry(
    preprocess: Preprocess, width: int, height: int, patch: int | None = None
) -> Geometry:
    """Find the part of an image that the library's own preprocessing shows to the model.

    Args:
        preprocess: an OpenCLIP (torchvision) transform, an image processor of transformers,
            or any other callable, which is then measured with ramps.
        width: width of the original image, in pixels.
        height: height of the original image, in pixels.
        patch: side of a patch in pixels of the model's input; if given, the box ends at the
            last whole patch (a 384-pixel input with patches of 14 uses 378 of them).

    Returns:
        A geometry named ``"model"``; its box extends beyond a padded image.

    Raises:
        UnsupportedModelError: the callable does not show an upright rectangle, or is random.
    """
    canvas = model_canvas(preprocess, width, height)
    if patch is not None:
        canvas = canvas.whole_patches(patch)
    return Geometry("model", width, height, canvas.box)


def model_canvas(preprocess: Preprocess, width: int, height: int) -> Canvas:
    """Track an image's rectangle through a preprocessing; see :func:`model_geometry`."""
    canvas = Canvas.of(width, height)
    processor = image_processor(preprocess)
    if processor is not None and not getattr(processor, "do_pad", None):
        traced = _through_processor(processor, canvas)
    else:
        traced = _through_steps(compose_steps(preprocess), canvas)
    if traced is None:
        return probe_canvas(preprocess, width, height)
    return traced


def normalisation_of(preprocess: Preprocess) -> Normalisation:
    """Read mean, standard deviation and interpolation from a preprocessing.

    Raises:
        UnsupportedModelError: the callable does not normalise pixels by ``(v - mean) / std``.
    """
    processor = image_processor(preprocess)
    if processor is not None:
        mixing = any(getattr(processor, name, False) for name in MIXING)
        return _measured(preprocess, ()) if mixing else _of_processor(processor)
    steps = compose_steps(preprocess)
    normalize = [s for s in steps or [] if step_kind(s) == ("torchvision", "Normalize")]
    if steps is None or len(normalize) != 1:
        return _measured(preprocess, steps or ())
    if any(step_kind(step) not in PLAIN_STEPS for step in steps):
        return _measured(preprocess, steps)
    return Normalisation(_rgb(normalize[0].mean), _rgb(normalize[0].std), _interpolation_of(steps))


def _measured(preprocess: Preprocess, steps: Sequence[Any]) -> Normalisation:
    return replace(probe_normalisation(preprocess), interpolation=_interpolation_of(steps))


def _of_processor(processor: Any) -> Normalisation:
    """Convert mean and deviation by the rescale factor, which is not 1/255 for a few models."""
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


def _through_steps(steps: Sequence[Any] | None, canvas: Canvas) -> Canvas | None:
    """Apply the steps to a canvas one by one; None if one of them is unknown."""
    if steps is None:
        return None
    for step in steps:
        kind = step_kind(step)
        if kind in _UNMOVED:
            continue
        if kind not in _MOVES:
            return None
        canvas = _MOVES[kind](step, canvas)
    return canvas


def _resize(step: Any, canvas: Canvas) -> Canvas:
    size = [step.size] if isinstance(step.size, int) else list(step.size)
    if len(size) > 1:
        return canvas.resize(size[1], size[0])
    return _resize_shortest(size[0], canvas, getattr(step, "max_size", None))


def _resize_shortest(size: int, canvas: Canvas, longest: int | None = None) -> Canvas:
    short, long = sorted((canvas.width, canvas.height))
    new_short, new_long = size, int(size * long / short)
    if longest is not None and new_long > longest:
        new_short, new_long = int(longest * new_short / new_long), longest
    if canvas.width <= canvas.height:
        return canvas.resize(new_short, new_long)
    return canvas.resize(new_long, new_short)


def _resize_keep_ratio(step: Any, canvas: Canvas) -> Canvas:
    rows, columns = canvas.height / step.size[0], canvas.width / step.size[1]
    ratio = max(rows, columns) * step.longest + min(rows, columns) * (1.0 - step.longest)
    return canvas.resize(round(canvas.width / ratio), round(canvas.height / ratio))


def _center_crop(step: Any, canvas: Canvas) -> Canvas:
    size = (step.size,) * 2 if isinstance(step.size, int) else tuple(step.size)
    height, width = size if len(size) > 1 else size * 2
    return canvas.crop(
        _crop_offset(canvas.width, width, round), _crop_offset(canvas.height, height, round),
        width, height,
    )  # fmt: skip


def _crop_offset(side: int, crop: int, rounding: Callable[[float], int]) -> int:
    """Return the start of a centred crop; negative if the image is padded."""
    if crop > side:
        return -((crop - side) // 2)
    return int(rounding((side - crop) / 2.0))


def _through_processor(processor: Any, canvas: Canvas) -> Canvas | None:
    """Apply resize and centre crop of a transformers processor; None for other sizes."""
    if getattr(processor, "do_resize", False):
        size = _keys(processor.size)
        if set(size) == {"shortest_edge"}:
            canvas = _resize_shortest(size["shortest_edge"], canvas)
        elif set(size) == {"height", "width"}:
            canvas = canvas.resize(size["width"], size["height"])
        else:
            return None
    if getattr(processor, "do_center_crop", False):
        crop = _keys(processor.crop_size)
        if set(crop) != {"height", "width"}:
            return None
        # Version 4 of transformers has no backends, but flags fast processors.
        known = "torchvision" if getattr(processor, "is_fast", False) else "pil"
        by_pillow = getattr(processor, "backend", known) == "pil"
        offset = _pillow_crop_offset if by_pillow else _torch_crop_offset
        canvas = canvas.crop(
            offset(canvas.width, crop["width"]), offset(canvas.height, crop["height"]),
            crop["width"], crop["height"],
        )  # fmt: skip
    return canvas


def _torch_crop_offset(side: int, crop: int) -> int:
    return _crop_offset(side, crop, math.floor)


def _pillow_crop_offset(side: int, crop: int) -> int:
    """The array backend puts the larger half of the padding first; the torch backend does not."""
    return (side - crop) // 2


def _keys(size: Any) -> dict[str, int]:
    """Return the sizes that are set; in newer versions they are attributes, None if not set."""
    pairs = dict(size).items() if hasattr(size, "keys") else vars(size).items()
    return {key: int(value) for key, value in pairs if value is not None}


_MOVES: dict[tuple[str, str], Callable[[Any, Canvas], Canvas]] = {
    ("torchvision", "Resize"): _resize,
    ("torchvision", "CenterCrop"): _center_crop,
    ("open_clip", "ResizeKeepRatio"): _resize_keep_ratio,
    ("open_clip", "CenterCropOrPad"): _center_crop,
}
_UNMOVED = {
    ("torchvision", "ToTensor"),
    ("torchvision", "PILToTensor"),
    ("torchvision", "ConvertImageDtype"),
    ("torchvision", "Normalize"),
    ("open_clip", "MaybeConvertMode"),
    ("open_clip", "MaybeToTensor"),
    ("open_clip", "_convert_to_rgb"),
}
