"""In-distribution check of images, by texture, contrast and colours of their patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

LEVELS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
_CELL = 16
_LUMA = (0.30, 0.59, 0.11)
# One grey level in 100, squared; smaller differences are compression artefacts.
_FLOOR = 4e-4


def patch_statistics(pixels: Tensor) -> Tensor:
    """Compute quantiles of five statistics over an image's 16-pixel patches.

    The statistics are the log energy of the Laplacian, log variance and log largest step of the
    lightness, mean colourfulness (largest minus smallest channel), and log variance of the
    colours. Photographs have fine texture nearly everywhere, and drawings nearly nowhere; see
    Ruderman, "The statistics of natural images", Network 1994.

    Args:
        pixels: ``[b, 3, H, W]``, -1..1; pixels beyond whole patches are ignored.

    Returns:
        float32 ``[b, 35]``: five statistics times ``LEVELS``.
    """
    x = pixels.detach().float().cpu()
    b, _, height, width = x.shape
    rows, columns = height // _CELL, width // _CELL
    x = x[..., : rows * _CELL, : columns * _CELL].reshape(b, 3, rows, _CELL, columns, _CELL)
    cells = x.permute(0, 2, 4, 1, 3, 5).reshape(b, rows * columns, 3, _CELL, _CELL)
    light = (cells * torch.tensor(_LUMA).view(3, 1, 1)).sum(2)
    around = light[..., :-2, 1:-1] + light[..., 2:, 1:-1] + light[..., 1:-1, :-2]
    laplacian = 4 * light[..., 1:-1, 1:-1] - around - light[..., 1:-1, 2:]
    figures = (
        (laplacian.square().mean((-1, -2)) + _FLOOR).log(),
        (light.var((-1, -2)) + _FLOOR).log(),
        (light.diff(dim=-1).abs().amax((-1, -2)) + _FLOOR**0.5).log(),
        (cells.amax(2) - cells.amin(2)).mean((-1, -2)),
        ((cells - cells.mean(2, keepdim=True)).var((-1, -2)).mean(2) + _FLOOR).log(),
    )
    levels = torch.tensor(LEVELS)
    return torch.cat([figure.quantile(levels, dim=1).T for figure in figures], 1)


@dataclass(frozen=True)
class Domain:
    """Gaussian model of the patch statistics of a model's training images.

    It does not use embeddings, because they do not separate photographs from drawings.

    Attributes:
        mean: ``[35]`` mean of the statistics.
        whiten: ``[35, 35]`` matrix that maps deviations from the mean to unit variance.
        border: Mahalanobis distance that 1 % of the training images exceed.
        note: warning for an image beyond the border.
    """

    mean: Tensor
    whiten: Tensor
    border: float
    note: str

    @classmethod
    def read(cls, path: Path, note: str) -> Domain:
        """Read ``mean``, ``whiten`` and ``border`` from a safetensors file."""
        fitted = load_file(path)
        return cls(fitted["mean"], fitted["whiten"], float(fitted["border"]), note)

    def strangeness(self, pixels: Tensor) -> Tensor:
        """Distance of images from the domain, 1 at its border.

        It is the Mahalanobis distance of their :func:`patch_statistics`, divided by ``border``.

        Args:
            pixels: ``[b, 3, H, W]`` from the model's own preprocessing, -1..1.

        Returns:
            ``[b]``, 0 or more.
        """
        off = patch_statistics(pixels) - self.mean
        return (off @ self.whiten).norm(dim=-1) / self.border

    def notes(self, pixels: Tensor) -> list[tuple[str, ...]]:
        """Return the note for each image ``[b, 3, H, W]`` beyond the border, none for others."""
        return [
            (f"{self.note} (distance {far:.1f}, where 1 is the border)",) if far > 1 else ()
            for far in self.strangeness(pixels).tolist()
        ]
