"""The ViT classifier of transformers: one encoder, with the rows of its last layer as targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.models.classifier_head import ClassifierHead
from whyclip.models.frozen import Affine, chain, residual
from whyclip.models.patch_tokens import layout_of, read_at_first, with_class_token
from whyclip.models.tower import (
    Block,
    ImageTower,
    Stream,
    TextTower,
    split_heads,
)
from whyclip.models.view import ModelView


class ViTBlock(Block):
    """``ViTLayer`` of transformers 5, and of 4 with nested modules."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        nested = getattr(layer.attention, "attention", None)
        inner = layer.attention if nested is None else nested
        self.inner = inner
        self.names = ("query", "key", "value")
        if not hasattr(inner, "query"):
            self.names = ("q_proj", "k_proj", "v_proj")
        self.nested = nested is not None
        self.heads = int(inner.num_attention_heads)
        self.scale = float((getattr(inner, self.names[0]).weight.shape[0] // self.heads) ** -0.5)

    @property
    def out(self) -> Any:
        """The output projection, looked up at each call, because adapters replace it."""
        attention = self.layer.attention
        return attention.output.dense if self.nested else attention.o_proj

    @property
    def dtype(self) -> torch.dtype:
        return self.out.weight.dtype

    @property
    def hooked(self) -> nn.Module | None:
        return self.layer

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        del mask
        out = self.layer(x)
        return out[0] if isinstance(out, tuple) else out

    def first_norm(self, x: Tensor) -> Tensor:
        return self.layer.layernorm_before(x)

    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (split_heads(getattr(self.inner, n)(x), self.heads) for n in self.names)
        return q, k, v

    def merge(self, o: Tensor) -> Tensor:
        return self.out(o)

    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        x = x + update
        normed = self.layer.layernorm_after(x)
        if hasattr(self.layer, "mlp"):
            return x + self.layer.mlp(normed)
        return x + self.layer.output.dense(self.layer.intermediate(normed))

    def out_proj(self, z: Tensor) -> Tensor:
        return self.out(z)

    def frozen_value(self, x: Tensor) -> Affine:
        return chain(x, self.layer.layernorm_before, getattr(self.inner, self.names[2]))

    def frozen_merge(self, o: Tensor) -> Affine:
        return chain(o, self.out)

    def frozen_finish(self, s: Tensor) -> Affine:
        layer = self.layer
        if hasattr(layer, "mlp"):
            return residual(s, layer.layernorm_after, layer.mlp)
        inner = layer.intermediate
        steps = (inner.dense, inner.intermediate_act_fn, layer.output.dense)
        return residual(s, layer.layernorm_after, *steps)


class ViTTower(ImageTower):
    """``ViTModel`` pooled at its class token; the embedding is the classifier's input."""

    def __init__(self, model: Any) -> None:
        self.model, self.vit = model, model.vit
        layers = self.vit.layers if hasattr(self.vit, "layers") else self.vit.encoder.layer
        self.blocks = tuple(ViTBlock(layer) for layer in layers)
        self.patch, self.native_grid, self.native_size = layout_of(model.config)

    @property
    def device(self) -> torch.device:
        return self.vit.embeddings.cls_token.device

    def embed(self, inputs: Tensor) -> Stream:
        parts = self.vit.embeddings
        project = parts.patch_embeddings.projection
        features = project(inputs.to(project.weight.dtype))
        positions = parts.position_embeddings[0]
        x = with_class_token(parts.cls_token, features, positions, self.native_grid)
        return read_at_first(x, features.shape[-2:])

    @property
    def norm(self) -> nn.Module:
        return self.vit.layernorm

    def head(self, x: Tensor) -> Tensor:
        return x

    def encode(self, inputs: Tensor) -> Tensor:
        weights = self.vit.embeddings.patch_embeddings.projection.weight
        # Black-box methods use other grids, which the library also interpolates.
        other = tuple(inputs.shape[-2:]) != self.input_size
        pixels = inputs.to(weights.dtype)
        output = self.vit(pixels, interpolate_pos_encoding=other)
        # A copy, because a view would keep all tokens in memory.
        return output.last_hidden_state[:, 0].clone()


class NoText(TextTower):
    """Placeholder for the text encoder of a model without one."""

    blocks = ()
    opaque = "a classifier has no text encoder"
    context = 0
    causal = False

    def __init__(self, image: ImageTower) -> None:
        self.image = image

    @property
    def device(self) -> torch.device:
        return self.image.device

    @property
    def norm(self) -> nn.Module:
        raise self._refuse()

    def embed(self, inputs: Tensor) -> Stream:
        raise self._refuse(inputs)

    def head(self, x: Tensor) -> Tensor:
        raise self._refuse(x)

    def encode(self, inputs: Tensor) -> Tensor:
        raise self._refuse(inputs)

    def readout_index(self, ids: Tensor) -> Tensor:
        raise self._refuse(ids)

    def _refuse(self, inputs: Tensor | None = None) -> UnsupportedModelError:
        del inputs
        return UnsupportedModelError(f"{self.opaque}; its prompts are the names of its classes")


def vit_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a transformers ``ViTForImageClassification``."""
    del tokenizer
    last, labels = model.classifier, model.config.id2label
    if isinstance(last, nn.Identity):
        raise UnsupportedModelError(f"{name} has no classes (num_labels=0); give a classifier")
    # Dropout before the layer does nothing in evaluation mode.
    inner = [part for part in last.modules() if not isinstance(part, nn.Dropout | nn.Sequential)]
    if len(inner) != 1 or not isinstance(inner[0], nn.Linear):
        raise UnsupportedModelError(
            f"{name}: its classifier is {type(last).__name__}, not one linear layer, so no class "
            "has a direction; replace it by nn.Linear"
        )
    [layer] = inner
    # A replaced head has other classes than the configuration.
    fits = len(labels) == layer.out_features and all(i in labels for i in range(len(labels)))
    names = tuple(str(labels[i]) if fits else str(i) for i in range(layer.out_features))
    tower = ViTTower(model)
    return ModelView(
        name,
        tower,
        NoText(tower),
        preprocess,
        None,
        width=layer.in_features,
        classes=ClassifierHead(names, layer),
        module=model,
    )
