"""P values adjusted for many comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyclip.errors import InputError


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values to control the probability of any false positive (family-wise error).

    Holm's step-down: with ``p_(1) ≤ … ≤ p_(m)``, the adjusted value of ``p_(i)`` is
    ``max over j ≤ i of min(1, (m − j + 1) p_(j))``. It is valid under any dependence between the
    comparisons. Holm, Scandinavian Journal of Statistics 6, 1979.

    Args:
        p_values: ``[m]``, 0 to 1; a NaN counts as no comparison and stays NaN.

    Returns:
        ``[m]`` in the order of the input. A comparison is significant at 5 % if it is ≤ 0.05.

    Raises:
        InputError: they are not one row of numbers from 0 to 1.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    row, there, order = _ordered(p_values)
    m = len(order)
    stepped = np.maximum.accumulate((m - np.arange(m)) * row[there][order])
    return _placed(row, there, order, np.minimum(stepped, 1))


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values to control the expected proportion of false positives (FDR).

    With ``p_(1) ≤ … ≤ p_(m)``, the adjusted value of ``p_(i)`` is ``min over j ≥ i of
    min(1, m p_(j) / j)``. It is valid for independent and positively dependent comparisons.
    Benjamini & Hochberg, Journal of the Royal Statistical Society B 57, 1995.

    Args:
        p_values: ``[m]``, 0 to 1; a NaN counts as no comparison and stays NaN.

    Returns:
        ``[m]`` in the order of the input.

    Raises:
        InputError: they are not one row of numbers from 0 to 1.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    row, there, order = _ordered(p_values)
    m = len(order)
    scaled = m / np.arange(1, m + 1) * row[there][order]
    stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    return _placed(row, there, order, np.minimum(stepped, 1))


def _ordered(
    p_values: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.intp]]:
    row = np.asarray(p_values, dtype=np.float64)
    there = ~np.isnan(row)
    if row.ndim != 1 or ((row[there] < 0) | (row[there] > 1)).any():
        raise InputError(f"p values {p_values!r:.80}; give one row of numbers from 0 to 1")
    return row, there, np.argsort(row[there], kind="stable")


def _placed(
    row: NDArray[np.float64],
    there: NDArray[np.bool_],
    order: NDArray[np.intp],
    stepped: NDArray[np.float64],
) -> NDArray[np.float64]:
    adjusted = np.empty(len(order))
    adjusted[order] = stepped
    result = np.full(len(row), np.nan)
    result[there] = adjusted
    return result
