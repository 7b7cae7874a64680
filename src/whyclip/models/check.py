"""Check, when a model is loaded, that its wrapper computes the same result."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.models.health import first_not_finite
from whyclip.models.tower import ImageTower, TextTower, after_attention, attend
from whyclip.models.view import ModelView
from whyclip.models.vocabulary import same_rows

# Largest allowed difference, relative to the largest value, by the precision of the weights.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}
HALF_TOLERANCE = 3e-2


@torch.no_grad()
def check_view(view: ModelView, token_ids: Tensor | None) -> None:
    """Compare the wrapper with the model's own forward passes, block by block and end to end.

    Args:
        view: the wrapped model.
        token_ids: ``[b, t]`` a few tokenised texts; None if the model has no text encoder.

    Raises:
        UnsupportedModelError: the model is in training mode, or a block or an embedding
            differs; the message names the first one, and the difference.
    """
    image, text = view.image, view.text
    seeded = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *image.input_size, generator=seeded)
    image_embeddings = _check_tower(view.name, image, pixels)
    if view.classes is not None:
        _check_logits(view, pixels, image_embeddings)
    if token_ids is None:
        return
    text_embeddings = _check_tower(view.name, text, token_ids)
    if image_embeddings.shape[-1] != text_embeddings.shape[-1]:
        raise UnsupportedModelError(
            f"{view.name}: image embeddings have {image_embeddings.shape[-1]} numbers, text "
            f"embeddings {text_embeddings.shape[-1]}, so they have no cosine; give the model "
            "with its projections"
        )


def _check_logits(view: ModelView, pixels: Tensor, embeddings: Tensor) -> None:
    """Compare a classifier's logits, computed from its directions, with its own logits."""
    assert view.classes is not None
    assert view.module is not None
    weight = view.classes.weight
    logits = view.module(pixels.to(view.image.device, embeddings.dtype)).logits
    _compare(f"{view.name}: logits", embeddings.float() @ weight.T + view.classes.bias, logits)


def _check_tower(name: str, tower: ImageTower | TextTower, inputs: Tensor) -> Tensor:
    """Compare a wrapped encoder with the library's own, and return the latter's embeddings."""
    inputs = inputs.to(tower.device)
    embeddings = tower.encode(inputs)
    if not embeddings.isfinite().all():
        raise UnsupportedModelError(
            f"{name}: {first_not_finite(tower, inputs)} gives NaN or infinity; check its weights "
            "and their precision (float16 overflows)"
        )
    if not torch.equal(embeddings, tower.encode(inputs)):
        raise UnsupportedModelError(
            f"{name}: two encodings of the same {tower.side} differ, as with dropout in "
            "training mode; call model.eval() first"
        )
    if same_rows(embeddings):
        raise UnsupportedModelError(
            f"{name}: its {tower.side} encoder gives two different inputs the same embedding; "
            "check its weights"
        )
    if tower.opaque:
        return embeddings
    stream = tower.embed(inputs)
    x = stream.x
    for index, block in enumerate(tower.blocks):
        after = block.forward(x, stream.mask)
        parts = after_attention(block, x, *attend(block, x, stream.mask))
        _compare(f"{name}: {tower.side} block {index}", parts, after)
        x = after
    every = torch.arange(len(x), device=x.device)
    _compare(
        f"{name}: {tower.side} embedding", tower.project(x[every, stream.readout_index]), embeddings
    )
    return embeddings


def _compare(what: str, computed: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCE.get(expected.dtype, HALF_TOLERANCE)
    largest = expected.abs().max().clamp_min(1e-12)
    difference = float((computed - expected).abs().max() / largest)
    # Written so that NaN fails as well.
    if not difference <= tolerance:
        raise UnsupportedModelError(
            f"{what} differs from the model's own by {difference:.1e} of its largest value "
            f"(allowed {tolerance:.0e}); its computation is not the one whyclip expects"
        )


def check_usable(module: nn.Module, name: str) -> None:
    """Check that the weights have values and support autograd.

    Raises:
        UnsupportedModelError: they are on the device "meta", or were made in inference mode.
    """
    for layer, weight in module.named_parameters():
        if weight.is_meta:
            raise UnsupportedModelError(
                f"{name}: {layer} is on the device 'meta' and has no values; load the weights"
            )
        if weight.is_inference():
            raise UnsupportedModelError(
                f"{name}: {layer} was made under torch.inference_mode(), where no gradients exist; "
                "build or load the model outside it"
            )
