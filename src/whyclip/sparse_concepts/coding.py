"""Non-negative sparse coding over a vocabulary, with scikit-learn's Lasso."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyclip.errors import OptionError

Floats = NDArray[np.float64]

_ITERATIONS = 20_000
_TOLERANCE = 1e-8


def sparse_code(dictionary: Floats, target: Floats, penalty: float) -> Floats:
    """Minimise ``½‖C w − z‖² + λ Σ w`` over ``w ≥ 0``.

    SpLiCE, Bhalla et al., NeurIPS 2024, half the objective of equation 3.

    Args:
        dictionary: ``C`` as rows ``[v, e]``, one per word.
        target: ``z`` ``[e]``.
        penalty: ``λ``; all weights are 0 from ``max(C z)`` on.

    Returns:
        ``w`` ``[v]``.

    Raises:
        OptionError: scikit-learn is not installed.
    """
    lasso = _lasso()
    model = lasso(
        # scikit-learn divides the squared error by the number of rows, here e.
        alpha=penalty / target.size,
        positive=True,
        fit_intercept=False,
        max_iter=_ITERATIONS,
        tol=_TOLERANCE,
    )
    with warnings.catch_warnings():
        # Equal embeddings in the vocabulary slow convergence but do not worsen the solution.
        warnings.simplefilter("ignore")
        model.fit(dictionary.T, target)
    weights: Floats = np.asarray(model.coef_, dtype=np.float64)
    return weights


def _lasso() -> Any:
    try:
        from sklearn.linear_model import Lasso
    except ImportError:
        raise OptionError("concepts need scikit-learn; pip install 'whyclip[concepts]'") from None
    return Lasso


def unit_rows(rows: Floats) -> Floats:
    """Scale rows to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = rows / np.where(lengths > 0, lengths, 1.0)
    return scaled
