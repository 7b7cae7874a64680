"""Tokenizers, preprocessing, score differences and ensembles, and saved explanations."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform
from PIL import Image
from torch import Tensor
from torchvision import transforms

import families
import tiny
import whyclip
from lies.hooks import bend
from lies.library import Subject, embed_image, embed_text, photo
from lies.registry import Claim, lie, never


class Constant(SimpleTokenizer):
    """The same ids whatever the text says."""

    def __call__(self, texts: Any, context_length: int | None = None) -> Tensor:
        return super().__call__(["a dog"] * len(texts), context_length)


class Swapped(SimpleTokenizer):
    """Another vocabulary: every id but start and end is another word's."""

    def __call__(self, texts: Any, context_length: int | None = None) -> Tensor:
        ids = super().__call__(texts, context_length)
        return torch.where((ids > 0) & (ids < tiny.VOCABULARY - 2), (ids * 7) % 40000 + 1, ids)


class Short(SimpleTokenizer):
    """It cuts every text after its first word."""

    def __call__(self, texts: Any, context_length: int | None = None) -> Tensor:
        return super().__call__([text.split()[0] for text in texts], context_length)


def read_by(tokenizer: Callable[[], Any], family: str, folder: Path) -> Claim:
    subject, file = Subject(family), photo(folder)
    subject.tokenizer = tokenizer()
    return subject.claim(file, method="leave_one_out", sides=["text"])


