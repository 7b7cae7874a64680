"""Train small CLIPs only on whole captions.

    python -m benchmarks.captions_only              # all objects equally frequent
    python -m benchmarks.captions_only --long-tail  # frequencies with a long tail

Each takes between 5 and 6 minutes on one CPU core. ``mini`` was trained with the regions of its
scenes, and its raw scores separate present from absent objects. Models in use are trained only on
captions, with a long tail of frequencies. These two models represent them in
``benchmarks.reference``; their weights are saved next to this file.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
import typer
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform
from safetensors.torch import load_file, save_file

from whyclip.finetuning.scene_table import SIDE, SceneTable, draw_table
from whyclip.finetuning.settings import Settings
from whyclip.models import ModelView, wrap

SCENES, STEPS = 10_000, 900
RECIPE = Settings(batch_size=96, learning_rate=2e-3, weight_decay=0.1, warmup=60, clip=1.0)
CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": SIDE,
        "patch_size": 16,
        "width": 96,
        "layers": 3,
        "head_width": 32,
        "mlp_ratio": 2.0,
    },
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
        "mlp_ratio": 2.0,
    },
}
_TABLE = "token_embedding.weight"


def untrained() -> ModelView:
    """Build the model with random weights: 112 × 112 pixels, 7 × 7 patches, 64 dimensions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], CONFIG["text_cfg"])
    with torch.no_grad():
        model.logit_scale.fill_(math.log(1 / 0.07))
    preprocess = image_transform(SIDE, is_train=False, mean=(0.5,) * 3, std=(0.5,) * 3)
    tokenizer = SimpleTokenizer(context_length=CONFIG["text_cfg"]["context_length"])
    return wrap(model.eval(), preprocess, tokenizer, name="captions-only")


def kept_at(*, long_tail: bool) -> Path:
    """Return the path of the saved weights."""
    name = "captions_only_longtail" if long_tail else "captions_only"
    return Path(__file__).parent / f"{name}.safetensors"


def captions_only(*, long_tail: bool) -> ModelView:
    """Build a model with the saved weights; tokens outside the training captions have zeros."""
    view = untrained()
    assert view.module is not None
    kept = {name: value.float() for name, value in load_file(kept_at(long_tail=long_tail)).items()}
    rows = kept.pop("rows").long()
    table = torch.zeros_like(view.module.state_dict()[_TABLE])
    table[rows] = kept[_TABLE]
    view.module.load_state_dict({**view.module.state_dict(), **kept, _TABLE: table})
    return view


def keep(view: ModelView, table: SceneTable, path: Path) -> None:
    """Write the weights in half precision, with only the trained rows of the token table."""
    assert view.module is not None
    rows = torch.cat([table.caption_ids.flatten(), table.phrase_ids.flatten()]).unique()
    state = {name: value.half() for name, value in view.module.state_dict().items()}
    state.pop("attn_mask", None)
    state[_TABLE] = state[_TABLE][rows].contiguous()
    save_file({**state, "rows": rows.int()}, path)


def tail_weights(table: SceneTable) -> torch.Tensor:
    """Weigh scenes so that the frequencies of objects have a long tail, as in captions.

    Returns:
        Positive weights ``[n]``: the geometric mean of 1/c over the numbers c of the objects of
        each scene. Objects are then in 5 % to 21 % of the scenes.
    """
    there = table.concepts >= 0
    logs = torch.where(there, -(table.concepts + 1.0).clamp_min(1).log(), torch.zeros(()))
    return (logs.sum(1) / there.sum(1)).exp()


def train(view: ModelView, table: SceneTable, weights: torch.Tensor | None) -> float:
    """Train by InfoNCE over images and whole captions; return the mean of the last losses.

    Args:
        view: the model.
        table: the scenes.
        weights: relative frequency of each scene; equal by default.
    """
    model: Any = view.module
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=RECIPE.weight_decay)
    generator, losses = torch.Generator().manual_seed(0), []
    true = torch.arange(RECIPE.batch_size)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RECIPE.rate(step, STEPS)
        size = RECIPE.batch_size
        if weights is None:
            drawn = torch.randint(len(table), (size,), generator=generator)
        else:
            drawn = torch.multinomial(weights, size, generator=generator)
        image = F.normalize(model.encode_image(table.pixels(drawn)), dim=-1)
        text = F.normalize(model.encode_text(table.caption_ids[drawn]), dim=-1)
        logits = model.logit_scale.exp().clamp(max=100) * image @ text.T
        loss = (F.cross_entropy(logits, true) + F.cross_entropy(logits.T, true)) / 2
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip)
        optimiser.step()
        losses.append(float(loss.detach()))
    model.eval()
    return sum(losses[-50:]) / 50


def main(*, long_tail: bool = False) -> None:
    """Train, and save the weights."""
    torch.set_num_threads(1)
    view, begun = untrained(), time.process_time()
    table = draw_table(view, SCENES, split="train")
    print(f"{time.process_time() - begun:.0f} s drawing {SCENES} scenes", flush=True)
    weights = tail_weights(table) if long_tail else None
    loss = train(view, table, weights)
    keep(view, table, kept_at(long_tail=long_tail))
    print(f"{time.process_time() - begun:.0f} s of CPU in all, last losses {loss:.3f}")


if __name__ == "__main__":
    typer.run(main)
