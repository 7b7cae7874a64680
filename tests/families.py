"""Seeded small models of every family whyclip reads, and true-size ones with drawn weights.

Nothing is fetched: tokenizers of the SigLIP and BERT kind are built here, over a few words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from PIL import Image
from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import tiny

Parts = tuple[nn.Module, Any, Any]

SENTENCE = "a the photo of dog cat two red cars next to tree it seen from above , . on in"
WORDS = SENTENCE.split()
TEXTS = ["a dog", "a photo of two red cars next to a tree, seen from above", "it"]
SIZES = {
    "hidden_size": tiny.WIDTH,
    "intermediate_size": 2 * tiny.WIDTH,
    "num_hidden_layers": tiny.LAYERS,
    "num_attention_heads": tiny.HEADS,
}
PICTURE = {"image_size": tiny.IMAGE_SIZE, "patch_size": tiny.PATCH}


def picture(width: int = 48, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@lru_cache
def word_tokenizer(kind: str, context: int) -> Any:
    """A fast tokenizer over ``WORDS``: ``"siglip"`` ends in </s>, ``"bert"`` has [CLS], [SEP]."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    marks = ["<pad>", "</s>", "<unk>"] if kind == "siglip" else ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = {word: index for index, word in enumerate([*marks, *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=marks[-1]))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "siglip":
        names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        template, special = "$A </s>", [("</s>", 1)]
    else:
        names = {
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
        }
        template, special = "[CLS] $A [SEP]", [("[CLS]", 1), ("[SEP]", 2)]
    inner.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=context, **names)


def square_processor(size: int) -> Any:
    """SigLIP's preprocessing: squash to a square, values from -1 to 1."""
    from transformers import SiglipImageProcessor

    return SiglipImageProcessor(size={"height": size, "width": size})


def siglip(
    sizes: dict[str, Any] | None = None, side: int = tiny.IMAGE_SIZE, patch: int = 8
) -> Parts:
    from transformers import SiglipConfig, SiglipModel

    sizes = sizes or SIZES
    config = SiglipConfig(
        text_config={**sizes, "vocab_size": 64, "max_position_embeddings": 64},
        vision_config={**sizes, "image_size": side, "patch_size": patch},
    )
    config.text_config.projection_size = sizes["hidden_size"]
    model = tiny.randomise(SiglipModel(config), spread=1.0 if side > 100 else 1.6)
    return model, square_processor(side), word_tokenizer("siglip", 64)


def openclip(true_size: str = "", tokens: str = "clip", **config: Any) -> Parts:
    """An OpenCLIP model from a configuration of this file, or from one of the library's own."""
    import open_clip
    from open_clip.transform import image_transform

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
        tokenizer: Any = open_clip.SimpleTokenizer(context_length=context)
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


def coca(pooling: bool | str, pool_type: str = "tok") -> Parts:
    pool = {"attentional_pool": pooling, "attn_pooler_queries": 5, "attn_pooler_heads": 2}
    return openclip(
        embed_dim=tiny.WIDTH if isinstance(pooling, str) else tiny.EMBED,
        vision_cfg={**VIT, **pool, "pool_type": pool_type, "output_tokens": True},
        text_cfg={**TEXT, "embed_cls": True, "output_tokens": True},
        multimodal_cfg=DECODER,
        custom_text=True,
    )


def resnet() -> Parts:
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
    model, preprocess, tokenizer = openclip(
        embed_dim=tiny.EMBED, vision_cfg={**vision, "patch_size": None}, text_cfg=TEXT
    )
    return model, preprocess, tokenizer


TRUNK = {
    "img_size": tiny.IMAGE_SIZE,
    "patch_size": tiny.PATCH,
    "embed_dim": tiny.WIDTH,
    "depth": tiny.LAYERS,
    "num_heads": tiny.HEADS,
}


def trunk_of(kind: type[nn.Module], **config: Any) -> nn.Module:
    """Build a trunk as ``timm.create_model`` would, without what it adds about weights to fetch."""
    of_weights = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
    trunk = kind(**{**TRUNK, **{k: v for k, v in config.items() if k not in of_weights}})
    trunk.default_cfg = {}
    return trunk


def whyclip_tiny_vit(pretrained: bool = False, **config: Any) -> nn.Module:
    del pretrained
    return trunk_of(VisionTransformer, **config)


def whyclip_tiny_siglip(pretrained: bool = False, **config: Any) -> nn.Module:
    return whyclip_tiny_vit(pretrained, **{**config, "class_token": False})


