"""OpenCLIP's vision transformer as an encoder, and OpenCLIP's models as pairs of encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.models.opaque import Encode, OpaqueImageTower
from whyclip.models.openclip.block import transformer_blocks
from whyclip.models.openclip.class_token_vit import ClassTokenViT
from whyclip.models.openclip.pooler import AttentionalPoolerBlock
from whyclip.models.openclip.resnet import ResNetTower
from whyclip.models.openclip.text import text_tower
from whyclip.models.timm.tower import timm_tower
from whyclip.models.tower import Block, ImageTower
from whyclip.models.view import ModelView


@dataclass(frozen=True)
class ImageEncoder:
    """The library's ``encode_image``; a copy calls its copy of the model."""

    model: Any

    def __call__(self, pixels: Tensor) -> Tensor:
        """Embed pixels ``[b, 3, H, W]``: ``[b, e]``."""
        output = self.model.encode_image(pixels, normalize=False)
        # With output_tokens, the embedding is the first of two.
        embedding = output[0] if isinstance(output, tuple) else output
        # Some poolings of the library keep an axis of one query.
        return embedding.flatten(1)


class OpenCLIPImageTower(ClassTokenViT):
    """OpenCLIP's ``VisionTransformer``, pooled at its class token or by an attentional pooler."""

    def __init__(self, visual: Any, encode: Encode) -> None:
        self.visual, self._encode = visual, encode
        blocks: tuple[Block, ...] = transformer_blocks(visual.transformer)
        # OpenCLIP's CoCa norms its pooler's output; the "parallel" variant norms the input.
        self.norm_before_pool = visual.attn_pool is not None and visual.attn_pool_type != ""
        if self.norm_before_pool:
            blocks += (AttentionalPoolerBlock(visual.attn_pool_contrastive, visual.ln_post),)
        elif visual.attn_pool is not None:
            blocks += (AttentionalPoolerBlock(visual.attn_pool),)
        self.blocks = blocks
        self.patch = int(visual.conv1.kernel_size[0])
        rows, columns = visual.grid_size
        self.native_grid = (int(rows), int(columns))

    def drop(self, x: Tensor) -> Tensor:
        return self.visual.patch_dropout(x)

    @property
    def norm(self) -> nn.Module:
        return nn.Identity() if self.norm_before_pool else self.visual.ln_post

    def encode(self, inputs: Tensor) -> Tensor:
        return self._encode(inputs.to(self.visual.conv1.weight.dtype))


def _unread(visual: Any) -> str:
    """Return why a ``VisionTransformer`` has no attention pooling of patches; empty if it has."""
    if visual.attn_pool is not None and visual.attn_pool_type == "cascade":
        return "its pooling attends to learned queries, not to patches (cascaded pooling)"
    if visual.pool_type == "avg":
        averaged = "patches" if visual.attn_pool is None else "pooling queries"
        return f"it averages its {averaged}"
    return ""


def image_tower(model: Any) -> ImageTower:
    """Wrap the image encoder of an OpenCLIP model.

    Raises:
        UnsupportedModelError: the encoder has no single embedding.
    """
    visual, encode = model.visual, ImageEncoder(model)
    if hasattr(visual, "trunk"):
        return timm_tower(visual, encode)
    if hasattr(visual, "attnpool"):
        return ResNetTower(visual, encode)
    if not hasattr(visual, "class_embedding"):
        kind = type(visual).__name__
        raise UnsupportedModelError(f"image encoder {kind} is not supported")
    if visual.pool_type == "none" and visual.attn_pool is None:
        raise UnsupportedModelError(
            "image encoder pools by 'none', which gives no single embedding; use 'tok'"
        )
    why = _unread(visual)
    if why:
        patch = int(visual.conv1.kernel_size[0])
        return OpaqueImageTower(encode, visual, tuple(visual.image_size), why, patch)
    return OpenCLIPImageTower(visual, encode)


def openclip_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap an OpenCLIP ``CLIP``, ``CustomTextCLIP`` or ``CoCa``.

    Raises:
        UnsupportedModelError: an encoder is not supported.
    """
    image, text = image_tower(model), text_tower(model, tokenizer)
    width = embedding_width(model)
    return ModelView(name, image, text, preprocess, tokenizer, width, module=model)


def embedding_width(model: Any) -> int:
    """Find the width of the embedding space, which some image encoders do not declare."""
    if getattr(model.visual, "proj", model) is None and hasattr(model.visual, "ln_post"):
        # Its output_dim belongs to a projection that does not exist.
        return int(model.visual.ln_post.normalized_shape[0])
    for part in (model.visual, getattr(model, "text", model)):
        width = getattr(part, "output_dim", None)
        if width is not None:
            return int(width)
    projection = model.text_projection
    return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
