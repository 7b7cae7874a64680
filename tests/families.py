"""Seeded small models of every family whyclip reads, and true-size ones with drawn weights.

Nothing is fetched: tokenizers of the SigLIP and BERT kind are built here, over a few words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import tiny
from torch import nn

Parts = tuple[nn.Module, Any, Any]

WORDS = "a the photo of dog cat two red cars next to tree it seen from above , . on in".split()
SIZES = {
    "hidden_size": tiny.WIDTH,
    "intermediate_size": 2 * tiny.WIDTH,
    "num_hidden_layers": tiny.LAYERS,
    "num_attention_heads": tiny.HEADS,
}
PICTURE = {"image_size": tiny.IMAGE_SIZE, "patch_size": tiny.PATCH}


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


BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}

SMALL: dict[str, Callable[[], Parts]] = {
    "siglip": siglip,
}
"""Two-layer models, by family."""

TRUE_SIZE: dict[str, Callable[[], Parts]] = {
    "siglip": partial(siglip, BASE, 224, 16),
}
"""Models of the size people use, weights drawn."""