def whyclip_tiny_registers(pretrained: bool = False, **config: Any) -> nn.Module:
    own = {"reg_tokens": 3, "no_embed_class": True, "qk_norm": True, "init_values": 0.3}
    return whyclip_tiny_vit(pretrained, **{**config, **own, "pre_norm": True})


def whyclip_tiny_eva(pretrained: bool = False, **config: Any) -> nn.Module:
    del pretrained
    own = {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "use_rot_pos_emb": True}
    grid = {"ref_feat_shape": (3, 3), "init_values": 0.5}
    return trunk_of(Eva, **{"scale_attn_inner": True, **own, **grid, **config})


def whyclip_tiny_pe(pretrained: bool = False, **config: Any) -> nn.Module:
    del pretrained
    rope = {"use_rot_pos_emb": True, "rope_grid_offset": 1.0, "rope_grid_indexing": "xy"}
    pool = {"attn_pool_num_heads": 2, "attn_pool_mlp_ratio": 2.0, "use_fc_norm": False}
    rest = {"ref_feat_shape": (4, 4), "use_pre_transformer_norm": True, "attn_type": "rope"}
    return trunk_of(Eva, **{**rope, **pool, **rest, **config})


for trunk in (
    whyclip_tiny_vit,
    whyclip_tiny_siglip,
    whyclip_tiny_registers,
    whyclip_tiny_eva,
    whyclip_tiny_pe,
):
    register_model(trunk)


def timm_trunk(name: str, pool: str, proj: str | None = "linear", text: Any = None) -> Parts:
    vision = {"timm_model_name": name, "timm_pool": pool, "timm_proj": proj}
    return openclip(
        tokens="clip" if text is None else "siglip",
        embed_dim=tiny.WIDTH if proj == "none" else tiny.EMBED,
        vision_cfg={**vision, "image_size": tiny.IMAGE_SIZE},
        text_cfg=text or TEXT,
        custom_text=True,
    )


def bert_text(**more: Any) -> dict[str, Any]:
    return {**SIZES, "vocab_size": 64, "max_position_embeddings": 40, "pad_token_id": 0, **more}


def transformers_clip(
    kind: str, text: dict[str, Any], tokens: str = "bert", true_size: bool = False
) -> Parts:
    """A model of a class of transformers that is put together like its CLIP."""
    import transformers

    vision = {**SIZES, **PICTURE, "projection_dim": tiny.EMBED}
    if true_size:
        text, vision = {**text, **BASE}, {**vision, **BASE, "image_size": 224, "patch_size": 16}
    config = getattr(transformers, f"{kind}Config")(
        text_config=text, vision_config=vision, projection_dim=tiny.EMBED
    )
    model = getattr(transformers, f"{kind}Model")(config)
    if not true_size:
        tiny.randomise(model)
    tokenizer = word_tokenizer(tokens, 32)
    return model.eval(), square_processor(vision["image_size"]), tokenizer


def metaclip2(true_size: bool = False) -> Parts:
    text = bert_text(max_position_embeddings=24, eos_token_id=1, pad_token_id=0, bos_token_id=2)
    return transformers_clip("MetaClip2", text, "siglip", true_size)


def blip(true_size: bool = False) -> Parts:
    from transformers import BlipConfig, BlipForImageTextRetrieval

    size = 224 if true_size else tiny.IMAGE_SIZE
    more = (
        {**BASE, "encoder_hidden_size": 768} if true_size else {"encoder_hidden_size": tiny.WIDTH}
    )
    config = BlipConfig(
        text_config={**bert_text(projection_dim=tiny.EMBED), **more},
        vision_config={**(BASE if true_size else SIZES), **PICTURE, "image_size": size},
        projection_dim=tiny.EMBED,
        image_text_hidden_size=tiny.EMBED,
    )
    model = BlipForImageTextRetrieval(config)
    if not true_size:
        tiny.randomise(model)
    return model.eval(), square_processor(size), word_tokenizer("bert", 32)


BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}

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
    "timm-registers": partial(timm_trunk, "whyclip_tiny_registers", "token"),
    "timm-average": partial(timm_trunk, "whyclip_tiny_vit", "avg"),
    "timm-eva": partial(timm_trunk, "whyclip_tiny_eva", "token"),
    "timm-pe": partial(timm_trunk, "whyclip_tiny_pe", "map", None),
    "siglip": siglip,
    "metaclip2": metaclip2,
    "chinese-clip": partial(transformers_clip, "ChineseCLIP", bert_text()),
    "altclip": partial(transformers_clip, "AltCLIP", bert_text(project_dim=20)),
    "blip": blip,
}
"""Two-layer models, by family."""

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
