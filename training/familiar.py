"""Fit the in-distribution check of the embedded model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from safetensors.torch import save_file

from training.evaluate import WEIGHTS
from whyclip.models.domain import Domain, patch_statistics
from whyclip.scenes.drawing import draw
from whyclip.scenes.layout import SIDE, keys_of, sample_layouts
from whyclip.scenes.sprites import load_atlas

FILE = "familiar.safetensors"
FALSE_ALARMS = 0.01
_RIDGE = 0.05
_AT_ONCE = 50


@lru_cache(maxsize=2)
def _domain(path: Path) -> Domain:
    return Domain.read(path, "")


def strangeness(pixels: torch.Tensor, folder: Path = WEIGHTS) -> torch.Tensor:
    """Compute the out-of-distribution score of images, 1 at the threshold.

    Args:
        pixels: `[b, 3, H, W]`, -1..1, from mini's own preprocessing.
        folder: folder of the fitted statistics.

    Returns:
        Distances `[b]`, 0 or more; see `whyclip.models.domain.Domain`.
    """
    return _domain(folder / FILE).strangeness(pixels)


def fit(folder: Path = WEIGHTS, n: int = 4000) -> None:
    """Fit the statistics to scenes of the val split and write them next to the weights.

    Half of the scenes determine mean and covariance, the other half the threshold.
    """
    atlas, parts = load_atlas(), []
    for start in range(0, n, _AT_ONCE):
        keys = keys_of(8 * 10**8 + np.arange(start, start + _AT_ONCE), "val")
        images, _ = draw(atlas, sample_layouts(atlas, keys), SIDE, SIDE)
        parts.append(patch_statistics(images * 2 - 1))
    found = torch.cat(parts)
    inner, outer = found[: n // 2], found[n // 2 :]
    mean = inner.mean(0)
    covariance = torch.cov(inner.T)
    # Add a little of the mean variance, so that unseen variation has a finite distance.
    ridge = _RIDGE * covariance.diagonal().mean() * torch.eye(len(mean))
    values, vectors = torch.linalg.eigh(covariance + ridge)
    whiten = vectors / values.sqrt()
    border = ((outer - mean) @ whiten).norm(dim=-1).quantile(1 - FALSE_ALARMS)
    fitted = {"mean": mean, "whiten": whiten, "border": border.reshape(1)}
    save_file({name: t.contiguous() for name, t in fitted.items()}, folder / FILE)


def main(
    folder: Annotated[Path, typer.Argument(help="the weights' folder")] = WEIGHTS,
    n: Annotated[int, typer.Option(help="number of scenes")] = 4000,
) -> None:
    """Fit the in-distribution check, after training."""
    fit(folder, n)
    Console().print(f"written to {folder / FILE}")


if __name__ == "__main__":
    typer.run(main)
