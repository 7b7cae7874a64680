"""A stand-in for a model: each patch's feature is the one-hot vector of its grey level."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from whyclip.models import Block, ImageTower, ModelView, Stream

PATCH = 8
# Black is padding, and no class.
STEP = 20


class NoBlock(Block):
    """Leaves tokens as they are; its values are the tokens."""

    heads, scale = 1, 1.0
    dtype = torch.float32

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x[:, None], x[:, None], x[:, None]

    def merge(self, o: Tensor) -> Tensor:
        return 0 * o

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        return x + update

    def out_proj(self, z: Tensor) -> Tensor:
        return z


class LevelTower(ImageTower):
    """Embeds the level of each patch; no patch sees another."""

    patch = PATCH
    norm = nn.Identity()
    device = torch.device("cpu")

    def __init__(self, classes: int, grid: int) -> None:
        self.classes, self.native_grid = classes, (grid, grid)
        self.blocks = (NoBlock(), NoBlock())

    def embed(self, inputs: Tensor) -> Stream:
        level = F.avg_pool2d(inputs[:, :1] * 255, PATCH)[:, 0]
        numbers = (level / STEP).round().long().clamp(0, self.classes).flatten(1)
        x = F.one_hot(numbers, self.classes + 1).float()
        first = torch.zeros(len(x), 1, self.classes + 1)
        content = torch.ones(len(x), x.shape[1] + 1, dtype=torch.bool)
        grid = (level.shape[1], level.shape[2])
        return Stream(
            torch.cat([first, x], 1), None, torch.zeros(len(x), dtype=torch.long), content, grid
        )

    def head(self, x: Tensor) -> Tensor:
        return x

    def encode(self, inputs: Tensor) -> Tensor:
        return self.embed(inputs).x[:, 0]


def level_view(classes: int, grid: int) -> ModelView:
    """A view of which only the image side is there; its preprocessing leaves values 0 to 1."""
    tower: Any = LevelTower(classes, grid)
    plain = Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    steps = Compose([Resize((grid * PATCH,) * 2), ToTensor(), plain])
    nothing: Any = None
    return ModelView("levels", tower, nothing, steps, nothing, classes + 1)


def level_of(number: int) -> tuple[int, int, int]:
    """Colour of a class."""
    return ((number + 1) * STEP,) * 3


def directions(classes: int) -> Tensor:
    """Embeddings of the classes ``[C, C + 1]``."""
    return torch.eye(classes + 1)[1:]
