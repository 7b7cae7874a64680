"""Hooks in the model: the explanation follows them, or refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import whyclip
from lies.library import Subject, photo
from lies.registry import Claim, lie, never
from whyclip.errors import WhyclipError

OPENCLIP = {
    "the image encoder": "visual",
    "the first convolution": "visual.conv1",
    "the norm before the blocks": "visual.ln_pre",
    "the image transformer": "visual.transformer",
    "the first block": "visual.transformer.resblocks.0",
    "the last block": "visual.transformer.resblocks.1",
    "the attention of the first block": "visual.transformer.resblocks.0.attn",
    "the attention of the last block": "visual.transformer.resblocks.1.attn",
    "the MLP of the last block": "visual.transformer.resblocks.1.mlp",
    "the last norm": "visual.ln_post",
    "the token embedding": "token_embedding",
    "the text transformer": "transformer",
    "the first text block": "transformer.resblocks.0",
    "the attention of the first text block": "transformer.resblocks.0.attn",
    "the last text block": "transformer.resblocks.1",
    "the last text norm": "ln_final",
}
HF = {
    "the image encoder": "vision_model",
    "the first layer": "vision_model.encoder.layers.0",
    "the attention of the first layer": "vision_model.encoder.layers.0.self_attn",
    "the output projection of the last layer": "vision_model.encoder.layers.1.self_attn.out_proj",
    "the image projection": "visual_projection",
    "the text encoder": "text_model",
    "the attention of the first text layer": "text_model.encoder.layers.0.self_attn",
    "the text projection": "text_projection",
}
METHODS: tuple[str | None, ...] = (None, "decomposition", "occlusion")


def bend(value: Any) -> Any:
    """Turn every second number of an output around, whatever carries it."""
    if isinstance(value, Tensor) and value.is_floating_point():
        signs = torch.ones(value.shape[-1], dtype=value.dtype)
        signs[::2] = -1
        return value * signs
    if isinstance(value, tuple):
        return (bend(value[0]), *value[1:])
    if hasattr(value, "keys"):
        for key in ("last_hidden_state", "pooler_output"):
            if key in value:
                value[key] = bend(value[key])
    return value


def hooked(family: str, path: str, before: bool, folder: Path) -> Iterator[Claim]:
    subject, file = Subject(family), photo(folder)
    plain = subject.library(file)
    assert subject.view
    if before:
        subject.part(path).register_forward_pre_hook(lambda _, args: bend(args))
    else:
        subject.part(path).register_forward_hook(lambda _, __, output: bend(output))
    yield from by_each_method(subject, file, plain)


def by_each_method(
    subject: Subject, file: Path, before: tuple[float, ...] | None
) -> Iterator[Claim]:
    """Claims of those methods that do not refuse."""
    for method in METHODS:
        claimed = claim_or_none(subject, file, before, method)
        if claimed is not None:
            yield claimed


def claim_or_none(
    subject: Subject, file: Path, before: tuple[float, ...] | None, method: str | None
) -> Claim | None:
    """The claim of one method; None where it refuses in one line."""
    try:
        return subject.claim(file, before=before, method=method)
    except WhyclipError as error:
        if "\n" in str(error):
            raise AssertionError(f"an error of more than one line: {error}") from error
        return None


for _what, _path in OPENCLIP.items():
    lie(f"hook/openclip, {_what}")(partial(hooked, "openclip", _path, False))
for _what in ("the image transformer", "the last block", "the last norm", "the text transformer"):
    lie(f"pre-hook/openclip, {_what}")(partial(hooked, "openclip", OPENCLIP[_what], True))
for _what, _path in HF.items():
    lie(f"hook/transformers, {_what}")(partial(hooked, "hf", _path, False))
for _family, _path in {
    "siglip": "vision_model.head",
    "coca": "visual.attn_pool",
    "resnet": "visual.attnpool",
    "timm-siglip": "visual.trunk.blocks.0.attn",
    "chinese-clip": "text_model.encoder.layer.0",
}.items():
    lie(f"hook/{_family}, {_path}")(partial(hooked, _family, _path, False))


MANY = [f"a dog number {i}" for i in range(30)] + ["a dog number thirty", "a dog " * 20]


def sometimes(plant: Callable[[Subject], None], method: str, folder: Path) -> Iterator[Claim]:
    """What only some inputs or calls show: every file and every prompt is compared."""
    subject = Subject()
    files = [photo(folder, f"{i}.png", (40 + 2 * i, 40)) for i in range(2)]
    sides = ("image",) if method == "occlusion" else ("text",)
    plant(subject)
    explanations = whyclip.explain(subject.view, files, MANY, method=method, sides=sides)
    for ex, file in zip(explanations, files, strict=True):
        yield Claim(ex, subject.library(file, MANY))


def _encode_text(changed: Callable[[Tensor], Tensor]) -> Callable[[Subject], None]:
    """Replace ``encode_text`` by one that answers otherwise where ``changed(ids)`` says so."""

    def plant(subject: Subject) -> None:
        assert subject.view
        whole = subject.model.encode_text

        def encode(ids: Tensor, normalize: bool = False) -> Tensor:
            embeddings = whole(ids, normalize=normalize)
            return torch.where(changed(ids)[:, None], bend(embeddings), embeddings)

        subject.model.encode_text = encode

    return plant


def _on_visual(hook: Callable[[Tensor], Tensor]) -> Callable[[Subject], None]:
    def plant(subject: Subject) -> None:
        assert subject.view
        subject.model.visual.register_forward_hook(lambda _, __, output: hook(output))

    return plant


def _small_turn(embeddings: Tensor) -> Tensor:
    """Turn embeddings by a third of a degree, which moves a cosine by some thousandths."""
    other = embeddings.roll(1, -1)
    return embeddings + 0.006 * other * embeddings.norm() / other.norm()


class _Count:
    """A hook that answers otherwise every second time."""

    calls = 0

    def __call__(self, embeddings: Tensor) -> Tensor:
        self.calls += 1
        return bend(embeddings) if self.calls % 2 else embeddings


def _noise(embeddings: Tensor) -> Tensor:
    return embeddings + 0.3 * torch.randn_like(embeddings) * embeddings.std()


def _centred(embeddings: Tensor) -> Tensor:
    return embeddings - embeddings.mean(0, keepdim=True) if len(embeddings) > 1 else embeddings


@lru_cache
def _thirty() -> int:
    return int(Subject().tokenizer(["thirty"])[0, 1])


def _says_thirty(ids: Tensor) -> Tensor:
    return (ids == _thirty()).any(1)


SOMETIMES: dict[str, Callable[[Subject], None]] = {
    "long prompts alone": _encode_text(lambda ids: (ids != 0).sum(1) > 12),
    "one prompt of many": _encode_text(_says_thirty),
    "prompts in large batches": _encode_text(lambda ids: torch.full_like(ids[:, 0], len(ids)) > 4),
    "noise in every pass": _on_visual(_noise),
    "batches alone": _on_visual(_centred),
    "every second call": _on_visual(_Count()),
}
for _what, _plant in SOMETIMES.items():
    for _method in ("occlusion", "contribution"):
        lie(f"sometimes/{_what}, {_method}")(partial(sometimes, _plant, _method))


@lie("sometimes/words turned by a third of a degree, in a compiled model")
def turned(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    assert subject.view
    whole, model = subject.model.encode_text, subject.model
    model.transformer = torch.compile(model.transformer, backend="eager")

    def encode(ids: Tensor, normalize: bool = False) -> Tensor:
        return _small_turn(whole(ids, normalize=normalize))

    before = subject.library(file)
    model.encode_text = encode
    return subject.claim(file, method="contribution", before=before)


@lie("hook/every module of the process")
def everywhere(folder: Path) -> Iterator[Claim]:
    subject, file = Subject(), photo(folder)
    before = subject.library(file)
    assert subject.view

    def hook(module: nn.Module, _: Any, output: Any) -> Any:
        return bend(output) if isinstance(module, nn.LayerNorm) else None

    handle = nn.modules.module.register_module_forward_hook(hook)
    try:
        yield from by_each_method(subject, file, before)
    finally:
        handle.remove()


def torn(path: str, method: str, side: Any, options: dict[str, Any], folder: Path) -> Claim:
    """A hook that the model's pass runs and the method's own re-run does not."""
    subject, file = Subject(), photo(folder)
    before = subject.library(file)
    assert subject.view
    subject.part(path).register_forward_hook(lambda _, __, output: bend(output))
    return subject.claim(file, before=before, method=method, sides=[side], **options)


FIRST, FIRST_TEXT = "visual.transformer.resblocks.0.attn", "transformer.resblocks.0.attn"
TORN: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "decomposition": (FIRST, "decomposition", "image", {}),
    "decomposition of words": (FIRST_TEXT, "decomposition", "text", {}),
    "GAME over all layers": (FIRST, "game", "image", {"start_layer": 0}),
    "contribution over two layers": (FIRST, "contribution", "image", {"layers": 2}),
    "M2IB": ("visual.transformer", "m2ib", "image", {"steps": 2}),
    "integrated gradients of words": ("transformer", "integrated_gradients", "text", {"steps": 2}),
    "Grad-CAM": ("visual.transformer.resblocks.1.attn", "grad_cam", "image", {}),
}
for _what, (_path, _method, _side, _options) in TORN.items():
    never(f"torn/{_what}")(partial(torn, _path, _method, _side, _options))
