"""Models of transformers, two layers or of true size, and tokenizers over a few words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from torch import nn

import tiny

Parts = tuple[nn.Module, Any, Any]

SENTENCE = "a the photo of dog cat two red cars next to tree it seen from above , . on in"
WORDS = SENTENCE.split()
SIZES = {
    "hidden_size": tiny.WIDTH,
    "intermediate_size": 2 * tiny.WIDTH,
    "num_hidden_layers": tiny.LAYERS,
    "num_attention_heads": tiny.HEADS,
}
PICTURE = {"image_size": tiny.IMAGE_SIZE, "patch_size": tiny.PATCH}
BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}


@lru_cache
def word_tokenizer(kind: str, context: int) -> Any:
    """A fast tokenizer over ``WORDS``: ``"siglip"`` ends in </s>, ``"bert"`` has [CLS], [SEP].

    ``"eos-2"`` is the first with </s> at the place where the released MetaCLIP 2 has it.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    marks = ["<pad>", "</s>", "<unk>"]
    if kind == "eos-2":
        marks, kind = ["<pad>", "<unk>", "</s>"], "siglip"
    elif kind == "bert":
        marks = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    vocabulary = {word: index for index, word in enumerate([*marks, *WORDS])}
    inner = Tokenizer(
        models.WordLevel(vocabulary, unk_token="<unk>" if kind == "siglip" else "[UNK]")
    )
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "siglip":
        names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        template, special = "$A </s>", [("</s>", vocabulary["</s>"])]
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


@tiny.seeded
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


def bert_text(**more: Any) -> dict[str, Any]:
    return {**SIZES, "vocab_size": 64, "max_position_embeddings": 40, "pad_token_id": 0, **more}


@tiny.seeded
def transformers_clip(
    kind: str,
    text: dict[str, Any],
    tokens: str = "bert",
    true_size: bool = False,
    side: int = tiny.IMAGE_SIZE,
    layers: int = tiny.LAYERS,
) -> Parts:
    """A model of a class of transformers that is put together like its CLIP."""
    import transformers

    vision = {**SIZES, **PICTURE, "image_size": side, "projection_dim": tiny.EMBED}
    text, vision = ({**sizes, "num_hidden_layers": layers} for sizes in (text, vision))
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


def metaclip2(true_size: bool = False, eos: int = 1) -> Parts:
    text = bert_text(max_position_embeddings=24, eos_token_id=eos, pad_token_id=0, bos_token_id=2)
    return transformers_clip("MetaClip2", text, "siglip" if eos == 1 else "eos-2", true_size)


@tiny.seeded
def blip(true_size: bool = False) -> Parts:
    from transformers import BlipConfig, BlipForImageTextRetrieval

    size = 224 if true_size else tiny.IMAGE_SIZE
    more = (
        {**BASE, "encoder_hidden_size": 768} if true_size else {"encoder_hidden_size": tiny.WIDTH}
    )
    config = BlipConfig(
        text_config={**bert_text(projection_dim=tiny.EMBED), **more},
        vision_config=(
            {**BASE, "image_size": size, "patch_size": 16} if true_size else {**SIZES, **PICTURE}
        ),
        projection_dim=tiny.EMBED,
        image_text_hidden_size=tiny.EMBED,
    )
    model = BlipForImageTextRetrieval(config)
    if not true_size:
        tiny.randomise(model)
    return model.eval(), square_processor(size), word_tokenizer("bert", 32)


def classifier(names: Sequence[str]) -> tuple[Any, Any]:
    """A plain classifier by a vision transformer, and its preprocessing."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    classes = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
    model = ViTForImageClassification(ViTConfig(**SIZES, **PICTURE, **classes))
    size = {"height": tiny.IMAGE_SIZE, "width": tiny.IMAGE_SIZE}
    return tiny.randomise(model), ViTImageProcessor(size=size)
