"""Simulations of values over several models and images, for ``benchmarks.coverage``.

A value is the sum of a model effect, an image effect and a residual. The truth is the mean over the
populations of models and images. All models have the same images (crossed), or each model has its
own (nested). The criterion, written beforehand: coverage of at least 0.93 with 5, 6 and 8 models,
except if the model effects are skewed. That case is only reported, because five values cannot show
the skewness of their distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator, int], Any]
MODELS = (3, 4, 5, 6, 8)
LEAST_MODELS = 5
IMAGES = 40


def normal(spread: float) -> Draw:
    return lambda rng, n: rng.normal(0, spread, n)


def centred_exponential(rng: np.random.Generator, n: int) -> Any:
    return rng.exponential(1, n) - 1


def centred_lognormal(rng: np.random.Generator, n: int) -> Any:
    return rng.lognormal(0, 1, n) - math.exp(0.5)


def two_kinds(rng: np.random.Generator, n: int) -> Any:
    """Effects of two kinds of models, half of the models each."""
    return rng.choice([-1.0, 1.0], n)


@dataclass(frozen=True)
class ModelCell:
    """Effects with mean 0 of models, of images, and of their combination."""

    name: str
    of_models: Draw
    of_images: Draw
    rest: float
    crossed: bool = True
    skewed_models: bool = False
    paired: bool = False

    @property
    def title(self) -> str:
        return f"models, {self.name}"

    def interval(self, rng: np.random.Generator, models: int, images: int = IMAGES) -> Any:
        from whyclip.stats.hierarchical import hierarchical_difference, hierarchical_interval

        model = np.repeat(np.arange(models), images)
        image = np.tile(np.arange(images), models)
        if not self.crossed:
            image = image + 1000 * model
        _, index = np.unique(image, return_inverse=True)
        effect = self.of_images(rng, index.max() + 1)[index]
        values = (
            self.of_models(rng, models)[model] + effect + self.rest * rng.normal(size=len(model))
        )
        # Some images lack a value for some models.
        values[rng.random(len(values)) < 0.1] = np.nan
        if self.paired:
            other = rng.normal(0, 3, models)[model] + rng.normal(0, 3, index.max() + 1)[index]
            return hierarchical_difference(values + other, other, model, image)
        return hierarchical_interval(values, model, image)


MODEL_CELLS = (
    ModelCell("normal, all effects alike", normal(1), normal(1), 1),
    ModelCell("only models differ", normal(1), normal(0), 0.1),
    ModelCell("only images differ", normal(0), normal(1), 0.5),
    ModelCell("models do not differ", normal(0), normal(0), 1),
    ModelCell("images log-normal", normal(0.3), centred_lognormal, 1),
    ModelCell("images log-normal, little else", normal(0.05), centred_lognormal, 0.2),
    ModelCell("images log-normal, nested", normal(0.3), centred_lognormal, 1, crossed=False),
    ModelCell("images exponential, large", normal(0.2), centred_exponential, 0.5),
    ModelCell("two kinds of models", two_kinds, centred_exponential, 1),
    ModelCell("paired", normal(0.5), centred_exponential, 1, paired=True),
    ModelCell("skewed models", centred_exponential, normal(1), 1, skewed_models=True),
)


def measured(cell: ModelCell, repetitions: int) -> dict[str, dict[str, float]]:
    """Measure coverage, share of intervals with bounds and mean width, by number of models."""
    rows = {}
    for models in MODELS:
        rng = np.random.default_rng((models, *cell.title.encode()))
        values = [cell.interval(rng, models) for _ in range(repetitions)]
        bounded = [value for value in values if not math.isnan(value.low)]
        missed = sum(not value.low <= 0 <= value.high for value in bounded)
        rows[str(models)] = {
            "coverage": round(1 - missed / repetitions, 4),
            "bounded": round(len(bounded) / repetitions, 4),
            "width": float(f"{np.mean([v.high - v.low for v in bounded]):.4g}")
            if bounded
            else math.nan,
        }
    return rows
