"""Targets: directions in embedding space that embeddings are scored against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """n directions ``[n, e]``, each a score ``S = d · F/|F|`` of an embedding F.

    With unit directions the score is the cosine; with the difference of two unit directions it
    is the difference of two cosines. ``scale`` is the model's factor from score to logit.
    ``empty`` ``[e]`` is the unit embedding of the empty string; None if no method needs it.

    A plain classifier has a ``bias`` ``[n]``, and its score is the logit ``S = d · F + bias``.
    """

    directions: Tensor
    scale: float = 1.0
    empty: Tensor | None = None
    bias: Tensor | None = None

    def __len__(self) -> int:
        return len(self.directions)

    def __getitem__(self, part: slice) -> Targets:
        bias = None if self.bias is None else self.bias[part]
        return Targets(self.directions[part], self.scale, self.empty, bias)

    def to(self, device: torch.device | str) -> Targets:
        """Return the targets on another device."""

        def moved(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.to(device)

        directions = self.directions.to(device)
        return Targets(directions, self.scale, moved(self.empty), moved(self.bias))

    def score(self, embedding: Tensor) -> Tensor:
        """Score embeddings ``[..., e]`` against every target: ``[..., n]``."""
        if self.bias is not None:
            return embedding.float() @ self.directions.T + self.bias
        return F.normalize(embedding.float(), dim=-1) @ self.directions.T

    def paired(self, embedding: Tensor, numbers: Tensor) -> Tensor:
        """Score each of the embeddings ``[..., p, e]`` against one target, by index ``[p]``."""
        directions = self.directions[numbers].to(embedding.dtype)
        if self.bias is not None:
            return (embedding * directions).sum(-1) + self.bias[numbers]
        return (F.normalize(embedding, dim=-1) * directions).sum(-1)

    def gradient(self, embedding: Tensor) -> Tensor:
        """∂S/∂F at embeddings ``[b, e]``: ``[n, b, e]``.

        For ``S = d·F/|F|`` it is ``(d − (d·F̂) F̂) / |F|``; for a logit it is d.
        """
        if self.bias is not None:
            return self.directions[:, None].expand(-1, len(embedding), -1)
        length = embedding.float().norm(dim=-1, keepdim=True)
        unit = embedding.float() / length
        along = self.directions @ unit.T
        return (self.directions[:, None] - along[..., None] * unit) / length
