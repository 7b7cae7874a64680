"""What an embedding is compared with: directions in embedding space."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """n directions ``[n, e]``, each a score ``S = d · F/|F|`` of an embedding F.

    With unit directions the score is the cosine; with the difference of two unit directions it
    is the difference of two cosines. ``scale`` is the model's own factor from score to logit.
    ``empty`` ``[e]`` is what a direction holds for saying nothing, the unit direction of the
    empty string; None where no method asked for it.
    """

    directions: Tensor
    scale: float = 1.0
    empty: Tensor | None = None

    def __len__(self) -> int:
        return len(self.directions)

    def __getitem__(self, part: slice) -> Targets:
        return Targets(self.directions[part], self.scale, self.empty)

    def score(self, embedding: Tensor) -> Tensor:
        """Score embeddings ``[..., e]`` against every target: ``[..., n]``."""
        return F.normalize(embedding.float(), dim=-1) @ self.directions.T

    def gradient(self, embedding: Tensor) -> Tensor:
        """∂S/∂F at embeddings ``[b, e]``: ``[n, b, e]``.

        For ``S = d·F/|F|`` it is ``(d − (d·F̂) F̂) / |F|``.
        """
        length = embedding.float().norm(dim=-1, keepdim=True)
        unit = embedding.float() / length
        along = self.directions @ unit.T
        return (self.directions[:, None] - along[..., None] * unit) / length
