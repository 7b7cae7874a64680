"""What pictures a model knows, told from their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class Domain:
    """The embeddings of pictures that a model was trained for, as one Gaussian.

    Attributes:
        mean: ``[e]`` mean of their unit embeddings.
        whiten: ``[e, e]`` maps what is off the mean to unit variance.
        border: the Mahalanobis distance that one of them in a hundred exceeds.
        note: what to tell a user whose picture lies beyond the border.
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

    def strangeness(self, embedding: Tensor) -> Tensor:
        """Distance of images from the domain, 1 at its border.

        The Mahalanobis distance of embeddings, as Lee et al., NeurIPS 2018 (arXiv 1807.03888),
        use it to find inputs unlike those trained on.

        Args:
            embedding: ``[..., e]`` of any length; only the direction is used.

        Returns:
            ``[...]``, 0 or more.
        """
        off = F.normalize(embedding.detach().float().cpu(), dim=-1) - self.mean
        return (off @ self.whiten).norm(dim=-1) / self.border

    def notes(self, embeddings: Tensor) -> list[tuple[str, ...]]:
        """The note for each image ``[b, e]`` that lies beyond the border, nothing for others."""
        return [
            (f"{self.note} (distance {far:.1f}, where 1 is the border)",) if far > 1 else ()
            for far in self.strangeness(embeddings).tolist()
        ]
