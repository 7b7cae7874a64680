"""Models of OpenAI's package (``clip.load``) as encoders.

Module names are those of OpenCLIP, with fewer parts. Its transformers take tokens on the first axis
and have a fixed mask for the full context, so texts are not shortened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.inputs import written
from whyclip.models.openclip.block import OpenCLIPBlock
from whyclip.models.openclip.class_token_vit import ClassTokenViT
from whyclip.models.openclip.resnet import ResNetTower
from whyclip.models.tower import ImageTower, Stream, TextTower
from whyclip.models.view import ModelView


def is_openai(model: Any) -> bool:
    """Whether a model is from OpenAI's package, by the name of its encoder's argument."""
    visual = getattr(model, "visual", None)
    return hasattr(visual, "input_resolution") and not hasattr(visual, "image_size")


@dataclass(frozen=True)
class OpenAIImageEncoder:
    """The model's own ``encode_image``."""

    model: Any

    def __call__(self, pixels: Tensor) -> Tensor:
        """Embed pixels ``[b, 3, H, W]``: ``[b, e]``."""
        return self.model.encode_image(pixels)


class OpenAIBlock(OpenCLIPBlock):
    """``ResidualAttentionBlock``: without layer scales, and with its own mask."""

    def __init__(self, module: Any) -> None:
        super().__init__(module, batch_first=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        return self.module(x.transpose(0, 1)).transpose(0, 1)

    def merge(self, o: Tensor) -> Tensor:
        return self.attn.out_proj(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        return x + self.module.mlp(self.module.ln_2(x))


class OpenAIImageTower(ClassTokenViT):
    """``VisionTransformer``, pooled at its class token."""

    def __init__(self, model: Any) -> None:
        self.model, self.visual = model, model.visual
        self.blocks = tuple(map(OpenAIBlock, self.visual.transformer.resblocks))
        self.patch = int(self.visual.conv1.kernel_size[0])
        self.native_grid = (int(self.visual.input_resolution) // self.patch,) * 2

    def encode(self, inputs: Tensor) -> Tensor:
        return self.model.encode_image(inputs.to(self.visual.conv1.weight.dtype))


class OpenAIResNetTower(ResNetTower):
    """``ModifiedResNet``, whose stem is part of its forward pass, not a method."""

    def stem(self, pixels: Tensor) -> Tensor:
        x, visual = pixels, self.visual
        for number in (1, 2, 3):
            relu = getattr(visual, f"relu{number}", None) or visual.relu
            conv, norm = getattr(visual, f"conv{number}"), getattr(visual, f"bn{number}")
            x = relu(norm(conv(x)))
        return visual.avgpool(x)


class OpenAITextTower(TextTower):
    """The text transformer, pooled at the largest id."""

    causal = True

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.blocks = tuple(map(OpenAIBlock, model.transformer.resblocks))
        self.context = int(model.context_length)

    @property
    def device(self) -> torch.device:
        return self.model.token_embedding.weight.device

    def embed(self, inputs: Tensor) -> Stream:
        dtype = self.model.visual.conv1.weight.dtype
        x = self.model.token_embedding(inputs).to(dtype)
        x = x + self.model.positional_embedding.to(dtype)
        t = inputs.shape[1]
        mask = torch.full((t, t), float("-inf"), dtype=dtype, device=x.device).triu_(1)
        content = written(self.tokenizer, inputs)
        return Stream(x, mask[None, None], self.readout_index(inputs), content)

    def trim(self, inputs: Tensor) -> Tensor:
        return inputs

    def readout_index(self, ids: Tensor) -> Tensor:
        return ids.argmax(-1)

    @property
    def norm(self) -> nn.Module:
        return self.model.ln_final

    def head(self, x: Tensor) -> Tensor:
        return x @ self.model.text_projection

    def encode(self, inputs: Tensor) -> Tensor:
        return self.model.encode_text(inputs)


def openai_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a model of ``clip.load``.

    Raises:
        UnsupportedModelError: unknown image encoder.
    """
    visual = model.visual
    if hasattr(visual, "attnpool"):
        image: ImageTower = OpenAIResNetTower(visual, OpenAIImageEncoder(model))
    elif hasattr(visual, "class_embedding"):
        image = OpenAIImageTower(model)
    else:
        raise UnsupportedModelError(f"{name}: image encoder {type(visual).__name__} is not known")
    width = int(model.text_projection.shape[1])
    text = OpenAITextTower(model, tokenizer)
    return ModelView(name, image, text, preprocess, tokenizer, width, module=model)
