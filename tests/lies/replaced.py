"""Functions, modules and weights replaced after ``wrap``: followed, or refused."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import open_clip
import torch
from torch import Tensor, nn

import tiny
import whyclip
from lies.hooks import bend, by_each_method
from lies.library import Subject, photo
from lies.registry import Claim, lie


def planted(plant: Callable[[Any], Any], family: str, folder: Path) -> Iterator[Claim]:
    """Wrap, plant, and compare; what ``plant`` returns is undone in the end."""
    subject, file = Subject(family), photo(folder)
    before = subject.library(file)
    assert subject.view
    undo = plant(subject.model)
    try:
        yield from by_each_method(subject, file, before)
    finally:
        if undo is not None:
            undo()


def bent(name: str, path: str = "") -> Callable[[Any], None]:
    """Replace a function of an instance by one whose answer is another."""

    def plant(model: Any) -> None:
        part = model.get_submodule(path)
        whole = getattr(part, name)
        setattr(part, name, lambda *args, **kwargs: bend(whole(*args, **kwargs)))

    return plant


def bent_class(name: str, path: str = "") -> Callable[[Any], Callable[[], None]]:
    """Replace a function of a whole class."""

    def plant(model: Any) -> Callable[[], None]:
        kind = type(model.get_submodule(path))
        whole = getattr(kind, name)

        def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
            return bend(whole(self, *args, **kwargs))

        patched = patch.object(kind, name, changed)
        patched.start()
        return patched.stop

    return plant


BLOCK = "visual.transformer.resblocks.1"
LAYER = "vision_model.encoder.layers.1"
FUNCTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "encode_image of the instance": ("openclip", bent("encode_image")),
    "encode_text of the instance": ("openclip", bent("encode_text")),
    "forward of the image encoder": ("openclip", bent("forward", "visual")),
    "forward of the last block": ("openclip", bent("forward", BLOCK)),
    "forward of an attention": ("openclip", bent("forward", f"{BLOCK}.attn")),
    "attention of the first block": (
        "openclip",
        bent("attention", "visual.transformer.resblocks.0"),
    ),
    "forward of the last text norm": ("openclip", bent("forward", "ln_final")),
    "encode_image of the class": ("openclip", bent_class("encode_image")),
    "encode_text of the class": ("openclip", bent_class("encode_text")),
    "forward of the class of blocks": ("openclip", bent_class("forward", BLOCK)),
    "forward of torch's attention": ("openclip", bent_class("forward", f"{BLOCK}.attn")),
    "get_image_features of the instance": ("hf", bent("get_image_features")),
    "get_text_features of the class": ("hf", bent_class("get_text_features")),
    "forward of the class of layers": ("hf", bent_class("forward", LAYER)),
    "forward of one attention of transformers": ("hf", bent("forward", f"{LAYER}.self_attn")),
    "forward of the classifier": ("classifier", bent("forward", "classifier")),
    "forward of SigLIP's pooling head": ("siglip", bent("forward", "vision_model.head")),
}
for _what, (_family, _plant) in FUNCTIONS.items():
    lie(f"function/{_what}")(partial(planted, _plant, _family))


def other(family: str) -> Any:
    """A model of the same kind with other weights."""
    model = Subject(family).model
    return tiny.randomise(model, seed=7)


def swap(family: str, path: str) -> Callable[[Any], None]:
    """Put another model's module, or parameter, in the place of one."""

    def plant(model: Any) -> None:
        owner, _, name = path.rpartition(".")
        mine, theirs = model.get_submodule(owner), other(family).get_submodule(owner)
        if name.isdecimal():
            mine[int(name)] = theirs[int(name)]
        else:
            setattr(mine, name, getattr(theirs, name))

    return plant


STALE = {
    "openclip": (
        "visual", "visual.proj", "visual.conv1", "visual.ln_post", "visual.transformer",
        "visual.transformer.resblocks", "visual.transformer.resblocks.1",
        "visual.transformer.resblocks.0", f"{BLOCK}.attn", f"{BLOCK}.mlp",
        "visual.transformer.resblocks.0.attn", f"{BLOCK}.attn.out_proj",
        f"{BLOCK}.attn.in_proj_weight", "transformer", "transformer.resblocks.1",
        "transformer.resblocks.0.attn", "token_embedding", "positional_embedding", "ln_final",
        "text_projection",
    ),
    "hf": (
        "vision_model", "visual_projection", LAYER, f"{LAYER}.self_attn", "text_model",
        f"{LAYER}.self_attn.q_proj", "text_model.final_layer_norm", "text_projection",
        "text_model.encoder.layers.0.self_attn",
    ),
    "classifier": ("vit", "classifier"),
    "custom-text-eos": ("text", "text.text_projection"),
    "siglip": ("vision_model.head", "vision_model.head.attention"),
    "coca": ("visual.attn_pool", "visual.attn_pool.attn", "text"),
    "timm-siglip": ("visual.trunk", "visual.trunk.attn_pool"),
    "resnet": ("visual.attnpool",),
    "chinese-clip": ("text_model.encoder.layer.1", "text_model.encoder.layer.0.attention.self"),
}  # fmt: skip
for _family, _paths in STALE.items():
    for _path in _paths:
        lie(f"replaced/{_family}, {_path}")(partial(planted, swap(_family, _path), _family))


