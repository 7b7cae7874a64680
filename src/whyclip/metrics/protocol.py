"""The two published protocols for deleting and inserting pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyclip.metrics.curve import mean_of_points, trapezoid
from whyclip.perturbation.fills import Fill, Pixels
from whyclip.perturbation.perturbations import Perturbations

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Protocol:
    """Numbers of edited pixels, their fill, and the rule for the area.

    Attributes:
        counts: function from the number of pixels to the number edited at each of the m points.
        fill: replacement of deleted pixels.
        canvas: start of insertion.
        clean_last: whether the last point of insertion is the whole image.
        area: ``(amounts [m], scores [m, ...]) -> [...]``.
    """

    name: str
    source: str
    counts: Callable[[int], Counts]
    fill: Fill
    canvas: Fill
    clean_last: bool
    area: Callable[[Tensor, Tensor], Tensor]


def eleven_points(pixels: int) -> Counts:
    """Half of the pixels in 100 equal steps, scored after every tenth step.

    A step is ``max(1, ⌊pixels / 200⌋)`` pixels, as in the release.

    Example:
        >>> eleven_points(1000).tolist()
        [0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500]
    """
    return np.minimum(np.arange(11) * 10 * max(1, pixels // 200), pixels)


def all_pixels(pixels: int, step: int = 224) -> Counts:
    """All pixels, ``step`` at a time; 224 in the release, one row of an image of 224 by 224.

    Example:
        >>> all_pixels(500).tolist()
        [0, 224, 448, 500]
    """
    return np.append(np.arange(0, pixels, step), pixels)


GRAD_ECLIP = Protocol(
    name="grad-eclip",
    source="Zhao et al., ICML 2024, arXiv 2502.18816, released evaluation",
    counts=eleven_points,
    fill="random",
    canvas="black",
    clean_last=True,
    area=mean_of_points,
)
RISE = Protocol(
    name="rise",
    source="Petsiuk et al., BMVC 2018, arXiv 1806.07421",
    counts=all_pixels,
    fill="black",
    canvas="blurred",
    clean_last=False,
    area=trapezoid,
)


def pixel_edits(
    start: Pixels, end: Pixels, order: NDArray[np.int64], counts: Counts
) -> Perturbations[Pixels]:
    """Turn one image into another, pixel by pixel.

    Args:
        start: uint8 ``[H, W, 3]``.
        end: uint8 ``[H, W, 3]``.
        order: indices ``[H * W]`` of the pixels, in order of change.
        counts: ``[m]``, rising, number of changed pixels at each point.

    Returns:
        m images ``[H, W, 3]``; ``amounts`` are the shares of changed pixels.
    """

    def make() -> Iterator[Pixels]:
        pixels, final, done = start.reshape(-1, 3).copy(), end.reshape(-1, 3), 0
        for count in counts.tolist():
            chosen = order[done:count]
            pixels[chosen] = final[chosen]
            done = count
            yield pixels.reshape(start.shape).copy()

    return Perturbations(torch.from_numpy(counts / max(len(order), 1)).float(), make)
