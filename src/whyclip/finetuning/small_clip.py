"""A small CLIP trained only on captions, for experiments on fine-tuning.

``mini`` was trained with the regions of its scenes, so it cannot show the effect of fine-tuning
on regions. This model was trained only on images and whole captions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform

from whyclip.finetuning.scene_table import SIDE
from whyclip.models import ModelView, wrap

CONTEXT = 32
CONFIG: dict[str, Any] = {
    "embed_dim": 96,
    "vision_cfg": {
        "image_size": SIDE,
        "patch_size": 16,
        "width": 128,
        "layers": 4,
        "head_width": 32,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": 49408,
        "width": 96,
        "heads": 4,
        "layers": 3,
    },
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def small_clip(
    seed: int = 0,
    device: torch.device | str = "cpu",
    *,
    config: Mapping[str, Any] = CONFIG,
    name: str = "small-clip",
) -> ModelView:
    """Build the model with random weights: 112 × 112 pixels, 7 × 7 patches.

    Args:
        seed: of the weights.
        device: device of the weights.
        config: OpenCLIP ``model_cfg``; its image size must be that of the scenes.
        name: name of the model in results.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    with torch.no_grad():
        model.logit_scale.fill_(math.log(1 / 0.07))
    preprocess = image_transform(
        SIDE, is_train=False, mean=PREPROCESS["mean"], std=PREPROCESS["std"]
    )
    tokenizer = SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    return wrap(model.eval().to(device), preprocess, tokenizer, name=name)


def state_of(view: ModelView) -> dict[str, torch.Tensor]:
    """Copy a model's weights to the CPU."""
    assert view.module is not None
    return {name: value.detach().cpu().clone() for name, value in view.module.state_dict().items()}
