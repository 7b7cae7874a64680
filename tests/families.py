"""Seeded small models of every family whyclip reads, and true-size ones with drawn weights.

Nothing is fetched: tokenizers of the SigLIP and BERT kind are built over a few words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import open_clip
from open_clip.transform import image_transform
from PIL import Image

import families_timm  # noqa: F401 - registers its trunks
import tiny
from families_hf import (
    BASE,
    Parts,
    bert_text,
    blip,
    metaclip2,
    siglip,
    transformers_clip,
    word_tokenizer,
)

TEXTS = ["a dog", "a photo of two red cars next to a tree, seen from above", "it"]


def picture(width: int = 48, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@tiny.seeded
def openclip(true_size: str = "", tokens: str = "clip", **config: Any) -> Parts:
    """An OpenCLIP model from a configuration of this file, or from one of the library's own."""
    if true_size:
        config = open_clip.get_model_config(true_size)
    custom = config.pop("custom_text", False)
    if "multimodal_cfg" in config:
        kind: Any = open_clip.CoCa
    else:
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    if not true_size:
        config["vision_cfg"] = open_clip.CLIPVisionCfg(**config["vision_cfg"])
        config["text_cfg"] = open_clip.CLIPTextCfg(**config["text_cfg"])
    model = kind(**config)
    if not true_size:
        tiny.randomise(model)
    context = model.text.context_length if hasattr(model, "text") else model.context_length
    size = model.visual.image_size
    if tokens == "clip":
        tokenizer: Any = tiny.tokenizer(context)
    else:
        tokenizer = word_tokenizer(tokens, context)
    return model.eval(), image_transform(size, is_train=False), tokenizer


VIT = {
    "image_size": tiny.IMAGE_SIZE,
    "patch_size": tiny.PATCH,
    "width": tiny.WIDTH,
    "layers": tiny.LAYERS,
    "head_width": tiny.WIDTH // tiny.HEADS,
}
TEXT = {
    "context_length": 24,
    "vocab_size": tiny.VOCABULARY,
    "width": tiny.WIDTH,
    "heads": tiny.HEADS,
    "layers": tiny.LAYERS,
}
SIGLIP_TEXT = {
    **TEXT,
    "vocab_size": 64,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}
DECODER = {
    "context_length": 24,
    "vocab_size": tiny.VOCABULARY,
    "width": tiny.WIDTH,
    "heads": tiny.HEADS,
    "layers": 1,
}


def vit(text: dict[str, Any] | None = None, tokens: str = "clip", **vision: Any) -> Parts:
    # The library's untried poolings work only where the embedding is as wide as the tower.
    untried = vision.get("attentional_pool") == "parallel"
    return openclip(
        tokens=tokens,
        embed_dim=tiny.WIDTH if untried else tiny.EMBED,
        vision_cfg={**VIT, **vision},
        text_cfg=text or TEXT,
        custom_text=text is not None,
    )


def coca(pooling: bool | str, pool_type: str = "tok", layers: int = tiny.LAYERS) -> Parts:
    pool = {"attentional_pool": pooling, "attn_pooler_queries": 5, "attn_pooler_heads": 2}
    return openclip(
        embed_dim=tiny.WIDTH if isinstance(pooling, str) else tiny.EMBED,
        vision_cfg={
            **VIT,
            **pool,
            "pool_type": pool_type,
            "output_tokens": True,
            "layers": layers,
        },
        text_cfg={**TEXT, "embed_cls": True, "output_tokens": True, "layers": layers},
        multimodal_cfg=DECODER,
        custom_text=True,
    )


def resnet() -> Parts:
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
    model, preprocess, tokenizer = openclip(
        embed_dim=tiny.EMBED, vision_cfg={**vision, "patch_size": None}, text_cfg=TEXT
    )
    return model, preprocess, tokenizer


def timm_trunk(
    name: str,
    pool: str,
    proj: str | None = "linear",
    text: Any = None,
    image_size: int = tiny.IMAGE_SIZE,
) -> Parts:
    vision = {"timm_model_name": name, "timm_pool": pool, "timm_proj": proj}
    return openclip(
        tokens="clip" if text is None else "siglip",
        embed_dim=tiny.WIDTH if proj == "none" else tiny.EMBED,
        vision_cfg={**vision, "image_size": image_size},
        text_cfg=text or TEXT,
        custom_text=True,
    )


