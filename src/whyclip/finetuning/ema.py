"""A moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of parameters.

    ``a ← d·a + (1 − d)·w`` after each step, with ``d = min(decay, (1 + step) / (10 + step))``, so
    that a short run is not dominated by its first weights.

    Args:
        parameters: named parameters that are trained.
        decay: largest ``d``, from 0 to below 1.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self.live = dict(parameters)
        self.shadow = {name: p.detach().clone() for name, p in self.live.items()}

    def to(self, device: torch.device) -> None:
        """Move the averages to a device."""
        self.shadow = {name: tensor.to(device) for name, tensor in self.shadow.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self.live.items():
            self.shadow[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load the averages of a checkpoint."""
        for name, tensor in self.shadow.items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def apply(self) -> None:
        """Write the averages into the parameters."""
        for name, parameter in self.live.items():
            parameter.copy_(self.shadow[name])
