"""Fine-tuning runs that take about a second: two-layer models, noise for images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import save_file

import tiny
import whyclip
from whyclip.finetuning.batch import Example
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


class Noise:
    """Data in memory; item ``fail`` of an epoch raises, as a crash would."""

    name = "noise"

    def __init__(self, examples: Sequence[Example] | None = None, fail: int | None = None) -> None:
        self.examples = list(examples or noise_examples())
        self.fail = fail

    def __len__(self) -> int:
        return len(self.examples)

    def epoch(self, number: int, *, seed: int, rank: int = 0, world: int = 1) -> Iterator[Any]:
        order = np.random.default_rng([seed, number]).permutation(len(self.examples))
        for place, index in enumerate(order[rank::world]):
            if self.fail is not None and number * len(order) + place == self.fail:
                raise RuntimeError("the machine lost its power")
            yield self.examples[index]


def settings(**more: Any) -> Settings:
    usual: dict[str, Any] = {
        "steps": 8, "batch_size": 4, "learning_rate": 1e-3, "warmup": 2, "extractor": extract,
    }  # fmt: skip
    return Settings(**{**usual, **more})


CONFIG = {
    "embed_dim": tiny.EMBED,
    "vision_cfg": {
        "image_size": tiny.IMAGE_SIZE,
        "patch_size": tiny.PATCH,
        "width": tiny.WIDTH,
        "layers": tiny.LAYERS,
        "head_width": tiny.WIDTH // tiny.HEADS,
    },
    "text_cfg": {
        "context_length": tiny.CONTEXT,
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
    save_file(tiny.openclip_model().state_dict(), where / "open_clip_model.safetensors")
    return where


def openclip_tiny(name: str | None = None) -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name)


def hf_tiny() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.hf_parts())


def run(out: Path, data: Any = None, **more: Any) -> Finetuned:
    """A run of the tiny OpenCLIP model from its first weights."""
    return finetune(
        openclip_tiny(), data or Noise(), out, settings(**more), progress=False, config=CONFIG
    )
