"""One model in two readings, whyclip's and the plain one, with an image that is not resized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor

import reference
import tiny
import whyclip

START, END = 49406, 49407
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
ENCODE = SimpleTokenizer().encode
C = TypeVar("C", bound="TwoReadings")


@dataclass
class TwoReadings:
    """The wrapped model, its plain towers, and an image."""

    view: whyclip.ModelView
    parts: tuple[Any, Any, Any]
    image_tower: reference.PlainTower
    text_tower: reference.PlainTower
    image: Image.Image

    @classmethod
    def of(
        cls: type[C],
        parts: tuple[Any, Any, Any],
        width: int = tiny.IMAGE_SIZE,
        height: int = tiny.IMAGE_SIZE,
    ) -> C:
        """Read model, preprocessing and tokenizer both ways; the image is noise of this size."""
        noise = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
        towers = reference.towers_of(parts[0])
        return cls(whyclip.wrap(*parts), parts, *towers, Image.fromarray(noise))

    @property
    def pixels(self) -> Tensor:
        """The image, normalised by CLIP's own numbers."""
        rgb = torch.from_numpy(np.array(self.image)).permute(2, 0, 1).double() / 255
        mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
        return (rgb - mean) / std

    def image_tokens(self) -> Tensor:
        """The tokens that enter the image encoder's first block."""
        return reference.stem_image(self.image_tower, self.pixels)

    def text_tokens(
        self, prompt: str, padding: int | None = None
    ) -> tuple[Tensor, list[list[int]]]:
        """Tokens up to EOS, or padded to the context, and the positions of each word's pieces."""
        words, ids = [], [START]
        for word in prompt.split():
            pieces = ENCODE(word)
            words.append(list(range(len(ids), len(ids) + len(pieces))))
            ids += pieces
        ids.append(END)
        if padding is not None:
            ids += [padding] * (tiny.CONTEXT - len(ids))
        return reference.stem_text(self.text_tower, torch.tensor(ids)), words


def tiny_parts(family: str, **vision: Any) -> tuple[Any, Any, Any]:
    """A seeded two-layer model of OpenCLIP or transformers (``"hf"``)."""
    return (tiny.hf_parts if family == "hf" else tiny.openclip_parts)(3, **vision)


def true_size_parts(family: str) -> tuple[Any, Any, Any]:
    """A seeded ViT-B/16 of OpenCLIP or transformers (``"hf"``)."""
    torch.manual_seed(0)
    if family == "openclip":
        import open_clip

        model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-16-quickgelu")
        return model.eval(), preprocess, SimpleTokenizer()
    import transformers

    config = transformers.CLIPConfig(
        text_config={"bos_token_id": START, "eos_token_id": END},
        vision_config={"patch_size": 16},
    )
    return (
        transformers.CLIPModel(config).eval(),
        transformers.CLIPImageProcessor(),
        tiny.hf_tokenizer(),
    )
