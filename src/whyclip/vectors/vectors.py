"""The summands of one embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.targets import Targets


@dataclass(frozen=True)
class Vectors:
    """The embedding of one input as a sum.

    Attributes:
        tokens: ``[t, k]`` one vector per token; k is the width of the embedding, or the number of
            directions that the vectors were multiplied by.
        embedding: ``[e]`` output of the decomposed computation.
        remainders: ``[k]`` by name, parts that belong to no token; each is computed directly.
        unattributed: ``[k]`` difference of the embedding from their sum; None if they sum to the
            embedding by construction.
    """

    tokens: Tensor
    embedding: Tensor
    remainders: Mapping[str, Tensor] = field(default_factory=dict)
    unattributed: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """Sum of tokens and remainders, ``[k]``."""
        return torch.stack([self.tokens.sum(0), *self.remainders.values()]).sum(0)


def aimed(forward_pass: ForwardPass, along: Tensor | None) -> ForwardPass:
    """Score a forward pass by plain products with directions ``[k, e]``, or with every axis.

    A method whose relevance is linear in its target then returns each token's vector.
    """
    embedding = forward_pass.embedding
    if along is None:
        along = torch.eye(embedding.shape[1], device=embedding.device)
    along = along.float()
    return forward_pass.with_targets(
        Targets(along, bias=along.new_zeros(len(along))), use_jacobian=False
    )
