"""Start models for fine-tuning: early and late checkpoints of a small CLIP trained on captions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from whyclip.files import cache_folder, write_atomic
from whyclip.finetuning.scene_table import draw_table
from whyclip.finetuning.settings import Settings
from whyclip.finetuning.small_clip import small_clip, state_of
from whyclip.models import ModelView
from whyclip.studies.experiments.finetuning_runs import row_batches, train

# Steps of training on captions after which each start is taken.
STEPS: Mapping[str, int] = {"weak": 1500, "strong": 4800}
# Enough that the model does not memorise them.
SCENES = 64_000
RECIPE = Settings(batch_size=128, learning_rate=1e-3, weight_decay=0.1, warmup=100, clip=1.0)
VERSION = 1


def start_file(name: str, folder: Path | None = None) -> Path:
    """Path of the file of a start."""
    kept = folder or cache_folder() / "small-clip"
    return kept / f"{name}-{STEPS[name]}-v{VERSION}.safetensors"


def load_start(
    name: str,
    *,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    autocast: bool = False,
) -> ModelView:
    """Load a start, or train it on captions alone and store it.

    Args:
        name: ``"weak"`` or ``"strong"``.
        folder: folder of the starts; default: the cache.
        device: device of the computation.
        autocast: whether to train in bfloat16.
    """
    path = start_file(name, folder)
    view = small_clip(device=device)
    assert view.module is not None
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = draw_table(view, SCENES, split="train", device=device)
        rows = row_batches(len(table), RECIPE.batch_size, 1.0, 0)
        train(view, table, RECIPE, rows, STEPS[name], local=False, autocast=autocast)
        write_atomic(path, lambda: save(state_of(view)))
    view.module.load_state_dict(load_file(path))
    return view
