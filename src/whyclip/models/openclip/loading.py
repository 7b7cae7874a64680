"""Load OpenCLIP's models from names, weights files and folders, with versions 2 and 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from whyclip.errors import OptionError
from whyclip.models.weights_file import Shapes, misfit, read_shapes

OPENCLIP_CONFIG = "open_clip_config.json"
# The library's order of preference.
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
RUNS_CODE = "trust_remote_code"
# This version changed folders and the option that disables pickled code.
READS_FOLDERS = 3


def load_openclip(name: str, pretrained: str | None, device: torch.device) -> tuple[Any, Any, Any]:
    """Load an architecture of OpenCLIP with a pretrained tag or a weights file.

    Returns:
        Model, preprocessing and tokenizer.
    """
    import open_clip

    safe = {"weights_only" if _version() >= READS_FOLDERS else "load_weights_only": True}
    # A tag's weights may need another activation than the architecture's; for "ViT-B-16" with
    # "openai" the library would only warn.
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    # whyclip reads the file first and accepts only state dicts, because the library would read it
    # again with pickle after an error.
    shapes = {} if tag else stored_weights(name, pretrained)
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            name,
            pretrained=pretrained,
            device=device,
            force_quick_gelu=bool((tag or {}).get("quick_gelu")),
            **safe,
        )
    except RuntimeError as error:
        raise _refusal(error, name, pretrained, shapes) from error
    return model, preprocess, open_clip.get_tokenizer(name)


def load_openclip_folder(folder: Path, device: torch.device) -> tuple[Any, Any, Any]:
    """Load a folder with ``open_clip_config.json`` and weights.

    Returns:
        Model, preprocessing and tokenizer.

    Raises:
        OptionError: the folder has no weights, or its configuration would run code.
    """
    if not any((folder / file).is_file() for file in WEIGHTS):
        raise OptionError(f"folder {str(folder)!r} has no weights; expected {' or '.join(WEIGHTS)}")
    if RUNS_CODE in (folder / OPENCLIP_CONFIG).read_text(encoding="utf-8"):
        raise OptionError(
            f"folder {str(folder)!r:.60} sets {RUNS_CODE}, which runs code from it; remove "
            f"this key from its {OPENCLIP_CONFIG}"
        )
    if _version() >= READS_FOLDERS:
        return load_openclip(f"local-dir:{folder}", None, device)
    return _folder_of_version_2(folder, device)


def _folder_of_version_2(folder: Path, device: torch.device) -> tuple[Any, Any, Any]:
    """Build the model as the library does for its hub, where folders have the same files."""
    import open_clip
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = json.loads((folder / OPENCLIP_CONFIG).read_text(encoding="utf-8"))
    parts = dict(config["model_cfg"])
    text = dict(parts["text_cfg"])
    custom = parts.pop("custom_text", False) or "hf_model_name" in text
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = (open_clip.CoCa if "multimodal_cfg" in parts else kind)(**{**parts, "text_cfg": text})
    weights = next(folder / file for file in WEIGHTS if (folder / file).is_file())
    open_clip.load_checkpoint(model, str(weights), weights_only=True)
    look = {**config.get("preprocess_cfg", {}), "size": model.visual.image_size}
    context = int(text.get("context_length", 77))
    more = text.get("tokenizer_kwargs", {})
    if text.get("hf_tokenizer_name"):
        has_tokenizer = (folder / "tokenizer_config.json").is_file()
        source = str(folder) if has_tokenizer else text["hf_tokenizer_name"]
        tokenizer: Any = HFTokenizer(source, context_length=context, **more)
    else:
        tokenizer = SimpleTokenizer(context_length=context, **more)
    preprocess = image_transform_v2(PreprocessCfg(**look), is_train=False)
    return model.to(device), preprocess, tokenizer


def stored_weights(name: str, pretrained: str | None) -> Shapes:
    """Read names and shapes of the weights that :func:`load_openclip` loads.

    Args:
        name: an architecture, ``local-dir:PATH``, ``hf-hub:NAME``, or a folder.
        pretrained: a tag, or a weights file.

    Returns:
        Shapes by name; empty if the file is not on this machine.

    Raises:
        OptionError: a local file contains something other than a state dict.
    """
    import open_clip

    folder = Path(name.removeprefix("local-dir:"))
    if pretrained is None and folder.is_dir():
        return read_shapes(next(folder / file for file in WEIGHTS if (folder / file).is_file()))
    if pretrained is None:
        return {}
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        return read_shapes(Path(pretrained))
    try:
        return read_shapes(Path(open_clip.factory.download_pretrained(tag)))
    # The library supports more formats than whyclip, and its own tags are trusted.
    except (OptionError, OSError, RuntimeError, ValueError):
        return {}


def _refusal(
    error: RuntimeError, name: str, pretrained: str | None, shapes: Shapes
) -> RuntimeError | OptionError:
    """Build a one-line error for weights that do not fit; return other errors unchanged."""
    arch = Path(name.removeprefix("local-dir:")).name
    line = misfit(str(error), arch, shapes)
    if line is None:
        return error
    what = f"weights file {Path(pretrained).name!r}" if pretrained else "weights file"
    return OptionError(f"{what} {line}")


def _version() -> int:
    import open_clip

    return int(open_clip.__version__.split(".")[0])
