"""Fill a hole in an image with a smooth interpolation of its border.

The colours inside solve Laplace's equation with the pixels around the hole as boundary (membrane
interpolation, Pérez et al., Poisson Image Editing, SIGGRAPH 2003, eq. 2 without a guidance field).
The method has no parameters and no randomness, adds no edge and copies no object. It does not
continue texture, so photographs look blurred in the hole.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from whyclip.errors import InputError
from whyclip.perturbation.fills import Pixels

Region = NDArray[np.bool_]
Values = NDArray[np.float32]

# Largest remaining difference of a pixel from the mean of its neighbours, in grey levels of 255.
_BALANCED = 2e-4
# Most steps per grid. A finer grid starts near its solution, so on photographs the error after
# these steps is below one grey level.
_MOST_STEPS = 100
_TINY = 1e-30


def inpainted(image: Pixels, hole: Region) -> Pixels:
    """Return the image with the hole filled from its surroundings.

    Every pixel in the hole is the mean of its four neighbours, so constant colours and linear
    gradients continue unchanged; pixels outside the hole do not change. At the edge of the image,
    only neighbours inside it are used. A hole of the whole image is filled with the mean colour.

    Args:
        image: uint8 ``[H, W, 3]``.
        hole: bool ``[H, W]``, the pixels to fill.

    Raises:
        InputError: the sizes of hole and image differ.

    Example:
        >>> ramp = np.repeat(np.arange(0, 50, 10, dtype=np.uint8), 3).reshape(1, 5, 3)
        >>> inpainted(ramp, np.array([[False, True, True, True, False]]))[0, :, 0].tolist()
        [0, 10, 20, 30, 40]
    """
    if hole.shape != image.shape[:2]:
        raise InputError(f"a hole of shape {hole.shape} in an image of shape {image.shape[:2]}")
    if not hole.any():
        return image.copy()
    if hole.all():
        return np.broadcast_to(image.mean((0, 1)).round().astype(np.uint8), image.shape).copy()
    # Only the pixels adjacent to the hole affect the result.
    rows, columns = (_reach(np.flatnonzero(hole.any(1 - axis))) for axis in (0, 1))
    filled = image.copy()
    part, inside = filled[rows, columns], hole[rows, columns]
    colours = _membrane(np.moveaxis(part, -1, 0).astype(np.float32), inside)
    part[inside] = colours[:, inside].round().clip(0, 255).astype(np.uint8).T
    return filled


def dilated(mask: Region, pixels: int) -> Region:
    """Grow a mask by a number of pixels in every direction, including diagonals.

    Example:
        >>> dilated(np.array([[True, False, False]]), 1).tolist()
        [[True, True, False]]
    """
    grown = torch.nn.functional.max_pool2d(
        torch.from_numpy(mask).float()[None, None], 2 * pixels + 1, stride=1, padding=pixels
    )
    return grown[0, 0].bool().numpy()


def _reach(places: NDArray[np.intp]) -> slice:
    return slice(max(int(places[0]) - 1, 0), int(places[-1]) + 2)


def _membrane(values: Values, hole: Region) -> Values:
    """Solve for the hole in ``[3, h, w]``, starting from the solution at half the size."""
    if not hole.any():
        return values
    start = values * ~hole
    if min(hole.shape) > 1:
        smaller = _membrane(*_halved(values, hole))
        guess = _doubled(smaller, hole.shape)
        start[:, hole] = guess[:, hole]
    return _relaxed(start, hole)


def _halved(values: Values, hole: Region) -> tuple[Values, Region]:
    """Mean of the known pixels in each 2 × 2 square; squares without any belong to the hole."""
    height, width = hole.shape
    even = ((0, height % 2), (0, width % 2))
    known = np.pad((~hole).astype(np.float32), even)
    sums = np.pad(values * ~hole, ((0, 0), *even))

    def added(rows: Values) -> Values:
        upper: Values = rows[..., ::2, :] + rows[..., 1::2, :]
        return upper[..., ::2] + upper[..., 1::2]

    count = added(known)
    return added(sums) / count.clip(1), count == 0


def _doubled(values: Values, size: tuple[int, ...]) -> Values:
    """Enlarge bilinearly to twice the size and crop to ``size``."""
    larger = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None], scale_factor=2, mode="bilinear"
    )
    return larger[0, :, : size[0], : size[1]].numpy()


def _relaxed(values: Values, hole: Region) -> Values:
    """Solve ``n u − Σ neighbours = 0`` in the hole by conjugate gradients, starting at `values`."""
    inside = hole.astype(np.float32)
    degree = _neighbours(np.ones_like(inside)) * inside

    def balance(u: Values) -> Values:
        product: Values = degree * u - inside * _neighbours(u)
        return product

    def product(a: Values, b: Values) -> Values:
        total: Values = np.einsum("chw,chw->c", a, b)[:, None, None]
        return total

    solution = values.copy()
    residual = -balance(solution)
    # The search direction is 0 at the known pixels.
    direction = residual.copy()
    power = product(residual, residual)
    for _ in range(_MOST_STEPS):
        if np.abs(residual).max() < _BALANCED:
            break
        image = balance(direction)
        step = power / product(direction, image).clip(_TINY)
        solution += step * direction
        residual -= step * image
        before, power = power, product(residual, residual)
        direction *= power / before.clip(_TINY)
        direction += residual
    return solution


def _neighbours(values: Values) -> Values:
    """Sum of the neighbours (at most four) of each pixel of ``[..., h, w]``."""
    total = np.zeros_like(values)
    total[..., 1:, :] += values[..., :-1, :]
    total[..., :-1, :] += values[..., 1:, :]
    total[..., 1:] += values[..., :-1]
    total[..., :-1] += values[..., 1:]
    return total
