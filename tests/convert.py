"""OpenCLIP weights poured into transformers' CLIPModel, to compare the two routes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def openclip_to_hf(model: Any, context: int, quick_gelu: bool = False) -> nn.Module:
    """Build a ``CLIPModel`` with the weights of an OpenCLIP ``CLIP`` with ViT and causal text."""
    from transformers import CLIPConfig, CLIPModel

    visual, width = model.visual, model.token_embedding.weight.shape[1]
    act = "quick_gelu" if quick_gelu else "gelu"

    def tower(transformer: Any) -> dict[str, int | str]:
        block = transformer.resblocks[0]
        return {
            "hidden_size": block.attn.embed_dim,
            "intermediate_size": block.mlp.c_fc.out_features,
            "num_hidden_layers": len(transformer.resblocks),
            "num_attention_heads": block.attn.num_heads,
            "hidden_act": act,
        }

    config = CLIPConfig(
        projection_dim=visual.proj.shape[1],
        text_config={
            **tower(model.transformer),
            "vocab_size": len(model.token_embedding.weight),
            "max_position_embeddings": context,
            "bos_token_id": 49406,
            "eos_token_id": 49407,
            "pad_token_id": 49407,
            "projection_dim": visual.proj.shape[1],
        },
        vision_config={
            **tower(visual.transformer),
            "image_size": visual.image_size[0],
            "patch_size": visual.patch_size[0],
            "projection_dim": visual.proj.shape[1],
        },
    )
    target = CLIPModel(config)
    state: dict[str, Tensor] = {
        "logit_scale": model.logit_scale,
        "visual_projection.weight": visual.proj.T,
        "text_projection.weight": model.text_projection.T,
        "vision_model.embeddings.class_embedding": visual.class_embedding,
        "vision_model.embeddings.patch_embedding.weight": visual.conv1.weight,
        "vision_model.embeddings.position_embedding.weight": visual.positional_embedding,
        "text_model.embeddings.token_embedding.weight": model.token_embedding.weight,
        "text_model.embeddings.position_embedding.weight": model.positional_embedding,
    }
    for ours, theirs in (
        ("pre_layrnorm", visual.ln_pre),
        ("post_layernorm", visual.ln_post),
    ):
        state |= _affine(f"vision_model.{ours}", theirs)
    state |= _affine("text_model.final_layer_norm", model.ln_final)
    for name, transformer in (("vision", visual.transformer), ("text", model.transformer)):
        for i, block in enumerate(transformer.resblocks):
            state |= _block(f"{name}_model.encoder.layers.{i}", block)
    missing, unexpected = target.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert all("position_ids" in key for key in missing), missing
    assert width == config.text_config.hidden_size
    return target.eval()


def _affine(name: str, module: Any) -> dict[str, Tensor]:
    return {f"{name}.weight": module.weight, f"{name}.bias": module.bias}


def _block(name: str, block: Any) -> dict[str, Tensor]:
    weights = block.attn.in_proj_weight.chunk(3)
    biases = block.attn.in_proj_bias.chunk(3)
    state = {
        **_affine(f"{name}.layer_norm1", block.ln_1),
        **_affine(f"{name}.layer_norm2", block.ln_2),
        **_affine(f"{name}.self_attn.out_proj", block.attn.out_proj),
        **_affine(f"{name}.mlp.fc1", block.mlp.c_fc),
        **_affine(f"{name}.mlp.fc2", block.mlp.c_proj),
    }
    for part, weight, bias in zip("qkv", weights, biases, strict=True):
        state[f"{name}.self_attn.{part}_proj.weight"] = weight
        state[f"{name}.self_attn.{part}_proj.bias"] = bias
    return (
        {key: value.detach() for key, value in state.items()} if torch.is_grad_enabled() else state
    )
