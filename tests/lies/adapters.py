"""Adapters and wrappers put into a model after ``wrap``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lies.hooks import bend
from lies.registry import lie
from lies.replaced import BLOCK, LAYER, planted


class LoRA(nn.Module):
    """A linear layer with a low-rank update, as adapters put it in its place."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        seeded = torch.Generator().manual_seed(3)
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features, generator=seeded) * 0.3)
        self.up = nn.Parameter(torch.randn(base.out_features, rank, generator=seeded) * 0.3)

    @property
    def weight(self) -> Tensor:
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T


class LowRank(nn.Module):
    """The same as a parametrisation of the weight."""

    def __init__(self, weight: Tensor, rank: int = 4) -> None:
        super().__init__()
        seeded = torch.Generator().manual_seed(3)
        rows, columns = weight.shape
        self.up = nn.Parameter(torch.randn(rows, rank, generator=seeded) * 0.3)
        self.down = nn.Parameter(torch.randn(rank, columns, generator=seeded) * 0.3)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def lora(path: str) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        owner, _, name = path.rpartition(".")
        part = model.get_submodule(owner)
        setattr(part, name, LoRA(getattr(part, name)).eval())

    return plant


def low_rank(path: str) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        owner, _, name = path.rpartition(".")
        part = model.get_submodule(owner)
        parametrize.register_parametrization(part, name, LowRank(getattr(part, name)))
        model.eval()

    return plant


def wrapped(path: str) -> Callable[[Any], None]:
    """Put a module around one that stays inside, as adapters and wrappers do."""

    class Around(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return bend(self.inner(*args, **kwargs))

    def plant(model: Any) -> None:
        owner, _, name = path.rpartition(".")
        part = model.get_submodule(owner)
        around = Around(model.get_submodule(path)).eval()
        if name.isdecimal():
            part[int(name)] = around
        else:
            setattr(part, name, around)

    return plant


ADAPTERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "LoRA on the MLP": ("openclip", lora(f"{BLOCK}.mlp.c_fc")),
    "LoRA on the queries": ("hf", lora(f"{LAYER}.self_attn.q_proj")),
    "LoRA on the values of the first layer": (
        "hf",
        lora("vision_model.encoder.layers.0.self_attn.v_proj"),
    ),
    "LoRA on a layer of the classifier": (
        "classifier",
        lora("vit.layers.0.attention.q_proj"),
    ),
    "LoRA on the classes": ("classifier", lora("classifier")),
    "a low-rank update of the attention": ("openclip", low_rank(f"{BLOCK}.attn.in_proj_weight")),
    "a low-rank update of the text projection": ("hf", low_rank("text_projection.weight")),
    "a wrapper around the last block": ("openclip", wrapped(BLOCK)),
    "a wrapper around the image encoder": ("openclip", wrapped("visual")),
    "a wrapper around an attention": ("openclip", wrapped("visual.transformer.resblocks.0.attn")),
    "a wrapper around a layer": ("hf", wrapped("vision_model.encoder.layers.0")),
}
for _what, (_family, _plant) in ADAPTERS.items():
    lie(f"adapter/{_what}")(partial(planted, _plant, _family))
