"""Sensitivity-n and infidelity: agreement of the removed relevance with the score drop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyclip.errors import InputError
from whyclip.metrics.metric import Metric
from whyclip.perturbation.fills import Fill, Pixels, as_pixels, filled
from whyclip.perturbation.perturbations import Perturbations
from whyclip.stats.correlation import pearson


def removal_edits(
    image: Any,
    heatmap: Any,
    *,
    n: int = 20,
    samples: int = 50,
    grid: int = 14,
    fill: Fill = "mean",
    seed: int = 0,
) -> Perturbations[Pixels]:
    """Replace random sets of n cells of an image.

    Args:
        image: a PIL image, or uint8 ``[H, W, 3]``.
        heatmap: float ``[H, W]``; a cell's relevance is the sum over its pixels, divided by the
            mean number of pixels in a cell. Cells outside the crop (NaN) stay.
        n: number of cells in a set; at most the number of visible cells.
        samples: number of sets.
        grid: cells along each side of the image.
        fill: replacement of removed cells.
        seed: random seed of the sets, which do not depend on the map.

    Returns:
        The image itself, then ``samples`` images; ``amounts`` are the removed relevance.

    Raises:
        InputError: the map does not match the image, or no cell is visible.

    Example:
        >>> image, heatmap = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4))
        >>> heatmap[:2, :2] = 3.0
        >>> removal_edits(image, heatmap, n=4, samples=2, grid=2).amounts
        tensor([0., 3., 3.])
    """
    pixels, values = as_pixels(image, heatmap)
    cells, relevance, visible = _cells(values, grid)
    if not visible.size:
        raise InputError(f"heat map of shape {values.shape} is NaN everywhere")
    rng = np.random.default_rng((seed, 3))
    # One random number per cell of the whole grid, so the sets do not depend on visibility.
    draws = rng.random((samples, grid * grid))[:, visible]
    sets = visible[np.argsort(draws, axis=1)[:, : min(n, visible.size)]]
    end = filled(pixels, fill, seed)

    def make() -> Iterator[Pixels]:
        yield pixels
        for chosen in sets:
            yield np.where(np.isin(cells, chosen)[..., None], end, pixels)

    taken = relevance[sets].sum(1)
    return Perturbations(torch.from_numpy(np.append(0.0, taken)).float(), make)


def _cells(
    values: NDArray[np.float32], grid: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Index ``[H, W]`` of each pixel's cell, relevance ``[grid²]``, and visible cells' indices."""
    height, width = values.shape
    rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
    cells = rows[:, None] * grid + columns
    is_visible = ~np.isnan(values)
    total = np.bincount(cells[is_visible], values[is_visible], grid * grid).astype(np.float64)
    number = np.bincount(cells[is_visible], minlength=grid * grid)
    return cells, total * (grid * grid / values.size), np.flatnonzero(number).astype(np.int64)


def sensitivity_n(amounts: Tensor, scores: Tensor) -> Tensor:
    """Correlation of the removed relevance with the score drop. Higher is better.

    ``corr(Σ_{i ∈ x_S} R_i, S(x) − S(x without x_S))`` over random sets of n cells. Ancona et al.,
    ICLR 2018 (arXiv 1711.06104), section 3.2.

    Args:
        amounts: ``[m]`` removed relevance; the first entry belongs to the unedited image.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``, −1 to 1; NaN if all sets have the same relevance (a constant map) or effect.

    Example:
        >>> sensitivity_n(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.9, 0.8, 0.7]))
        tensor(1.)
    """
    lost = (scores[:1] - scores[1:]).movedim(0, -1)
    return pearson(amounts[1:].expand(lost.shape), lost)


def infidelity(amounts: Tensor, scores: Tensor) -> Tensor:
    """Squared error of the removed relevance as a prediction of the score drop. Lower is better.

    ``mean (β Σ_{i ∈ x_S} R_i − (S(x) − S(x without x_S)))²`` over random sets of cells, with the
    best-fitting β because relevance has no unit. Yeh et al., NeurIPS 2019 (arXiv 1901.09392),
    definition 2.1. It is in units of the squared score: compare methods on the same images.

    Args:
        amounts: ``[m]`` removed relevance; the first entry belongs to the unedited image.
        scores: ``[m, ...]``.

    Returns:
        ``[...]``, at least 0; a map of zeros has the mean squared score drop.

    Example:
        >>> infidelity(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
        tensor(0.5000)
    """
    lost = (scores[:1] - scores[1:]).double()
    taken = amounts[1:].double().reshape(-1, *(1,) * (lost.ndim - 1))
    square = taken.square().sum(0)
    beta = (taken * lost).sum(0) / square.where(square > 0, 1.0)
    return (beta * taken - lost).square().mean(0).float()


METRICS = (
    Metric(
        name="sensitivity_n",
        title="Sensitivity-n",
        source="Ancona et al., ICLR 2018, arXiv 1711.06104",
        value=sensitivity_n,
        higher_is_better=True,
        needs=("image", "score", "label"),
        edits=removal_edits,
        readings=("score",),
    ),
    Metric(
        name="infidelity",
        title="Infidelity",
        source="Yeh et al., NeurIPS 2019, arXiv 1901.09392",
        value=infidelity,
        higher_is_better=False,
        needs=("image", "score", "label"),
        edits=removal_edits,
        readings=("score",),
    ),
)