def two_tokens() -> Any:
    """What transformers makes of a folder without the files of a tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1}, unk_token="</s>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="</s>", eos_token="</s>", unk_token="</s>"
    )


TOKENIZERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "the same ids for every text": ("openclip", partial(Constant, context_length=tiny.CONTEXT)),
    "another vocabulary": ("openclip", partial(Swapped, context_length=tiny.CONTEXT)),
    "the first word alone": ("openclip", partial(Short, context_length=tiny.CONTEXT)),
    "two tokens": ("siglip", two_tokens),
    "words drawn at random": (
        "openclip",
        partial(SimpleTokenizer, context_length=tiny.CONTEXT, reduction_mask="random"),
    ),
    "another model's vocabulary": ("siglip", partial(families.word_tokenizer, "bert", 64)),
    "a shorter context": ("openclip", partial(SimpleTokenizer, context_length=8)),
}
for _what, (_family, _tokenizer) in TOKENIZERS.items():
    lie(f"tokenizer/{_what}")(partial(read_by, _tokenizer, _family))

RANDOM: dict[str, Any] = {
    "crops at random": transforms.RandomResizedCrop(tiny.IMAGE_SIZE),
    "turns some around": transforms.RandomHorizontalFlip(),
    "changes the colours at random": transforms.ColorJitter(0.5, 0.5, 0.5),
}


def shown(step: Any, folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    subject.preprocess.transforms.insert(0, step)
    return subject.claim(file)


for _what, _step in RANDOM.items():
    lie(f"preprocess/{_what}")(partial(shown, _step))


@lie("preprocess/as for training")
def training(folder: Path) -> Claim:
    subject = Subject()
    subject.preprocess = image_transform(tiny.IMAGE_SIZE, is_train=True)
    return subject.claim(photo(folder))


@lie("preprocess/noise in its pixels")
def noisy(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    subject.preprocess.transforms.append(transforms.Lambda(lambda x: x + 0.5 * torch.randn_like(x)))
    return subject.claim(file)


def changed(change: Callable[[Any], None], family: str, folder: Path) -> Claim:
    """Change the preprocessing after wrapping."""
    subject, file = Subject(family), photo(folder)
    before = subject.library(file)
    assert subject.view
    change(subject.preprocess)
    return subject.claim(file, before=before)


def other_mean(preprocess: Any) -> None:
    preprocess.transforms[-1].mean = (0.1, 0.9, 0.3)


def other_mean_hf(preprocess: Any) -> None:
    preprocess.image_mean = [0.1, 0.9, 0.3]


def negative(preprocess: Any) -> None:
    preprocess.transforms.append(transforms.Lambda(lambda x: -x))


lie("preprocess/another mean after wrapping")(partial(changed, other_mean, "openclip"))
lie("preprocess/another mean after wrapping, transformers")(partial(changed, other_mean_hf, "hf"))
lie("preprocess/one more step after wrapping")(partial(changed, negative, "openclip"))


@lie("preprocess/another one in the view")
def replaced(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    before = subject.library(file)
    view = subject.view
    subject.preprocess = image_transform(tiny.IMAGE_SIZE, is_train=False, mean=(0.1, 0.9, 0.3))
    subject._view = replace(view, preprocess=subject.preprocess)
    return subject.claim(file, before=before)


def unit(subject: Subject, prompts: list[str]) -> Tensor:
    with torch.no_grad():
        return F.normalize(embed_text(subject.model, subject.tokenizer, prompts), dim=-1)


def unit_image(subject: Subject, file: Path) -> Tensor:
    with torch.no_grad(), Image.open(file) as image:
        return F.normalize(embed_image(subject.model, subject.preprocess(image)[None]), dim=-1)


def bend_texts(subject: Subject, word: int) -> None:
    """Let the model read the texts with one token otherwise than its blocks do."""
    assert subject.view
    whole = subject.model.encode_text

    def encode(ids: Tensor, normalize: bool = False) -> Tensor:
        embeddings = whole(ids, normalize=normalize)
        return torch.where((ids == word).any(1, keepdim=True), bend(embeddings), embeddings)

    subject.model.encode_text = encode


def token(subject: Subject, word: str) -> int:
    return int(subject.tokenizer([word])[0, 1])


@lie("against/the opponents are read otherwise")
def against(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    bend_texts(subject, token(subject, "cat"))
    library = (
        unit_image(subject, file)
        @ (unit(subject, ["a dog"]) - unit(subject, ["a cat", "a tree"]).mean(0)).T
    )
    explained = whyclip.explain(
        subject.view, file, "a dog", against=["a cat", "a tree"], method="contribution"
    )
    return Claim(explained, (float(library),))


@lie("ensemble/one template is read otherwise")
def ensemble(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    bend_texts(subject, token(subject, "cat"))
    templates = ["a dog", "a photo of a dog", "a cat and a dog"]
    mean = F.normalize(unit(subject, templates).mean(0), dim=-1)
    explained = whyclip.explain(subject.view, file, [templates], method="leave_one_out")
    return Claim(explained, (float(unit_image(subject, file) @ mean),))


@lie("image prompt/the image encoder answers otherwise")
def image_prompt(folder: Path) -> Claim:
    subject, file, other = Subject(), photo(folder), photo(folder, "other.png", (64, 40))
    assert subject.view
    whole = subject.model.encode_image
    subject.model.encode_image = lambda x, normalize=False: bend(whole(x, normalize))
    library = float(unit_image(subject, file) @ unit_image(subject, other).T)
    return Claim(whyclip.explain(subject.view, file, [other], method="occlusion"), (library,))


def stored(ending: str, folder: Path, **options: Any) -> Claim:
    """Save, load again, and look at what the loaded explanation says."""
    claim = Subject().claim(photo(folder, size=(96, 40)), **options)
    file = claim.explained.save(folder / f"saved{ending}")
    return replace(claim, explained=whyclip.load_explanation(file))


for _ending in (".json", ".npz", ".safetensors"):
    never(f"stored/random as {_ending}")(partial(stored, _ending, method="random"))
    never(f"stored/padded as {_ending}")(partial(stored, _ending, geometry="pad"))
never("stored/MaskCLIP")(partial(stored, ".json", method="maskclip"))
never("stored/unchecked")(partial(stored, ".json", check="none"))
never("stored/one head")(partial(stored, ".npz", method="grad_eclip", heads="single"))


@never("stored/a file of before 0.2 that said it explains the model itself")
def old(folder: Path) -> Claim:
    claim = Subject().claim(photo(folder), method="random")
    file = claim.explained.save(folder / "old.json")
    record = json.loads(file.read_text())
    record["certificate"] = {
        "verdict": "explains the model itself", "explains_model": True, "changes": [],
        "checks": {}, "precision": "fp32", "tolerance": 1e-4, "gap": 0.0, "audit": None,
        "scores": record["certificate"]["scores"],
    }  # fmt: skip
    file.write_text(json.dumps(record))
    return replace(claim, explained=whyclip.load_explanation(file))


def tampered(change: dict[str, Any], folder: Path) -> Claim:
    """A file whose sentences say more than its figures."""
    claim = Subject().claim(photo(folder), method="random")
    file = claim.explained.save(folder / "said.json")
    record = json.loads(file.read_text())
    record["certificate"].update(change)
    file.write_text(json.dumps(record))
    return replace(claim, explained=whyclip.load_explanation(file))


never("stored/a verdict written by hand")(
    partial(tampered, {"verdict": "explains the model's score", "explains_score": True})
)
never("stored/a score that is not a number")(
    partial(tampered, {"scope": {"image": "score"}, "scores": {"image": [np.nan, np.nan]}})
)
never("stored/no scope")(partial(tampered, {"scope": {}}))
never("stored/nothing checked")(
    partial(tampered, {"scope": {"image": "score", "text": "score"}, "checked": {}})
)


@lie("tokenizer/replaced in the view after wrapping")
def other_tokenizer(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    before = subject.library(file)
    view = copy.copy(subject.view)
    subject.tokenizer = Swapped(context_length=tiny.CONTEXT)
    subject._view = replace(view, tokenizer=subject.tokenizer)
    return subject.claim(file, before=before, method="leave_one_out")
