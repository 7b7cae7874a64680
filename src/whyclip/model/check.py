"""Does the view compute what the model computes? Asked once, when a model is loaded."""

from __future__ import annotations

import torch
from torch import Tensor

from whyclip.errors import UnsupportedModelError
from whyclip.model.model_view import ModelView
from whyclip.model.view import ImageTower, TextTower, after_attention, attend

# Largest difference allowed, relative to the largest value, by the precision of the weights.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
HALF_TOLERANCE = 3e-2


@torch.no_grad()
def check_view(view: ModelView, token_ids: Tensor | None) -> None:
    """Compare the view with the model's own forward passes, block by block and end to end.

    Args:
        view: the model as whyclip sees it.
        token_ids: ``[b, t]`` a few tokenised texts; None where the model reads none.

    Raises:
        UnsupportedModelError: the model is in training mode, or a block or an embedding
            differs; the message names the first that does and by how much.
    """
    image, text = view.image, view.text
    seeded = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *image.input_size, generator=seeded)
    _check_tower(view.name, image, pixels)
    if token_ids is not None:
        _check_tower(view.name, text, token_ids)


def _check_tower(name: str, tower: ImageTower | TextTower, inputs: Tensor) -> None:
    inputs = inputs.to(tower.device)
    own = tower.encode(inputs)
    if not torch.equal(own, tower.encode(inputs)):
        raise UnsupportedModelError(
            f"{name}: two encodings of the same {tower.side} differ, as with dropout in "
            "training mode; call model.eval() first"
        )
    if tower.opaque:
        return
    stream = tower.embed(inputs)
    x = stream.x
    for index, block in enumerate(tower.blocks):
        after = block.forward(x, stream.mask)
        parts = after_attention(block, x, *attend(block, x, stream.mask))
        _compare(f"{name}: {tower.side} block {index}", parts, after)
        x = after
    every = torch.arange(len(x), device=x.device)
    _compare(f"{name}: {tower.side} embedding", tower.project(x[every, stream.row]), own)


def _compare(what: str, ours: Tensor, own: Tensor) -> None:
    tolerance = TOLERANCE.get(own.dtype, HALF_TOLERANCE)
    largest = own.abs().max().clamp_min(1e-12)
    difference = float((ours - own).abs().max() / largest)
    # Written so that NaN is refused, too.
    if not difference <= tolerance:
        raise UnsupportedModelError(
            f"{what} differs from the model's own by {difference:.1e} of its largest value "
            f"(allowed {tolerance:.0e}); its computation is not the one whyclip expects"
        )
