"""Folders and files of weights that are not the model their names promise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import families
import tiny
import whyclip
from lies.library import Subject, library_scores, photo
from lies.registry import Claim, lie

Weights = dict[str, Tensor]
Change = Callable[[Weights], Any]
HF_WEIGHTS, OPENCLIP_WEIGHTS = "model.safetensors", "open_clip_model.safetensors"


@lru_cache
def saved(family: str) -> Path:
    """A folder as the library writes it; copied before anything in it is changed."""
    folder = Path(mkdtemp())
    model, preprocess, tokenizer = families.SMALL[family]()
    if family != "vit":
        for part in (model, preprocess, tokenizer):
            part.save_pretrained(folder)
        return folder
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / OPENCLIP_WEIGHTS)
    config = {"embed_dim": tiny.EMBED, "vision_cfg": families.VIT, "text_cfg": families.TEXT}
    content = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return folder


def rewritten(change: Change, family: str, folder: Path) -> Claim:
    """Change the weights of a folder, load it by whyclip and by the library, and compare."""
    place = folder / "model"
    shutil.copytree(saved(family), place)
    file = place / (OPENCLIP_WEIGHTS if family == "vit" else HF_WEIGHTS)
    weights = load_file(file)
    change(weights)
    save_file({k: v.contiguous() for k, v in weights.items()}, file, {"format": "pt"})
    return loaded(family, place, folder)


def loaded(family: str, place: Path, folder: Path) -> Claim:
    kind = "openclip" if family == "vit" else "hf"
    view = whyclip.load(f"{kind}:{place}", device="cpu")
    prompts, file = ["a dog", "two red cars"], photo(folder)
    explained = whyclip.explain(view, file, prompts)
    return Claim(explained, by_library(family, place, file, prompts))


def by_library(
    family: str, place: Path, file: Path, prompts: list[str]
) -> tuple[float, ...] | None:
    """Load the folder once more, as its library's documentation says; None if that fails."""
    try:
        if family == "vit":
            name = f"local-dir:{place}"
            model, _, preprocess = open_clip.create_model_and_transforms(name)
            tokenizer = open_clip.get_tokenizer(name)
        else:
            import transformers

            model = transformers.AutoModel.from_pretrained(place)
            preprocess = transformers.AutoImageProcessor.from_pretrained(place)
            tokenizer = transformers.AutoTokenizer.from_pretrained(place)
        with torch.no_grad():
            return library_scores(model.eval(), preprocess, tokenizer, file, prompts)
    except Exception:  # noqa: BLE001 - whatever the library raises, it gives no score
        return None


def first_with(weights: Weights, part: str) -> str:
    return next(name for name in weights if part in name)


def renamed(part: str) -> Change:
    def change(weights: Weights) -> None:
        name = first_with(weights, part)
        weights[f"{name}.old"] = weights.pop(name)

    return change


def missing(part: str) -> Change:
    def change(weights: Weights) -> None:
        for name in [name for name in weights if part in name]:
            del weights[name]

    return change


def filled(part: str, value: float) -> Change:
    def change(weights: Weights) -> None:
        name = first_with(weights, part)
        weights[name] = weights[name].clone()
        weights[name].view(-1)[1] = value

    return change


def extra(weights: Weights) -> None:
    weights["adapter.lora_A.weight"] = torch.ones(3, 3)


def smaller(part: str) -> Change:
    def change(weights: Weights) -> None:
        name = first_with(weights, part)
        weights[name] = weights[name][:-1].clone()

    return change


def exchanged(one: str, other: str) -> Change:
    """Exchange two parts of the same shape, which is another model."""

    def change(weights: Weights) -> None:
        for name in [name for name in weights if name.startswith(one)]:
            twin = other + name.removeprefix(one)
            weights[name], weights[twin] = weights[twin], weights[name]

    return change


CHANGES: dict[str, dict[str, Change]] = {
    "siglip": {
        "a renamed layer": renamed("layers.1.mlp.fc1.weight"),
        "a missing layer": missing("vision_model.encoder.layers.1."),
        "a missing pooling head": missing("vision_model.head."),
        "missing words": missing("token_embedding"),
        "one weight that is NaN": filled("vision_model.encoder.layers.0.mlp.fc1.weight", torch.nan),
        "one text weight that is NaN": filled("text_model.head.weight", torch.nan),
        "one weight that is infinite": filled("post_layernorm.weight", torch.inf),
        "a weight too many": extra,
        "a weight of another shape": smaller("vision_model.encoder.layers.1.mlp.fc1.bias"),
        "towers exchanged": exchanged("vision_model.encoder.layers.", "text_model.encoder.layers."),
        "layers exchanged": exchanged(
            "vision_model.encoder.layers.0.", "vision_model.encoder.layers.1."
        ),
    },
    "metaclip2": {
        "a renamed projection": renamed("visual_projection"),
        "a missing text projection": missing("text_projection"),
        "a missing text layer": missing("text_model.encoder.layers.0.self_attn.q_proj"),
    },
    "vit": {
        "a renamed block": renamed("visual.transformer.resblocks.1.mlp.c_fc.weight"),
        "a missing block": missing("visual.transformer.resblocks.1."),
        "one weight that is NaN": filled("visual.transformer.resblocks.0.mlp", torch.nan),
        "one word that is NaN": filled("token_embedding", torch.nan),
        "one weight that is infinite": filled("visual.ln_post.weight", torch.inf),
        "a weight too many": extra,
        "a weight of another shape": smaller("visual.proj"),
        "towers exchanged": exchanged("visual.transformer.resblocks.", "transformer.resblocks."),
    },
}
for _family, _changes in CHANGES.items():
    for _what, _change in _changes.items():
        lie(f"checkpoint/{_family}, {_what}")(partial(rewritten, _change, _family))


def configured(family: str, change: Callable[[Any], None], folder: Path) -> Claim:
    """Change the configuration beside the weights."""
    place = folder / "model"
    shutil.copytree(saved(family), place)
    file = place / ("open_clip_config.json" if family == "vit" else "config.json")
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))
    return loaded(family, place, folder)


def other_class(config: Any) -> None:
    config["architectures"] = ["CLIPModel"]


def gelu(config: Any) -> None:
    config["vision_config"]["hidden_act"] = "quick_gelu"


def gelu_openclip(config: Any) -> None:
    config["model_cfg"]["quick_gelu"] = True


def more_layers(config: Any) -> None:
    config["vision_config"]["num_hidden_layers"] = 3


def other_heads(config: Any) -> None:
    config["vision_config"]["num_attention_heads"] = 2


lie("configuration/another class")(partial(configured, "siglip", other_class))
lie("configuration/another activation")(partial(configured, "siglip", gelu))
lie("configuration/another activation of OpenCLIP")(partial(configured, "vit", gelu_openclip))
lie("configuration/a layer more than there are weights")(partial(configured, "siglip", more_layers))
lie("configuration/other heads")(partial(configured, "siglip", other_heads))


@lie("tokenizer/none in the folder")
def no_tokenizer(folder: Path) -> Claim:
    place = folder / "model"
    shutil.copytree(saved("metaclip2"), place)
    for file in place.glob("*token*"):
        file.unlink()
    return loaded("metaclip2", place, folder)


@lie("checkpoint/weights of another seed in the wrapped model")
def reloaded(folder: Path) -> Claim:
    """The next checkpoint, loaded into the module that was wrapped."""
    subject, file = Subject(), photo(folder)
    before = subject.library(file)
    assert subject.view
    subject.model.load_state_dict(tiny.openclip_model(seed=5).state_dict())
    return subject.claim(file, before=before)
