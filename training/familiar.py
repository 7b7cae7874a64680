"""Tell whether a picture is anything like the scenes that the embedded model was trained on."""

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
    """Return how far pictures are from scenes, 1 at the border of what scenes reach.

    Args:
        pixels: `[b, 3, H, W]`, -1..1, as mini's own preprocessing gives them.
        folder: where the fitted statistics are.

    Returns:
        Distances `[b]`, 0 or more; see `whyclip.models.domain.Domain`.
    """
    return _domain(folder / FILE).strangeness(pixels)


def fit(folder: Path = WEIGHTS, n: int = 4000) -> None:
    """Fit the statistics to scenes of the val split and write them beside the weights.

    Half of the scenes give mean and covariance, the other half the border.
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
    # A little of the mean variance everywhere: what scenes never do is strange, not infinitely so.
    ridge = _RIDGE * covariance.diagonal().mean() * torch.eye(len(mean))
    values, vectors = torch.linalg.eigh(covariance + ridge)
    whiten = vectors / values.sqrt()
    border = ((outer - mean) @ whiten).norm(dim=-1).quantile(1 - FALSE_ALARMS)
    fitted = {"mean": mean, "whiten": whiten, "border": border.reshape(1)}
    save_file({name: t.contiguous() for name, t in fitted.items()}, folder / FILE)


def main(
    folder: Annotated[Path, typer.Argument(help="the weights' folder")] = WEIGHTS,
    n: Annotated[int, typer.Option(help="scenes to fit to")] = 4000,
) -> None:
    """Fit what counts as like a scene, after training."""
    fit(folder, n)
    Console().print(f"written to {folder / FILE}")


if __name__ == "__main__":
    typer.run(main)
