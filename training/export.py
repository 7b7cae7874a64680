"""Convert a training checkpoint to a folder that plain OpenCLIP loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors.torch import save

from training.batches import all_words
from training.model import CONFIG, PREPROCESS, Vocabulary
from whyclip.files import write_atomic
from whyclip.scenes.sprites import load_atlas


def export(checkpoint: Path, out: Path) -> None:
    """Write the averaged weights in half precision, with the tokenizer's full token table.

    Rows of tokens outside the captions are zero.
    """
    vocabulary = Vocabulary(all_words(load_atlas()))
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    weights = dict(state["towers"]) | state["average"]
    weights = {name.removeprefix("model."): w for name, w in weights.items()}
    compact = weights["token_embedding.weight"]
    table = torch.zeros(CONFIG["text_cfg"]["vocab_size"], compact.shape[1])
    table[vocabulary.ids] = compact
    weights["token_embedding.weight"] = table
    weights = {n: w.half().contiguous() for n, w in weights.items() if n != "attn_mask"}
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "open_clip_model.safetensors", lambda: save(weights, {"format": "pt"}))
    config = json.dumps({"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS}, indent=2) + "\n"
    write_atomic(out / "open_clip_config.json", config.encode)


def main(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.pt of a training run")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
) -> None:
    """Write the weights of a checkpoint as an OpenCLIP folder."""
    export(checkpoint, out)


if __name__ == "__main__":
    typer.run(main)
