"""Checks for NaN and infinity in weights and results, and for standard deviations of 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.inputs.preprocessing import compose_steps, image_processor, step_kind
from whyclip.models.tower import ImageTower, TextTower


@torch.no_grad()
def check_weights(module: nn.Module, name: str) -> None:
    """Check weights for NaN and infinity.

    Raises:
        UnsupportedModelError: a weight is not finite; the message names the first tensor.
    """
    named: list[tuple[str, Tensor]] = list(module.named_parameters())
    # Only saved buffers, because masks (unsaved) contain infinity.
    saved = module.state_dict()
    named += [(key, buffer) for key, buffer in module.named_buffers() if key in saved]
    named = [(key, tensor) for key, tensor in named if tensor.is_floating_point()]
    meta = next((key for key, tensor in named if tensor.is_meta), None)
    if meta is not None:
        raise UnsupportedModelError(
            f"{name}: weights {meta!r} are on the device 'meta' and have no values; load the "
            "model on 'cpu' or 'cuda'"
        )
    # The sum is fast, and not finite if any number is not.
    sums = [tensor.detach().sum(dtype=torch.float32) for _, tensor in named]
    suspect = [pair for pair, total in zip(named, sums, strict=True) if not total.isfinite()]
    for key, tensor in suspect:
        bad = int((~tensor.isfinite()).sum())
        if bad:
            raise UnsupportedModelError(
                f"{name}: weights {key!r} contain NaN or infinity ({bad} of {tensor.numel()} "
                "numbers); load an intact file"
            )


def check_preprocess(preprocess: Any, name: str) -> None:
    """Check that the preprocessing does not divide by zero.

    Raises:
        UnsupportedModelError: a standard deviation is 0.
    """
    processor = image_processor(preprocess)
    deviations: Any = ()
    if processor is not None and getattr(processor, "do_normalize", False):
        deviations = getattr(processor, "image_std", None)
    elif processor is None:
        steps = compose_steps(preprocess) if preprocess is not None else None
        deviations = [s.std for s in steps or () if step_kind(s) == ("torchvision", "Normalize")]
    numbers = torch.as_tensor(() if deviations is None else deviations, dtype=torch.float64)
    if bool((numbers == 0).any()) or not bool(numbers.isfinite().all()):
        raise UnsupportedModelError(
            f"{name}: its preprocessing divides by the standard deviation "
            f"{numbers.flatten().tolist()!r:.40}; use numbers above 0"
        )


@torch.no_grad()
def first_not_finite(tower: ImageTower | TextTower, inputs: Tensor) -> str:
    """Return the layer where NaN or infinity first appears.

    Args:
        tower: the encoder.
        inputs: inputs whose embedding is not finite.

    Returns:
        For example ``"image block 3"`` or ``"image input"``.
    """
    side = tower.side
    if inputs.is_floating_point() and not inputs.isfinite().all():
        return f"{side} input"
    if tower.opaque:
        return f"{side} encoder"
    stream = tower.embed(inputs.to(tower.device))
    x = stream.x
    if not x.isfinite().all():
        return f"{side} embedding layer"
    for index, block in enumerate(tower.blocks):
        x = block.forward(x, stream.mask)
        if not x.isfinite().all():
            return f"{side} block {index}"
    return f"{side} projection"
