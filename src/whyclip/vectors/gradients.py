"""Vectors by derivatives of the embedding."""

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
        forward_pass: of one input.
        along: directions ``[k, e]`` to multiply the vectors with, or None.
        layers: how many last blocks are summed; 1 for images and 8 for texts by default.
    """
    # Checked against the model by the score, before the plain products take its place.
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
        forward_pass: of one input.
        along: directions ``[k, e]`` to multiply the vectors with, or None; each costs a backward
            pass for each step, so images are best split up along few.
        steps: points of the quadrature.
        batch_size: inputs differentiated at a time.
    """
    targets = aimed(forward_pass, along)
    result = integrated_gradients(targets, steps=steps, batch_size=batch_size)
    start = baseline(forward_pass)[0].float()
    remainders = {"baseline": targets.targets.directions @ start}
    return Vectors(result.values[0].T, result.embedding[0], remainders)
