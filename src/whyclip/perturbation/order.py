"""Order in which pixels or words are edited."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whyclip.errors import InputError


def falling_order(relevance: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
    """Sort elements by falling relevance.

    Ties are broken at random, because row-by-row order would favour the top of the image among the
    zeros of a clipped map. A constant map is therefore a random baseline. NaN (outside the crop)
    comes last.

    Args:
        relevance: any shape, flattened row by row.
        seed: random seed of the order of ties.

    Returns:
        Indices into the flattened relevance.

    Raises:
        InputError: a value is infinite.

    Example:
        >>> falling_order([[1.0, float("nan")], [-2.0, 3.0]]).tolist()
        [3, 0, 2, 1]
    """
    flat = np.asarray(relevance, dtype=np.float32).ravel()
    if np.isinf(flat).any():
        raise InputError(f"relevance of shape {np.shape(relevance)} has infinite values")
    shuffled = np.random.default_rng((seed, 1)).permutation(flat.size)
    keys = np.where(np.isnan(flat), np.inf, -flat)[shuffled]
    return shuffled[np.argsort(keys, kind="stable")]
