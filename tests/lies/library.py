"""Models of a few families, and the scores that their libraries give, computed without whyclip."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import families
import tiny
import whyclip
from families_hf import classifier
from lies.registry import Claim

PROMPTS = ["a dog", "a photo of two red cars next to a tree"]
CLASSES = ["cat", "dog", "red car"]


@lru_cache
def _built(family: str) -> tuple[nn.Module, Any, Any]:
    if family == "openclip":
        return tiny.openclip_parts()
    if family == "hf":
        return tiny.hf_parts()
    if family == "classifier":
        return (*classifier(CLASSES), None)
    return families.SMALL[family]()


class Subject:
    """A fresh model of a family, its preprocessing and tokenizer, wrapped when first needed."""

    def __init__(self, family: str = "openclip") -> None:
        model, preprocess, tokenizer = _built(family)
        self.family = family
        self.model: Any = copy.deepcopy(model)
        self.preprocess: Any = copy.deepcopy(preprocess)
        self.tokenizer: Any = tokenizer
        self._view: whyclip.ModelView | None = None

    @property
    def view(self) -> whyclip.ModelView:
        if self._view is None:
            self._view = whyclip.wrap(self.model, self.preprocess, self.tokenizer)
        return self._view

    @property
    def prompts(self) -> list[str]:
        return CLASSES[:2] if self.family == "classifier" else PROMPTS

    def part(self, path: str) -> Any:
        return self.model.get_submodule(path)

    def library(self, file: Path, prompts: Sequence[str] | None = None) -> tuple[float, ...] | None:
        """Score a file with the library's own calls; None if they raise."""
        try:
            with torch.no_grad():
                return library_scores(
                    self.model, self.preprocess, self.tokenizer, file, prompts or self.prompts
                )
        except Exception:  # noqa: BLE001 - whatever the library raises, it gives no score
            return None

    def claim(
        self,
        file: Path,
        prompts: Sequence[str] | None = None,
        before: tuple[float, ...] | None = None,
        **options: Any,
    ) -> Claim:
        texts = list(prompts or self.prompts)
        explained = whyclip.explain(self.view, file, texts, **options)
        return Claim(explained, self.library(file, texts), before)


def library_scores(
    model: Any, preprocess: Any, tokenizer: Any, file: Path, prompts: Sequence[str]
) -> tuple[float, ...]:
    """Cosines, or a classifier's logits, of one file, by nothing but the library's own calls."""
    dtype = next(p for p in model.parameters() if p.ndim > 1).dtype
    pixels = _pixels(preprocess, Image.open(file)).to(dtype)
    if tokenizer is None:
        logits = model(pixel_values=pixels).logits[0].float()
        return tuple(float(logits[CLASSES.index(prompt)]) for prompt in prompts)
    image = embed_image(model, pixels)
    text = embed_text(model, tokenizer, prompts)
    return tuple(F.cosine_similarity(image.float(), text.float()).tolist())


def embed_image(model: Any, pixels: Tensor) -> Tensor:
    """The embedding ``[1, e]`` by the library's public entry point."""
    if hasattr(model, "encode_image"):
        return model.encode_image(pixels).flatten(1)
    return _pooled(model.get_image_features(pixel_values=pixels))


def embed_text(model: Any, tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """Embeddings ``[p, e]`` by the library's tokenizer and public entry point, one at a time."""
    embeddings = []
    for prompt in prompts:
        if hasattr(model, "encode_text"):
            embeddings.append(model.encode_text(_ids(model, tokenizer, prompt)))
            continue
        read = _ids(model, tokenizer, prompt)
        # CLIP's own attention is causal and SigLIP's reads its padding; BERT's needs the mask.
        bert = {"attention_mask": (read != tokenizer.pad_token_id).long()}
        more = bert if type(model).__name__.startswith(("Chinese", "Alt")) else {}
        embeddings.append(_pooled(model.get_text_features(input_ids=read, **more)))
    return torch.cat(embeddings)


def _ids(model: Any, tokenizer: Any, prompt: str) -> Tensor:
    if not hasattr(tokenizer, "pad_token_id"):
        return tokenizer([prompt])
    if hasattr(model, "config"):
        context = int(model.config.text_config.max_position_embeddings)
    else:
        context = int(model.text.context_length)
    read = tokenizer(
        [prompt], padding="max_length", truncation=True, max_length=context, return_tensors="pt"
    )
    return read["input_ids"]


def _pixels(preprocess: Any, image: Image.Image) -> Tensor:
    if hasattr(preprocess, "image_mean"):
        return preprocess(images=image, return_tensors="pt")["pixel_values"]
    return preprocess(image)[None]


def _pooled(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.pooler_output


def photo(folder: Path, name: str = "photo.png", size: tuple[int, int] = (48, 40)) -> Path:
    """An ordinary RGB file."""
    file = folder / name
    families.picture(*size).save(file)
    return file
