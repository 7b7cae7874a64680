"""The configuration that an OpenCLIP folder needs, and a check that it describes the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from whyclip.errors import OptionError, quoted, reason
from whyclip.finetuning.batch import token_ids
from whyclip.inputs.geometry import normalisation_of
from whyclip.inputs.preprocessing import compose_steps, run_preprocess, step_kind
from whyclip.models import ModelView
from whyclip.models.load import MINI
from whyclip.models.openclip.loading import OPENCLIP_CONFIG

# For pixels of a random image, resized by the same code.
_PIXELS = 1e-6
_EMBEDDING = 1e-4

Config = Mapping[str, Any] | str | Path
"""OpenCLIP ``model_cfg``, name of an architecture, or folder with a configuration."""


def openclip_config(view: ModelView, given: Config | None = None) -> dict[str, Any]:
    """Find the configuration of a model and check it by building the model from it.

    The configuration is read from the folder or architecture in the model's name, as given to
    :func:`whyclip.load`. A model that the user wrapped has no such name.

    Args:
        view: the OpenCLIP model.
        given: configuration of a model that the user wrapped.

    Returns:
        Content of ``open_clip_config.json``.

    Raises:
        OptionError: no configuration is known, or it describes another model.
    """
    source = given if given is not None else view.name
    model_cfg, preprocess_cfg = _read(source, view.name, given=given is not None)
    if preprocess_cfg is None:
        preprocess_cfg = _preprocess_of(view)
    # The library would download these weights before ours are loaded.
    for part in ("vision_cfg", "text_cfg"):
        for key in ("timm_model_pretrained", "hf_model_pretrained"):
            if key in model_cfg.get(part, {}):
                model_cfg[part][key] = False
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    _check(view, config)
    return config


def _read(source: Config, name: str, *, given: bool) -> tuple[dict[str, Any], dict | None]:
    import open_clip

    if isinstance(source, Mapping):
        inner = source.get("model_cfg", source)
        return deepcopy(dict(inner)), deepcopy(source.get("preprocess_cfg"))
    text = str(source).removeprefix("openclip:")
    if text == MINI:
        text = str(resources.files("whyclip") / "mini" / "weights")
    file = Path(text).expanduser() / OPENCLIP_CONFIG
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
        return content["model_cfg"], content.get("preprocess_cfg") or None
    arch, _, tag = text.partition("/")
    hub = text.startswith("hf-hub:")
    known = hub or arch in open_clip.list_models()
    if known:
        config = open_clip.get_model_config(text if hub else arch)
        if not hub and (open_clip.get_pretrained_cfg(arch, tag) or {}).get("quick_gelu"):
            config["quick_gelu"] = True
        return config, None
    if given:
        raise OptionError(
            f"config={quoted(text)} is neither an architecture of OpenCLIP nor a folder with an "
            f"{OPENCLIP_CONFIG}"
        )
    raise OptionError(
        f"the configuration of {name!r:.60} is unknown, and OpenCLIP's folder format needs it; "
        "give config='ViT-B-16' (its architecture), its model_cfg or its folder"
    )


def _preprocess_of(view: ModelView) -> dict[str, Any]:
    numbers = normalisation_of(view.preprocess)
    kinds = [step_kind(step)[1] for step in compose_steps(view.preprocess) or ()]
    mode = "shortest"
    if "ResizeKeepRatio" in kinds:
        mode = "longest"
    elif "CenterCrop" not in kinds:
        mode = "squash"
    return {
        "mean": list(numbers.mean),
        "std": list(numbers.std),
        "interpolation": numbers.interpolation.name.lower(),
        "resize_mode": mode,
    }


@torch.no_grad()
def _check(view: ModelView, config: Mapping[str, Any]) -> None:
    """Build the model from its configuration and compare pixels and embeddings.

    Raises:
        OptionError: they differ.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2

    what = f"the configuration of {view.name!r:.60}"
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    pixels = run_preprocess(view.preprocess, Image.fromarray(noise))
    look = {**config["preprocess_cfg"], "size": view.module.visual.image_size}  # type: ignore[union-attr]
    try:
        model = _build(config["model_cfg"])
        model.load_state_dict(view.module.state_dict())  # type: ignore[union-attr]
        transform = image_transform_v2(PreprocessCfg(**look), is_train=False)
        again = run_preprocess(transform, Image.fromarray(noise))
    # The library may raise any exception on a configuration of another model.
    except Exception as error:
        raise OptionError(f"{what} does not describe this model: {reason(error):.120}") from error
    if pixels.shape != again.shape or not (pixels - again).abs().max() <= _PIXELS:
        raise OptionError(
            f"{what} describes different preprocessing; give config= with the right preprocess_cfg"
        )
    device = view.image.device
    model = model.to(device)
    training = view.module.training  # type: ignore[union-attr]
    ids = token_ids(view, ["a dog"]).to(device)
    batch = pixels[None].to(device)
    for ours, answer in (
        (view.image.encode(batch), model.encode_image(batch)),
        (view.text.encode(ids), model.encode_text(ids)),
    ):
        theirs = answer[0] if isinstance(answer, tuple) else answer
        gap = float((ours.flatten() - theirs.flatten()).abs().max())
        if not training and not gap <= _EMBEDDING * max(1.0, float(ours.abs().max())):
            raise OptionError(
                f"{what} computes different embeddings (difference {gap:.2g}); check "
                "quick_gelu and the pooling in config="
            )


def _build(model_cfg: Mapping[str, Any]) -> Any:
    """Build an untrained model as the library does for a folder."""
    import open_clip

    parts = deepcopy(dict(model_cfg))
    custom = parts.pop("custom_text", False) or "hf_model_name" in parts["text_cfg"]
    if "multimodal_cfg" in parts and custom:
        kind: Any = open_clip.CoCa
    else:
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    with torch.random.fork_rng(devices=[]):
        return kind(**parts).eval()
