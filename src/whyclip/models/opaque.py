"""Encoders that support only black-box methods.

They do not pool tokens by attention (they average patches or are convolutional), so only their
input and score are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.inputs import written
from whyclip.models.tower import ImageTower, Stream, TextTower

Encode = Callable[[Tensor], Tensor]

# Sides of nominal patches, in order of preference; one of them divides every common input size.
NOMINAL_PATCHES = (16, 14, 32, 8)


class OpaqueImageTower(ImageTower):
    """An image encoder on a nominal grid.

    Args:
        encode: the library's own encoder, pixels ``[b, 3, H, W]`` to ``[b, e]``; an object with its
            model as an attribute, so that a copy calls the copied model.
        module: module that determines device and precision.
        size: height and width of its input in pixels.
        why: reason why its tokens are not pooled by attention.
        patch: its patch size, if it has patches.
    """

    blocks = ()
    fixed_grid_reason = "only its input and its embedding are available"

    def __init__(
        self,
        encode: Encode,
        module: nn.Module,
        size: tuple[int, int],
        why: str,
        patch: int | None = None,
    ) -> None:
        self._encode, self.module, self.opaque = encode, module, why
        height, width = size
        fitting = [p for p in NOMINAL_PATCHES if height % p == width % p == 0]
        self.patch = patch or (fitting[0] if fitting else height)
        self.native_grid = (height // self.patch, width // self.patch)
        self.size = size

    @property
    def input_size(self) -> tuple[int, int]:
        return self.size

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def embed(self, inputs: Tensor) -> Stream:
        grid = inputs.shape[-2] // self.patch, inputs.shape[-1] // self.patch
        b, t = len(inputs), grid[0] * grid[1]
        content = torch.ones(b, t, dtype=torch.bool, device=inputs.device)
        row = torch.zeros(b, dtype=torch.long, device=inputs.device)
        return Stream(inputs.new_empty(b, t, 0), None, row, content, grid)

    @property
    def norm(self) -> nn.Module:
        return nn.Identity()

    def head(self, x: Tensor) -> Tensor:
        return x

    def encode(self, inputs: Tensor) -> Tensor:
        return self._encode(inputs.to(next(self.module.parameters()).dtype))


class OpaqueTextTower(TextTower):
    """A text encoder; ``encode`` takes token ids ``[b, t]`` padded to the full context."""

    blocks = ()
    causal = False

    def __init__(
        self,
        encode: Encode,
        module: nn.Module,
        context: int,
        tokenizer: Any,
        why: str,
    ) -> None:
        self._encode, self.module, self.opaque = encode, module, why
        self.context, self.tokenizer = context, tokenizer

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def embed(self, inputs: Tensor) -> Stream:
        nothing = torch.empty(*inputs.shape, 0, device=inputs.device)
        return Stream(nothing, None, self.readout_index(inputs), written(self.tokenizer, inputs))

    def readout_index(self, ids: Tensor) -> Tensor:
        return torch.zeros(len(ids), dtype=torch.long, device=ids.device)

    @property
    def norm(self) -> nn.Module:
        return nn.Identity()

    def head(self, x: Tensor) -> Tensor:
        return x

    def encode(self, inputs: Tensor) -> Tensor:
        return self._encode(inputs)
