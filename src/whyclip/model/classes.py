"""The classes of a plain classifier, as directions that are scored by their logit."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from whyclip.errors import unknown


@dataclass(frozen=True)
class Classes:
    """A classifier's last linear layer: logit k is ``weight[k] · F + bias[k]``.

    Attributes:
        names: of the k classes, as the model's own configuration writes them.
        weight: ``[k, e]``.
        bias: ``[k]``.
    """

    names: tuple[str, ...]
    weight: Tensor
    bias: Tensor

    def index(self, prompt: str) -> int:
        """Find a class by its name, by one of the synonyms in it, or by its number.

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
