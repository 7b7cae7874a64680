"""Controls: what must be green, with the library's own score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import whyclip
from lies.adapters import lora, low_rank
from lies.checkpoints import loaded, saved
from lies.files import FILES, picture
from lies.library import Subject, photo
from lies.registry import Claim, honest
from lies.replaced import BLOCK, LAYER, load_state, swap
from lies.texts_and_saving import stored

FAMILIES = (
    "openclip", "hf", "siglip", "coca", "resnet", "timm-siglip", "timm-eva", "custom-text-eos",
    "metaclip2", "classifier", "vit-average",
)  # fmt: skip


def plain(family: str, folder: Path) -> Claim:
    return Subject(family).claim(photo(folder))


for _family in FAMILIES:
    honest(f"plain/{_family}")(partial(plain, _family))


def method(name: str, folder: Path) -> Claim:
    quick = {"rise": {"masks": 40}, "kernel_shap": {"samples": 40}}.get(name, {})
    return Subject().claim(photo(folder), method=name, **quick)


for _name in (
    "grad_eclip", "attention_eclip", "contribution", "decomposition", "game", "grad_cam",
    "occlusion", "leave_one_out", "rise",
):  # fmt: skip
    honest(f"method/{_name}")(partial(method, _name))


def after(plant: Callable[[Any], Any], family: str, folder: Path) -> Claim:
    """Wrap, then change the model in a way that the explanation can follow."""
    subject, file = Subject(family), photo(folder)
    before = subject.library(file)
    assert subject.view
    plant(subject.model)
    # The default reads every block, and refuses one that does not end where the next begins.
    return subject.claim(file, before=before, method="contribution")


def scaled(model: Any) -> None:
    """A hook between two blocks."""
    model.visual.transformer.resblocks[0].register_forward_hook(lambda _, __, out: out * 0.7)


def scaled_text(model: Any) -> None:
    model.token_embedding.register_forward_hook(lambda _, __, out: out * 0.7)


def compiled(model: Any) -> None:
    model.visual.transformer = torch.compile(model.visual.transformer, backend="eager")


FOLLOWED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a hook between two blocks": ("openclip", scaled),
    "a hook on the token embedding": ("openclip", scaled_text),
    "a low-rank update": ("openclip", low_rank(f"{BLOCK}.attn.in_proj_weight")),
    "a low-rank update of transformers": ("hf", low_rank(f"{LAYER}.self_attn.q_proj.weight")),
    "LoRA on the queries": ("hf", lora(f"{LAYER}.self_attn.q_proj")),
    "another projection": ("openclip", swap("openclip", "visual.proj")),
    "another checkpoint": ("openclip", load_state),
}
for _what, (_family, _plant) in FOLLOWED.items():
    honest(f"followed/{_what}")(partial(after, _plant, _family))


def before_wrapping(plant: Callable[[Any], Any], family: str, folder: Path) -> Claim:
    subject = Subject(family)
    plant(subject.model)
    return subject.claim(photo(folder))


honest("wrapped/with a low-rank update")(
    partial(before_wrapping, low_rank(f"{BLOCK}.attn.in_proj_weight"), "openclip")
)
honest("wrapped/with LoRA")(partial(before_wrapping, lora(f"{LAYER}.mlp.fc1"), "hf"))
honest("wrapped/with a hook on the words")(partial(before_wrapping, scaled_text, "openclip"))
honest("wrapped/in half precision")(
    partial(before_wrapping, lambda model: model.to(torch.bfloat16), "openclip")
)


@honest("followed/a compiled transformer")
def compiled_after(folder: Path) -> Claim:
    subject = Subject()
    assert subject.view
    compiled(subject.model)
    return subject.claim(photo(folder))


@honest("followed/a harmless hook on every part")
def watched(folder: Path) -> Claim:
    subject, seen = Subject(), []
    assert subject.view
    for module in subject.model.modules():
        module.register_forward_hook(lambda *_: seen.append(1))
    claim = subject.claim(photo(folder))
    assert seen
    return claim


@honest("precision/bf16")
def bf16(folder: Path) -> Claim:
    return Subject().claim(photo(folder), precision="bf16")


def jpeg(folder: Path) -> Path:
    file, exif = folder / "photo.jpg", Image.Exif()
    exif[0x010F] = "a camera"
    picture().save(file, exif=exif, quality=92)
    return file


def square(folder: Path) -> Path:
    return photo(folder, size=(32, 32))


def read(write: Callable[[Path], Path], folder: Path, **options: Any) -> Claim:
    return Subject().claim(write(folder), **options)


honest("file/an ordinary photo")(partial(read, jpeg))
honest("file/grey of 8 bits")(partial(read, FILES["grey"]))
honest("file/a square that padding leaves as it is")(partial(read, square, geometry="pad"))
honest("file/a square that keeps its size")(partial(read, square, geometry="keep"))


@honest("many/images and prompts")
def many(folder: Path) -> Iterator[Claim]:
    subject = Subject()
    files = [photo(folder, f"{i}.png", (40 + i, 40)) for i in range(3)]
    prompts = [f"a dog number {i}" for i in range(20)]
    explanations = whyclip.explain(subject.view, files, prompts, method="contribution", check="all")
    for ex, file in zip(explanations, files, strict=True):
        yield Claim(ex, subject.library(file, prompts))


for _ending in (".json", ".npz", ".safetensors"):
    honest(f"stored/as {_ending}")(partial(stored, _ending))


@honest("checkpoint/a folder of transformers")
def folder_hf(folder: Path) -> Claim:
    return loaded("siglip", saved("siglip"), folder)


@honest("checkpoint/a folder of OpenCLIP")
def folder_openclip(folder: Path) -> Claim:
    return loaded("vit", saved("vit"), folder)


@honest("prompts/an image")
def image_prompt(folder: Path) -> Claim:
    from lies.files import as_prompt

    return as_prompt(lambda place: photo(place, "other.png", (64, 40)), False, folder)
