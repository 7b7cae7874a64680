"""Correlations do not depend on the unit of what is correlated, nor read noise of rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from whyclip.stats.correlation import pearson, spearman

Correlation = Callable[[Tensor, Tensor], Tensor]
SCALES = [10.0**power for power in range(-6, 7)]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_the_unit_does_not_matter(correlation: Correlation, scale: float) -> None:
    a, b = drawn(5, 40), drawn(5, 40, seed=1)
    expected = correlation(a, b)
    assert expected.abs().min() > 1e-3
    for result in (
        correlation(a * scale, b),
        correlation(a, b * scale),
        correlation(a * scale, b / scale),
        -correlation(a * -scale, b),
    ):
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-6)
    by_numpy = [np.corrcoef(x * scale, y)[0, 1] for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    if correlation is pearson:
        np.testing.assert_allclose(pearson(a * scale, b), by_numpy, rtol=1e-4)


@pytest.mark.parametrize("level", [1e-6, 0.1, 1.0, 1000.0, 1e6])
def test_what_rounding_leaves_of_a_constant_is_no_variation(level: float) -> None:
    noise = level * (1 + 5e-8 * drawn(64).double().clamp(-1, 1))
    assert noise.unique().numel() > 30
    for constant in (noise, torch.full((64,), level)):
        assert pearson(constant, drawn(64, seed=3)).isnan()
        assert pearson(drawn(64, seed=3), constant).isnan()


def test_a_small_variation_on_a_great_level_counts() -> None:
    """Ten thousand times what float32 rounds off is a map, not noise."""
    a, b = drawn(40).double(), drawn(40, seed=1).double()
    torch.testing.assert_close(pearson(1000 + a, b), pearson(a, b), rtol=1e-4, atol=1e-6)