def load_state(model: Any) -> None:
    kind = next(k for k in ("classifier", "visual_projection", "visual") if hasattr(model, k))
    family = {"classifier": "classifier", "visual_projection": "hf", "visual": "openclip"}[kind]
    model.load_state_dict(other(family).state_dict())


def copy_data(model: Any) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in list(model.parameters())[-6:]:
        parameter.data.copy_(parameter.data.roll(1, 0) * 1.3)


def training(path: str) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        part = model.get_submodule(path)
        part.register_module("noise", nn.Dropout(0.5))
        part.register_forward_hook(lambda module, _, out: module.noise(out))
        part.train()

    return plant


def subclass(model: Any) -> None:
    class Mine(open_clip.CLIP):
        def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
            return bend(super().encode_text(text, normalize))

    model.__class__ = Mine


def half(model: Any) -> None:
    model.to(torch.bfloat16)


WEIGHTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "another checkpoint": ("openclip", load_state),
    "another checkpoint of transformers": ("hf", load_state),
    "another checkpoint of a classifier": ("classifier", load_state),
    "numbers written into frozen weights": ("openclip", copy_data),
    "numbers written into a classifier": ("classifier", copy_data),
    "the class of the model": ("openclip", subclass),
    "dropout switched on": ("openclip", training("")),
    "dropout switched on in the image encoder": ("openclip", training("visual")),
    "dropout switched on in a layer": ("hf", training("text_model.encoder.layers.0.mlp")),
}
for _what, (_family, _plant) in WEIGHTS.items():
    lie(f"weights/{_what}")(partial(planted, _plant, _family))


@lie("weights/NaN written in after wrapping")
def nan(folder: Path) -> Iterator[Claim]:
    def plant(model: Any) -> None:
        model.visual.proj.data[0, 0] = float("nan")

    yield from planted(plant, "openclip", folder)


def copied(family: str, method: str, folder: Path) -> Claim:
    """A copy of the view whose weights were changed, as tests of attribution methods make it."""
    subject, file = Subject(family), photo(folder)
    before = subject.library(file)
    view = copy.deepcopy(subject.view)
    module = view.module
    assert module is not None
    tiny.randomise(module, seed=9)
    subject.model, subject._view = module, view
    return subject.claim(file, method=method, before=before)


for _family, _method in [
    ("openclip", "occlusion"), ("openclip", "grad_eclip"), ("hf", "leave_one_out"),
    ("timm-siglip", "occlusion"), ("custom-text-eos", "contribution"), ("siglip", "grad_eclip"),
    ("classifier", "occlusion"),
]:  # fmt: skip
    lie(f"copy/{_family}, {_method}")(partial(copied, _family, _method))


@lie("copy/the original keeps its own weights")
def original(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    view = copy.deepcopy(subject.view)
    assert view.module is not None
    tiny.randomise(view.module, seed=9)
    return subject.claim(file, method="occlusion")


@lie("function/encode_image that calls the model twice")
def flipped_average(folder: Path) -> Iterator[Claim]:
    def plant(model: Any) -> None:
        whole = model.encode_image

        def encode(pixels: Tensor, normalize: bool = False) -> Tensor:
            return whole(pixels) + whole(pixels.flip(-1))

        model.encode_image = encode

    yield from planted(plant, "openclip", folder)


@lie("function/a whole other model behind encode_image")
def proxy(folder: Path) -> Iterator[Claim]:
    stranger = other("openclip")

    def plant(model: Any) -> None:
        model.encode_image = types.MethodType(
            lambda _, pixels, normalize=False: stranger.encode_image(pixels, normalize), model
        )

    yield from planted(plant, "openclip", folder)


@lie("weights/the view's module is another model")
def other_view(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    view = whyclip.wrap(other("openclip"), subject.preprocess, subject.tokenizer)
    subject._view = view
    subject.model = view.module
    return subject.claim(file)
