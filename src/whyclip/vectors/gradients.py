"""Vectors from derivatives of the embedding."""

from __future__ import annotations

from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.contribution import contribution
from whyclip.methods.integrated_gradients import AT_ONCE, baseline, integrated_gradients
from whyclip.vectors.vectors import Vectors, aimed


def first_order(
    forward_pass: ForwardPass, along: Tensor | None = None, *, layers: int | None = None
) -> Vectors:
    """``J (A_j v_j)`` with J = ∂F/∂o at the readout attention; see ``methods/contribution.py``.

    Args:
        forward_pass: forward pass of one input.
        along: directions ``[k, e]`` to multiply the vectors by, or None.
        layers: number of last blocks to sum; by default 1 for images and 8 for texts.
    """
    # The score is compared with the model's before plain products replace it.
    forward_pass.readout(forward_pass.depth(layers))
    result = contribution(aimed(forward_pass, along), layers=layers)
    return Vectors(result.values[0].T, result.embedding[0])


def integrated(
    forward_pass: ForwardPass,
    along: Tensor | None = None,
    *,
    steps: int = 32,
    batch_size: int = AT_ONCE,
) -> Vectors:
    """Integrate the embedding's derivative from a baseline; see ``methods/integrated_gradients``.

    Args:
        forward_pass: forward pass of one input.
        along: directions ``[k, e]`` to multiply the vectors by, or None. Each direction costs one
            backward pass per step, so few directions are best for images.
        steps: points of the quadrature.
        batch_size: number of inputs differentiated at a time.
    """
    targets = aimed(forward_pass, along)
    result = integrated_gradients(targets, steps=steps, batch_size=batch_size)
    start = baseline(forward_pass)[0].float()
    remainders = {"baseline": targets.targets.directions @ start}
    return Vectors(result.values[0].T, result.embedding[0], remainders)
