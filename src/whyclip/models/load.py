"""Load or wrap a model, and check the wrapper."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from whyclip.ambient import in_plain_state
from whyclip.errors import OptionError, UnsupportedModelError, quoted, unknown
from whyclip.inputs import tokenize
from whyclip.models.check import check_usable, check_view
from whyclip.models.domain import Domain
from whyclip.models.fetching import fetching
from whyclip.models.health import check_preprocess, check_weights
from whyclip.models.openclip.loading import (
    OPENCLIP_CONFIG,
    load_openclip,
    load_openclip_folder,
    stored_weights,
)
from whyclip.models.openclip.openai_clip import is_openai, openai_view
from whyclip.models.openclip.view import openclip_view
from whyclip.models.state import refuse_training
from whyclip.models.transformers.families import hf_view
from whyclip.models.transformers.loading import load_hf
from whyclip.models.view import ModelView
from whyclip.models.vocabulary import check_tokenizer, followed
from whyclip.models.weights_file import resampled
from whyclip.models.wrappers import plain_module

MINI = "mini"
MINI_DOMAIN = "familiar.safetensors"
MINI_NOTE = (
    "this image is unlike the emoji scenes that mini was trained on, so its scores mean little; "
    "load a photo model, such as 'openclip:ViT-B-16/openai'"
)
HF_CONFIG = "config.json"
FORMS = "'mini', 'openclip:ARCH/PRETRAINED', 'openclip:FOLDER', 'hf:NAME' or 'hf:FOLDER'"
DEFAULT_CONTEXT = 77
WEIGHTS_SUFFIXES = frozenset((".pt", ".pth", ".bin", ".safetensors", ".npz"))
CHECK_TEXTS = ("a photo of a dog", "two red cars next to a tree, seen from above")


@in_plain_state
def load(spec: str | os.PathLike[str], device: str | int | torch.device | None = None) -> ModelView:
    """Load a CLIP model and check that whyclip reproduces its computation.

    Args:
        spec: ``"mini"``; ``"openclip:ARCH/PRETRAINED"`` with a pretrained tag or a weights file
            (``.safetensors``, or ``.pt``/``.bin`` read with ``weights_only=True``);
            ``"openclip:FOLDER"`` in OpenCLIP's folder format; ``"hf:NAME"`` or ``"hf:FOLDER"``
            for transformers; or the path of such a folder.
        device: a name or the number of a GPU; by default the first GPU, else the CPU.

    Raises:
        OptionError: no such architecture, tag, file, folder or device, or a file whose weights do
            not fit.
        HubError: the weights cannot be downloaded.
        UnsupportedModelError: the model's computation cannot be reproduced.
    """
    if not isinstance(spec, str | os.PathLike):
        raise OptionError(f"model {spec!r:.60} is of type {type(spec).__name__}; give {FORMS}")
    spec, place = os.fspath(spec), device_for(device)
    kind, _, rest = spec.partition(":")
    if spec == MINI:
        folder = Path(str(resources.files("whyclip") / "mini" / "weights"))
        domain = Domain.read(folder / MINI_DOMAIN, MINI_NOTE)
        return replace(_load_folder(folder, MINI, place), domain=domain)
    if kind == "openclip" and rest:
        return _load_openclip_spec(rest, spec, place)
    if kind == "hf" and rest:
        return wrap(*load_hf(rest, spec, place), spec)
    folder = Path(spec).expanduser()
    if (folder / OPENCLIP_CONFIG).is_file():
        return _load_folder(folder, spec, place)
    if (folder / HF_CONFIG).is_file():
        return wrap(*load_hf(spec, spec, place), spec)
    raise OptionError(f"unknown model {spec!r}; give {FORMS}")


@in_plain_state
def wrap(model: Any, preprocess: Any, tokenizer: Any, name: str | None = None) -> ModelView:
    """Wrap a model in memory, without modifying it.

    Args:
        model: an OpenCLIP ``CLIP``, ``CustomTextCLIP`` or ``CoCa``, the model of OpenAI's
            ``clip.load``, or a model of transformers of one of the classes in
            :data:`whyclip.models.transformers.families.FAMILIES`, in evaluation mode.
        preprocess: OpenCLIP's inference transform, a transformers image processor or
            ``CLIPProcessor``.
        tokenizer: OpenCLIP's or transformers' tokenizer of this model, or a function that returns
            the ids of CLIP's tokenizer, such as ``clip.tokenize``; None for a classifier.
        name: name in results; by default the class name.

    Raises:
        OptionError: ``model`` is not a module.
        UnsupportedModelError: the model is of another class, in training mode or inside a wrapper,
            has NaN in its weights or a tokenizer without vocabulary, or cannot be reproduced to the
            required accuracy; the message names the layer.
    """
    name = name or type(model).__name__
    model = plain_module(model, name)
    refuse_training(name, model)
    check_usable(model, name)
    check_weights(model, name)
    check_preprocess(preprocess, name)
    if tokenizer is not None:
        tokenizer = followed(tokenizer, getattr(model, "context_length", DEFAULT_CONTEXT))
    if is_openai(model):
        view = openai_view(model, preprocess, tokenizer, name)
    elif hasattr(model, "visual"):
        view = openclip_view(model, preprocess, tokenizer, name)
    elif hasattr(model, "config"):
        view = hf_view(model, preprocess, tokenizer, name)
    else:
        raise UnsupportedModelError(
            f"{type(model).__name__} is neither a model of OpenCLIP nor one of transformers"
        )
    if view.classes is None:
        check_tokenizer(model, tokenizer, view.text.context, name)
        check_view(view, tokenize(tokenizer, CHECK_TEXTS, view.text.context).ids)
    else:
        check_view(view, None)
    return view


def _load_openclip_spec(rest: str, spec: str, device: torch.device) -> ModelView:
    import open_clip

    if rest.startswith("hf-hub:"):
        return _load_openclip(rest, None, spec, device)
    folder = Path(rest).expanduser()
    if folder.is_dir():
        if not (folder / OPENCLIP_CONFIG).is_file():
            raise OptionError(f"folder {rest!r} has no {OPENCLIP_CONFIG}")
        return _load_folder(folder, spec, device)
    arch, _, pretrained = rest.partition("/")
    if arch not in open_clip.list_models():
        raise unknown("OpenCLIP architecture or folder", arch, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if not pretrained:
        raise OptionError(
            f"model {spec!r} names no weights; write 'openclip:{arch}/PRETRAINED' with one of "
            f"{', '.join(tags) or 'no known tags'}, or the path of a weights file"
        )
    if pretrained not in tags:
        pretrained = str(Path(pretrained).expanduser())
    if pretrained not in tags and not Path(pretrained).is_file():
        if Path(pretrained).suffix in WEIGHTS_SUFFIXES or len(Path(pretrained).parts) > 1:
            raise OptionError(
                f"no such weights file: {quoted(pretrained)}; give the path of a .safetensors, "
                f".pt or .bin file, or one of OpenCLIP's tags for {arch} (whyclip models --all)"
            )
        raise unknown(f"pretrained tag or file for {arch}", pretrained, tags)
    return _load_openclip(arch, pretrained, spec, device)


def _load_openclip(name: str, pretrained: str | None, spec: str, device: torch.device) -> ModelView:
    local = pretrained is not None and Path(pretrained).is_file()
    with fetching(spec, local):
        model, preprocess, tokenizer = load_openclip(name, pretrained, device)
        changes = resampled(stored_weights(name, pretrained), model)
    return replace(wrap(model.eval(), preprocess, tokenizer, spec), changes=changes)


def _load_folder(folder: Path, spec: str, device: torch.device) -> ModelView:
    with fetching(spec, local=True):
        model, preprocess, tokenizer = load_openclip_folder(folder, device)
        changes = resampled(stored_weights(str(folder), None), model)
    return replace(wrap(model.eval(), preprocess, tokenizer, spec), changes=changes)


def device_for(device: str | int | torch.device | None) -> torch.device:
    """Find a device, without allocating memory on it.

    Raises:
        OptionError: no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(device, bool) or not isinstance(device, str | int | torch.device):
        raise OptionError(f"device {device!r:.40} is neither a name nor the number of a GPU")
    try:
        place = torch.device(f"cuda:{device}" if isinstance(device, int) else device)
        torch.empty(0, device=place)
    # Backends without a device raise different exceptions.
    except Exception as error:
        known = "'cpu'" + (" and 'cuda'" if torch.cuda.is_available() else "")
        message = f"device {device!r:.40} is not available; this machine has {known}"
        raise OptionError(message) from error
    if place.type == "meta":
        raise OptionError("device 'meta' has no values; use 'cpu' or 'cuda'")
    return place
