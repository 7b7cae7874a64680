"""Small pictures with two objects each, and methods planted to be caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from whyclip.datasets.dataset import Dataset, Sample
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import Method, Relevance
from whyclip.methods.method import input_only

NAMES = ("dog", "red car", "tall green tree", "house")


class Toy(Dataset):
    """Noise with two coloured halves; the labels say nothing that the model could know."""

    name = "toy"

    def __init__(
        self,
        n: int = 10,
        *,
        labels: bool = True,
        masks: bool = True,
        names: tuple[str, ...] = NAMES,
    ) -> None:
        self.words = names
        self.classes = self.names = names if labels else ()
        self.n, self.labels, self.masks = n, labels, masks

    def __len__(self) -> int:
        return self.n

    def sample(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
        pixels[:, :16] += rng.integers(0, 120, 3, dtype=np.uint8)
        left = np.zeros((32, 32), bool)
        left[:, :16] = True
        one, other = rng.permutation(len(self.words))[:2]
        prompts = tuple(f"a photo of a {self.words[i]}." for i in (one, other))
        labels = tuple(self.words[i] for i in (one, other)) if self.labels else prompts
        masks = {labels[0]: left, labels[1]: ~left} if self.masks else None
        return Sample(f"toy-{index}", Image.fromarray(pixels), labels, prompts, masks)


def planted(name: str, relevance: Any, **claims: Any) -> Method:
    """A method that reads nothing of the model but what its function asks for."""
    return Method(
        **{
            "name": name,
            "title": name,
            "source": "a test",
            "relevance": relevance,
            "text_specific": True,
            "signed": True,
            "cost": "1",
            "explains": "nothing",
            "sides": ("image",),
            "blocks_needed": input_only,
            **claims,
        }
    )


def centre_blob(forward_pass: ForwardPass) -> Relevance:
    """High in the middle of every picture, whatever is asked."""
    gh, gw = forward_pass.stream.grid or (1, 1)
    y, x = torch.meshgrid(torch.arange(gh) + 0.5, torch.arange(gw) + 0.5, indexing="ij")
    # The rows are told apart by a little, so that no two patches are equal.
    blob = -((y - gh / 2) ** 2 + (x - gw / 2) ** 2) + 0.01 * y + 0.003 * x
    values = torch.zeros(
        len(forward_pass.inputs), len(forward_pass.targets), forward_pass.content_mask.shape[1]
    )
    values[:, :, forward_pass.content_mask[0]] = blob.flatten()
    return Relevance(values, forward_pass.embedding)


def by_masking(forward_pass: ForwardPass) -> Relevance:
    """How far the score falls when a patch is taken out of the sequence of tokens."""
    tower = forward_pass.tower
    x = tower.embed(forward_pass.inputs).x
    values = torch.zeros(1, len(forward_pass.targets), x.shape[1])
    with torch.no_grad():
        for token in forward_pass.content_mask[0].nonzero()[:, 0].tolist():
            left = torch.cat([x[:, :token], x[:, token + 1 :]], 1)
            for block in tower.blocks:
                left = block.forward(left, None)
            score = forward_pass.targets.score(tower.project(left[:, 0]))
            values[0, :, token] = (forward_pass.targets.score(forward_pass.embedding) - score)[0]
    return Relevance(values, forward_pass.embedding)


BLOB = planted("centre_blob", centre_blob)
GOOD = planted("by_masking", by_masking, explains="the model itself")
