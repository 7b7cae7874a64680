"""Fine-tuning runs that take about a second: two-layer models, noise for images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import save_file

import tiny
import whyclip
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import Indexed
from whyclip.finetuning.settings import Settings
from whyclip.finetuning.train import Finetuned, finetune

WORDS = ("red car", "small dog", "blue house", "green tree", "old boat", "white cat")


def extract(caption: str) -> list[str]:
    return [word for word in WORDS if word in caption]


def noise_examples(count: int = 40) -> list[Example]:
    rng = np.random.default_rng(0)
    examples = []
    for number in range(count):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        first, second = rng.choice(len(WORDS), 2, replace=False)
        caption = f"a {WORDS[first]} and a {WORDS[second]}"
        examples.append(Example(str(number), Image.fromarray(pixels), caption))
    return examples


class Noise(Indexed):
    """Data in memory; the read number ``fail`` raises, as a crash would."""

    def __init__(self, examples: Sequence[Example] | None = None, fail: int | None = None) -> None:
        self.examples = list(examples or noise_examples())
        self.fail, self.reads = fail, 0
        super().__init__("noise", len(self.examples))

    def read(self, item: int) -> Example:
        if self.reads == self.fail:
            raise RuntimeError("the machine lost its power")
        self.reads += 1
        return self.examples[item]


def settings(**more: Any) -> Settings:
    usual: dict[str, Any] = {
        "steps": 8, "batch_size": 4, "learning_rate": 1e-3, "warmup": 2, "extractor": extract,
    }  # fmt: skip
    return Settings(**{**usual, **more})


# Fewer positions than CLIP's, as most of a step's time goes into the padding of texts.
CONTEXT = 20
CONFIG: dict[str, Any] = {
    "embed_dim": tiny.EMBED,
    "vision_cfg": {
        "image_size": tiny.IMAGE_SIZE,
        "patch_size": tiny.PATCH,
        "width": tiny.WIDTH,
        "layers": tiny.LAYERS,
        "head_width": tiny.WIDTH // tiny.HEADS,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": tiny.VOCABULARY,
        "width": tiny.WIDTH,
        "heads": tiny.HEADS,
        "layers": tiny.LAYERS,
    },
}


def openclip_folder(where: Path) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": CONFIG, "preprocess_cfg": {}}
    (where / "open_clip_config.json").write_text(json.dumps(config))
    save_file(openclip_model().state_dict(), where / "open_clip_model.safetensors")
    return where


@tiny.seeded
def openclip_model(**vision: Any) -> Any:
    vision_cfg = open_clip.CLIPVisionCfg(**{**CONFIG["vision_cfg"], **vision})
    text_cfg = open_clip.CLIPTextCfg(**CONFIG["text_cfg"])
    return tiny.randomise(open_clip.model.CLIP(tiny.EMBED, vision_cfg, text_cfg))


def openclip_tiny(name: str | None = None, **vision: Any) -> whyclip.ModelView:
    preprocess = image_transform(tiny.IMAGE_SIZE, is_train=False)
    tokenizer = open_clip.SimpleTokenizer(context_length=CONTEXT)
    return whyclip.wrap(openclip_model(**vision), preprocess, tokenizer, name)


def hf_tiny() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.hf_parts())


def run(out: Path, data: Any = None, **more: Any) -> Finetuned:
    """A run of the tiny OpenCLIP model from its first weights."""
    return finetune(
        openclip_tiny(), data or Noise(), out, settings(**more), progress=False, config=CONFIG
    )
