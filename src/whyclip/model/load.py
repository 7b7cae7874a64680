"""From a name, a file or a model in memory to a checked view."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from whyclip.errors import HubError, OptionError, UnsupportedModelError, WhyclipError, unknown
from whyclip.inputs import tokenize
from whyclip.model.check import check_view
from whyclip.model.domain import Domain
from whyclip.model.hf import family_of, hf_view
from whyclip.model.model_view import ModelView
from whyclip.model.openclip import openclip_view
from whyclip.model.openclip_load import OPENCLIP_CONFIG, load_openclip, load_openclip_folder

MINI = "mini"
MINI_DOMAIN = "familiar.safetensors"
MINI_NOTE = (
    "this picture is unlike the drawn emoji scenes that mini was trained on, and mini knows "
    "nothing else: load a photo model, such as 'openclip:ViT-B-16/openai'"
)
HF_CONFIG = "config.json"
FORMS = "'mini', 'openclip:ARCH/PRETRAINED', 'openclip:FOLDER', 'hf:NAME' or 'hf:FOLDER'"
OFFLINE_HINT = (
    "without a connection use 'mini', which is part of whyclip, or a local path: "
    "'openclip:ARCH/FILE.safetensors', 'openclip:FOLDER', 'hf:FOLDER'"
)
CHECK_TEXTS = ("a photo of a dog", "two red cars next to a tree, seen from above")


def load(spec: str, device: str | torch.device | None = None) -> ModelView:
    """Load a CLIP model and check that whyclip can follow its computation.

    Args:
        spec: ``"mini"``; ``"openclip:ARCH/PRETRAINED"`` with a pretrained tag or a weights file
            (``.safetensors``, or ``.pt``/``.bin`` read with ``weights_only=True``);
            ``"openclip:FOLDER"`` in OpenCLIP's folder format; ``"hf:NAME"`` or ``"hf:FOLDER"``
            for transformers; or such a folder's path alone.
        device: where to put it; the first GPU if there is one, else the CPU.

    Raises:
        OptionError: no such architecture, tag, file or folder.
        HubError: the weights must be fetched and cannot be.
        UnsupportedModelError: the model's computation cannot be followed.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kind, _, rest = spec.partition(":")
    if spec == MINI:
        folder = Path(str(resources.files("whyclip") / "mini" / "weights"))
        domain = Domain.read(folder / MINI_DOMAIN, MINI_NOTE)
        return replace(_load_folder(folder, MINI, place), domain=domain)
    if kind == "openclip" and rest:
        return _load_openclip_spec(rest, spec, place)
    if kind == "hf" and rest:
        return _load_hf(rest, spec, place)
    folder = Path(spec)
    if (folder / OPENCLIP_CONFIG).is_file():
        return _load_folder(folder, spec, place)
    if (folder / HF_CONFIG).is_file():
        return _load_hf(spec, spec, place)
    raise OptionError(f"unknown model {spec!r}; give {FORMS}")


def wrap(model: Any, preprocess: Any, tokenizer: Any, name: str | None = None) -> ModelView:
    """Look at a model already in memory, without touching it.

    Args:
        model: an OpenCLIP ``CLIP``, ``CustomTextCLIP`` or ``CoCa``, or a model of transformers of
            one of the classes in :data:`whyclip.model.hf.FAMILIES`, in evaluation mode.
        preprocess: OpenCLIP's inference transform, a transformers image processor or
            ``CLIPProcessor``.
        tokenizer: OpenCLIP's or transformers' tokenizer of this model; None for a classifier.
        name: what results call it; the class name by default.

    Raises:
        UnsupportedModelError: of another kind, in training mode, or its computation is not
            followed to the required accuracy; the message names the layer.
    """
    name = name or type(model).__name__
    if any(module.training for module in model.modules()):
        raise UnsupportedModelError(
            f"{name} has parts in training mode, where dropout and running statistics change "
            "what it computes; call model.eval() first"
        )
    if hasattr(model, "visual"):
        view = openclip_view(model, preprocess, tokenizer, name)
    elif hasattr(model, "config"):
        view = hf_view(model, preprocess, tokenizer, name)
    else:
        raise UnsupportedModelError(
            f"{type(model).__name__} is neither a model of OpenCLIP nor one of transformers"
        )
    if view.classes is None:
        check_view(view, tokenize(tokenizer, CHECK_TEXTS, view.text.context).ids)
    else:
        check_view(view, None)
    return view


def _load_openclip_spec(rest: str, spec: str, device: torch.device) -> ModelView:
    import open_clip

    if rest.startswith("hf-hub:"):
        return _load_openclip(rest, None, spec, device)
    if Path(rest).is_dir():
        if not (Path(rest) / OPENCLIP_CONFIG).is_file():
            raise OptionError(f"folder {rest!r} has no {OPENCLIP_CONFIG}")
        return _load_folder(Path(rest), spec, device)
    arch, _, pretrained = rest.partition("/")
    if arch not in open_clip.list_models():
        raise unknown("OpenCLIP architecture or folder", arch, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if not pretrained:
        raise OptionError(
            f"model {spec!r} names no weights; write 'openclip:{arch}/PRETRAINED' with one of "
            f"{', '.join(tags) or 'no known tags'}, or the path of a weights file"
        )
    if pretrained not in tags and not Path(pretrained).is_file():
        raise unknown(f"pretrained tag or file for {arch}", pretrained, tags)
    return _load_openclip(arch, pretrained, spec, device)


def _load_openclip(name: str, pretrained: str | None, spec: str, device: torch.device) -> ModelView:
    local = pretrained is not None and Path(pretrained).is_file()
    with _fetching(spec, local), _quiet():
        model, preprocess, tokenizer = load_openclip(name, pretrained, device)
    return wrap(model.eval(), preprocess, tokenizer, spec)


def _load_folder(folder: Path, spec: str, device: torch.device) -> ModelView:
    with _fetching(spec, local=True), _quiet():
        model, preprocess, tokenizer = load_openclip_folder(folder, device)
    return wrap(model.eval(), preprocess, tokenizer, spec)


def _load_hf(name: str, spec: str, device: torch.device) -> ModelView:
    try:
        import transformers
    except ImportError:
        raise OptionError(
            f"model {spec!r} needs transformers; install it with pip install 'whyclip[hf]'"
        ) from None
    if not Path(name).is_dir() and (Path(name).is_absolute() or name.startswith(".")):
        raise OptionError(f"no such folder: {name!r}")
    with _fetching(spec, Path(name).is_dir()), _quiet():
        config = transformers.AutoConfig.from_pretrained(name)
        class_name, family = family_of(list(config.architectures or ()), spec)
        model = getattr(transformers, class_name).from_pretrained(name)
        preprocess = transformers.AutoImageProcessor.from_pretrained(name)
        tokenizer = None
        if family.reads_text:
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    return wrap(model.eval().to(device), preprocess, tokenizer, spec)


@contextmanager
def _fetching(spec: str, local: bool) -> Iterator[None]:
    """Turn what libraries raise while fetching or reading weights into one line."""
    try:
        yield
    except WhyclipError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".;: ")
        if local:
            raise OptionError(f"model {spec!r} cannot be read: {reason}") from error
        raise HubError(f"model {spec!r} cannot be fetched: {reason}; {OFFLINE_HINT}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' notes on what they load out of the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
