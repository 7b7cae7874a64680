"""Two-layer trunks under names that ``timm.create_model`` finds, as OpenCLIP asks for them."""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import tiny

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


def whyclip_tiny_remainder(pretrained: bool = False, **config: Any) -> nn.Module:
    return whyclip_tiny_siglip(pretrained, **{**config, "img_size": tiny.IMAGE_SIZE + 6})


def whyclip_tiny_registers(pretrained: bool = False, **config: Any) -> nn.Module:
    options = {"reg_tokens": 3, "no_embed_class": True, "qk_norm": True, "init_values": 0.3}
    return whyclip_tiny_vit(pretrained, **{**config, **options, "pre_norm": True})


def whyclip_tiny_eva(pretrained: bool = False, **config: Any) -> nn.Module:
    del pretrained
    options = {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "use_rot_pos_emb": True}
    grid = {"ref_feat_shape": (3, 3), "init_values": 0.5}
    return trunk_of(Eva, **{"scale_attn_inner": True, **options, **grid, **config})


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
    whyclip_tiny_remainder,
    whyclip_tiny_eva,
    whyclip_tiny_pe,
):
    register_model(trunk)
