"""Classes of a plain classifier, as directions scored by their logit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from whyclip.errors import unknown


@dataclass(frozen=True)
class ClassifierHead:
    """A classifier's last linear layer: logit k is ``weight[k] · F + bias[k]``.

    Attributes:
        names: names of the k classes, from the model's configuration.
        layer: the linear layer; its weights are read on access.
    """

    names: tuple[str, ...]
    layer: nn.Linear

    @property
    def weight(self) -> Tensor:
        """``[k, e]`` float32."""
        return self.layer.weight.detach().float()

    @property
    def bias(self) -> Tensor:
        """``[k]`` float32; zeros if the layer has none."""
        if self.layer.bias is None:
            return torch.zeros(len(self.layer.weight), device=self.layer.weight.device)
        return self.layer.bias.detach().float()

    def index(self, prompt: str) -> int:
        """Find a class by its name, one of the synonyms in its name, or its number.

        Raises:
            OptionError: no such class; the message names the nearest.
        """
        if prompt in self.names:
            return self.names.index(prompt)
        wanted = prompt.strip().casefold()
        for index, name in enumerate(self.names):
            if wanted in (part.strip().casefold() for part in (name, *name.split(","))):
                return index
        if wanted.isdecimal() and int(wanted) < len(self.names):
            return int(wanted)
        raise unknown("class of this classifier", prompt, self.names)
