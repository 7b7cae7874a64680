"""The vision transformer of OpenAI's CLIP, whose attribute names OpenCLIP kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from whyclip.models.patch_tokens import read_at_first, with_class_token
from whyclip.models.tower import ImageTower, Stream


class ClassTokenViT(ImageTower):
    """A ``VisionTransformer`` with a class token; ``visual`` is the module."""

    visual: Any

    @property
    def device(self) -> torch.device:
        return self.visual.class_embedding.device

    def embed(self, inputs: Tensor) -> Stream:
        visual = self.visual
        features = visual.conv1(inputs.to(visual.conv1.weight.dtype))
        first = visual.class_embedding.to(features.dtype)
        positions = visual.positional_embedding.to(features.dtype)
        x = with_class_token(first, features, positions, self.native_grid)
        return read_at_first(visual.ln_pre(self.drop(x)), features.shape[-2:])

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout before the first norm; here none."""
        return x

    @property
    def norm(self) -> nn.Module:
        return self.visual.ln_post

    def head(self, x: Tensor) -> Tensor:
        return x if self.visual.proj is None else x @ self.visual.proj
