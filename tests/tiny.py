"""Seeded 2-layer models of both libraries, small enough to differentiate by hand in a test.

Weights are drawn wide, so that attention is far from uniform and every term of a formula
shows; biases and norms are drawn too, so that nothing cancels by being zero or one.
"""

from __future__ import annotations

import copy
import gzip
import json
import tempfile
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from open_clip.transform import image_transform
from torch import nn

IMAGE_SIZE = 32
PATCH = 8
GRID = (IMAGE_SIZE // PATCH, IMAGE_SIZE // PATCH)
CONTEXT = 77
WIDTH = 32
LAYERS = 2
HEADS = 4
EMBED = 24
VOCABULARY = 49408

P = ParamSpec("P")
R = TypeVar("R")

# Fewer perturbations of those methods whose many would only take time on noise.
QUICK: dict[str, dict[str, Any]] = {
    "rise": {"masks": 60},
    "kernel_shap": {"samples": 60},
    "integrated_gradients": {"steps": 3},
    # Its default sets prompts against each other; against the empty string each is alone.
    "clip_surgery": {"redundant": "empty"},
}


def seeded(build: Callable[P, R]) -> Callable[P, R]:
    """Let the libraries' own initial values, too, be the same every time."""

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(*args, **kwargs)

    return built


def randomise(model: nn.Module, seed: int = 0, spread: float = 1.6) -> nn.Module:
    """Draw every parameter anew; matrices by fan-in, vectors around what they were."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            draw = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 0:
                continue
            if "embedding" in name or name.endswith("proj") or "text_projection" in name:
                parameter.copy_(draw * (0.5 if parameter.ndim > 1 else 1.0))
            elif parameter.ndim > 1:
                parameter.copy_(draw * spread / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.2 * draw)
    return model.eval()


@seeded
def openclip_model(seed: int = 0, **vision: Any) -> nn.Module:
    """Build ``open_clip.model.CLIP`` with QuickGELU off; ``vision`` overrides its config."""
    vision_cfg = {
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "width": WIDTH,
        "layers": LAYERS,
        "head_width": WIDTH // HEADS,
        **vision,
    }
    text_cfg = {
        "context_length": CONTEXT,
        "vocab_size": VOCABULARY,
        "width": WIDTH,
        "heads": HEADS,
        "layers": LAYERS,
    }
    model = open_clip.model.CLIP(
        EMBED, open_clip.CLIPVisionCfg(**vision_cfg), open_clip.CLIPTextCfg(**text_cfg)
    )
    return randomise(model, seed)


@lru_cache
def _tokenizer(context: int) -> SimpleTokenizer:
    return SimpleTokenizer(context_length=context)


def tokenizer(context: int = CONTEXT) -> SimpleTokenizer:
    """Return an OpenCLIP tokenizer; its vocabulary, slow to read, is read once for all tests."""
    return copy.copy(_tokenizer(context))


def openclip_parts(seed: int = 0, **vision: Any) -> tuple[nn.Module, Any, SimpleTokenizer]:
    """Model, preprocessing and tokenizer, as ``open_clip`` would give them."""
    preprocess = image_transform(IMAGE_SIZE, is_train=False)
    return openclip_model(seed, **vision), preprocess, tokenizer()


@seeded
def hf_model(seed: int = 0, **vision: Any) -> nn.Module:
    """Build transformers' ``CLIPModel``; ``vision`` overrides its vision config."""
    from transformers import CLIPConfig, CLIPModel

    text_config = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "hidden_act": "quick_gelu",
        "bos_token_id": VOCABULARY - 2,
        "eos_token_id": VOCABULARY - 1,
        "pad_token_id": VOCABULARY - 1,
    }
    vision_config = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "hidden_act": "quick_gelu",
        **vision,
    }
    config = CLIPConfig(text_config=text_config, vision_config=vision_config, projection_dim=EMBED)
    return randomise(CLIPModel(config), seed)


def hf_processor() -> Any:
    """Build the image processor that fits :func:`hf_model`."""
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"shortest_edge": IMAGE_SIZE}, crop_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )


@lru_cache
def hf_tokenizer() -> Any:
    """Build transformers' ``CLIPTokenizer`` from the vocabulary that OpenCLIP ships."""
    import transformers
    from transformers import CLIPTokenizer

    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    vocabulary = dict(_tokenizer(CONTEXT).encoder)
    vocabulary["<|startoftext|>"] = vocabulary.pop("<start_of_text>")
    vocabulary["<|endoftext|>"] = vocabulary.pop("<end_of_text>")
    if int(transformers.__version__.split(".")[0]) >= 5:
        return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)
    with tempfile.TemporaryDirectory() as folder:
        names, pairs = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        names.write_text(json.dumps(vocabulary), encoding="utf-8")
        pairs.write_text("\n".join(lines[:1] + [" ".join(m) for m in merges]), encoding="utf-8")
        return CLIPTokenizer(str(names), str(pairs), model_max_length=CONTEXT)


def hf_parts(seed: int = 0, **vision: Any) -> tuple[nn.Module, Any, Any]:
    """Model, image processor and tokenizer, as ``transformers`` would give them."""
    return hf_model(seed, **vision), hf_processor(), hf_tokenizer()
