"""Supported classes of transformers, and how each is wrapped and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from whyclip.errors import UnsupportedModelError
from whyclip.models.transformers.blip import blip_view
from whyclip.models.transformers.chinese_clip import altclip_view, chinese_clip_view
from whyclip.models.transformers.clip import clip_view
from whyclip.models.transformers.siglip import siglip_view
from whyclip.models.transformers.vit import vit_view
from whyclip.models.view import ModelView


@dataclass(frozen=True)
class Family:
    """Title of the models of one class, and the function that wraps one."""

    title: str
    view: Callable[[Any, Any, Any, str], ModelView]
    reads_text: bool = True


FAMILIES: Mapping[str, Family] = {
    "CLIPModel": Family("CLIP", clip_view),
    "MetaClip2Model": Family("MetaCLIP 2", clip_view),
    "ChineseCLIPModel": Family("Chinese-CLIP", chinese_clip_view),
    "AltCLIPModel": Family("AltCLIP", altclip_view),
    "BlipForImageTextRetrieval": Family("BLIP retrieval, contrastive path", blip_view),
    "SiglipModel": Family("SigLIP and SigLIP 2 at fixed resolution", siglip_view),
    "ViTForImageClassification": Family("plain ViT classifiers", vit_view, reads_text=False),
}
"""Families by class name, as in ``architectures`` of a ``config.json``."""


def family_of(class_names: list[str], name: str) -> tuple[str, Family]:
    """Find the family that one of these class names belongs to.

    Args:
        class_names: names of a model's class and its ancestors, or a configuration's
            ``architectures``.
        name: name of the model, for the error.

    Raises:
        UnsupportedModelError: none of them is supported; the message lists the supported ones.
    """
    for class_name in class_names:
        if class_name in FAMILIES:
            return class_name, FAMILIES[class_name]
    known = ", ".join(f"{key} ({family.title})" for key, family in FAMILIES.items())
    described = class_names[0] if class_names else "a class that its config.json does not name"
    raise UnsupportedModelError(f"{name}: {described} is not a supported class; known: {known}")


def hf_view(model: Any, preprocess: Any, tokenizer: Any, name: str) -> ModelView:
    """Wrap a model of transformers.

    Raises:
        UnsupportedModelError: an unknown class, or one that returns tuples.
    """
    configs = [getattr(part, "config", None) for part in model.modules()]
    if any(getattr(config, "return_dict", True) is False for config in configs):
        # Some classes of the library do not work this way.
        raise UnsupportedModelError(
            f"{name} returns tuples (return_dict=False); set model.config.return_dict = True, and "
            "of its text_config and vision_config"
        )
    ancestors = [base.__name__ for base in type(model).__mro__]
    return family_of(ancestors, name)[1].view(model, preprocess, tokenizer, name)