SMALL: dict[str, Callable[[], Parts]] = {
    "vit": vit,
    "vit-norm-after-pool": partial(vit, final_ln_after_pool=True),
    "vit-no-ln-pre": partial(vit, no_ln_pre=True, ls_init_value=0.4),
    "vit-qk-norm": partial(vit, qk_norm=True, scale_heads=True, scale_attn_inner=True),
    "vit-average": partial(vit, pool_type="avg"),
    "vit-attentional-pool": partial(vit, attentional_pool=True, attn_pooler_heads=2),
    "vit-parallel-pool": partial(vit, attentional_pool="parallel", attn_pooler_heads=2),
    "custom-text-eos": partial(vit, {**TEXT, "pool_type": "eos", "eos_id": 49407}),
    "custom-text-last": partial(vit, SIGLIP_TEXT, "siglip"),
    "custom-text-first": partial(vit, {**TEXT, "pool_type": "first", "no_causal_mask": True}),
    "coca": partial(coca, True),
    "coca-average": partial(coca, True, "avg"),
    "coca-parallel": partial(coca, "parallel"),
    "coca-cascade": partial(coca, "cascade"),
    "resnet": resnet,
    "timm-siglip": partial(timm_trunk, "whyclip_tiny_siglip", "map", "none", SIGLIP_TEXT),
    "timm-token": partial(timm_trunk, "whyclip_tiny_vit", "token", None),
    # As of SigLIP-SO400M at 384 pixels, whose patches of 14 leave 6 of them over.
    "timm-remainder": partial(
        timm_trunk, "whyclip_tiny_remainder", "map", "none", SIGLIP_TEXT, tiny.IMAGE_SIZE + 6
    ),
    "timm-mlp": partial(timm_trunk, "whyclip_tiny_vit", "token", "mlp"),
    "timm-registers": partial(timm_trunk, "whyclip_tiny_registers", "token"),
    "timm-average": partial(timm_trunk, "whyclip_tiny_vit", "avg"),
    "timm-eva": partial(timm_trunk, "whyclip_tiny_eva", "token"),
    "timm-pe": partial(timm_trunk, "whyclip_tiny_pe", "map", None),
    "siglip": siglip,
    "metaclip2": metaclip2,
    "metaclip2-released-eos": partial(metaclip2, eos=2),
    "chinese-clip": partial(transformers_clip, "ChineseCLIP", bert_text()),
    "altclip": partial(transformers_clip, "AltCLIP", bert_text(project_dim=20)),
    "altclip-remainder": partial(
        transformers_clip, "AltCLIP", bert_text(project_dim=20), side=tiny.IMAGE_SIZE + 6
    ),
    "blip": blip,
    # Of four blocks, so that there are blocks between the first and the last; masks differ by text.
    "chinese-clip-deep": partial(transformers_clip, "ChineseCLIP", bert_text(), layers=4),
    "coca-deep": partial(coca, True, layers=4),
}
"""Models of two layers, or four where the name says so, by family."""
BLIND = ("vit-average", "coca-average", "coca-cascade", "timm-average")
"""Those whose image tower shows no attention."""

if open_clip.__version__.startswith("2."):
    # Its version 2 has no switches for these.
    del SMALL["vit-qk-norm"], SMALL["custom-text-eos"]

TRUE_SIZE: dict[str, Callable[[], Parts]] = {
    "coca": partial(openclip, "coca_ViT-B-32"),
    "resnet": partial(openclip, "RN50"),
    "timm-siglip": partial(openclip, "ViT-B-16-SigLIP", "siglip"),
    "timm-siglip2": partial(openclip, "ViT-B-32-SigLIP2-256", "siglip"),
    "timm-eva": partial(openclip, "EVA02-B-16"),
    "timm-pe": partial(openclip, "PE-Core-B-16"),
    "timm-convnext": partial(openclip, "convnext_base"),
    "timm-mobileclip": partial(openclip, "MobileCLIP-S1"),
    "siglip": partial(siglip, BASE, 224, 16),
    "metaclip2": partial(metaclip2, true_size=True),
    "chinese-clip": partial(transformers_clip, "ChineseCLIP", bert_text(), true_size=True),
    "altclip": partial(transformers_clip, "AltCLIP", bert_text(project_dim=768), true_size=True),
    "blip": partial(blip, true_size=True),
}
"""Models of the size people use, weights drawn."""
