"""Baselines, other scopes, changed computations and inputs: never green."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import torch

import tiny
import whyclip
from lies.library import Subject, photo
from lies.registry import Claim, lie, never
from whyclip import methods, selection
from whyclip.assemble import joined
from whyclip.methods import METHODS, Method, Relevance

OTHER_SCOPES = (
    "random", "raw_attention", "rollout", "patch_text", "maskclip", "clip_surgery", "legrad",
)  # fmt: skip


def other_scope(name: str, family: str, folder: Path) -> Claim:
    return Subject(family).claim(photo(folder), method=name, **tiny.QUICK.get(name, {}))


for _name in OTHER_SCOPES:
    never(f"scope/{_name}")(partial(other_scope, _name, "openclip"))
for _name in ("random", "raw_attention", "maskclip"):
    never(f"scope/{_name} of transformers")(partial(other_scope, _name, "hf"))
never("scope/random of a classifier")(partial(other_scope, "random", "classifier"))


def edges(forward_pass: Any) -> Relevance:
    """An edge detector: it never looks at the model, but returns the model's embedding."""
    b, n, t = (
        len(forward_pass.inputs),
        len(forward_pass.targets),
        forward_pass.content_mask.shape[1],
    )
    if forward_pass.side == "text":
        return Relevance(torch.ones(b, n, t), forward_pass.embedding)
    grid = forward_pass.stream.grid
    steps = forward_pass.inputs.diff(dim=-1).abs().mean(1, keepdim=True)
    values = torch.nn.functional.adaptive_avg_pool2d(steps, grid).flatten(1)
    whole = torch.zeros(b, t)
    whole[:, t - values.shape[1] :] = values
    return Relevance(whole[:, None].repeat(1, n, 1), forward_pass.embedding)


def by_method(method: Method, folder: Path) -> Claim:
    """Explain by a method of the user's own, put among those that are known."""
    known = MappingProxyType({**METHODS, method.name: method})
    with patch.object(methods, "METHODS", known), patch.object(selection, "METHODS", known):
        return Subject().claim(photo(folder), method=method.name)


GRAD_ECLIP = METHODS["grad_eclip"]


@wraps(GRAD_ECLIP.relevance)
def disguised(forward_pass: Any, **_: Any) -> Relevance:
    return edges(forward_pass)


def foreign(forward_pass: Any) -> Relevance:
    return edges(forward_pass)


foreign.__module__ = "whyclip.methods.edges"


def plain_reach(*_: Any) -> int:
    return 0


EDGES = replace(GRAD_ECLIP, name="edges", relevance=edges, blocks_needed=plain_reach, scope="score")
for _name, _method in {
    "an edge detector that claims the score": EDGES,
    "an edge detector under the name of Grad-ECLIP": replace(EDGES, name="grad_eclip"),
    "an edge detector that wraps Grad-ECLIP": replace(EDGES, relevance=disguised),
    "an edge detector in a module called like whyclip's": replace(EDGES, relevance=foreign),
    "the random baseline that claims the score": replace(METHODS["random"], scope="score"),
    "raw attention that claims the score": replace(METHODS["raw_attention"], scope="score"),
    "an edge detector as a partial function": replace(EDGES, relevance=partial(edges)),
}.items():
    never(f"own/{_name}")(partial(by_method, _method))


@never("modified/one head instead of four")
def single(folder: Path) -> Claim:
    return Subject().claim(photo(folder), method="grad_eclip", heads="single")


@never("modified/one head, by Attention-ECLIP on transformers")
def single_hf(folder: Path) -> Claim:
    return Subject("hf").claim(photo(folder), method="attention_eclip", heads="single")


@never("merged/the image side is random")
def merged_image(folder: Path) -> Iterator[Claim]:
    yield from merged(folder, "random", "decomposition")


@never("merged/the words are random")
def merged_words(folder: Path) -> Iterator[Claim]:
    yield from merged(folder, "grad_eclip", "random")


@never("merged/the words have one head")
def merged_heads(folder: Path) -> Iterator[Claim]:
    yield from merged(folder, "contribution", "grad_eclip", {"heads": "single"})


def merged(folder: Path, image: str, text: str, options: Any = None) -> Iterator[Claim]:
    subject, file = Subject(), photo(folder)
    one = subject.claim(file, method=image, sides=["image"])
    other = whyclip.explain(
        subject.view, file, subject.prompts, method=text, sides=["text"], **(options or {})
    )
    yield replace(one, explained=joined(one.explained, other))


@never("merged/the second of two compared methods is random")
def compared(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    comparison = whyclip.compare(subject.view, [file], subject.prompts, ["grad_eclip", "random"])
    return Claim(comparison["random"][0], subject.library(file))


@never("modified/the picture keeps its aspect ratio")
def keep(folder: Path) -> Claim:
    return Subject().claim(photo(folder, size=(96, 40)), geometry="keep")


@never("modified/the picture keeps its aspect ratio, occlusion")
def keep_occlusion(folder: Path) -> Claim:
    return Subject().claim(photo(folder, size=(96, 40)), geometry="keep", method="occlusion")


@never("modified/the picture is padded")
def pad(folder: Path) -> Claim:
    return Subject().claim(photo(folder, size=(96, 40)), geometry="pad")


@never("modified/the picture is padded, transformers")
def pad_hf(folder: Path) -> Claim:
    return Subject("hf").claim(photo(folder, size=(96, 40)), geometry="pad")


@never("unchecked/the check is off")
def unchecked(folder: Path) -> Claim:
    return Subject().claim(photo(folder), check="none")


@lie("precision/a model that is another one under autocast")
def autocast(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)

    def hook(_: Any, __: Any, output: Any) -> Any:
        return -output if torch.is_autocast_enabled("cpu") else output

    subject.model.visual.register_forward_hook(hook)
    return subject.claim(file, precision="bf16", method="occlusion")


@lie("precision/words of a model that is another one under autocast")
def autocast_text(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)

    def hook(_: Any, __: Any, output: Any) -> Any:
        return -output if torch.is_autocast_enabled("cpu") else output

    subject.model.ln_final.register_forward_hook(hook)
    return subject.claim(file, precision="bf16", method="leave_one_out")


@lie("precision/a bias whose rounding drowns the rest")
def drowned(folder: Path) -> Claim:
    subject, file = Subject(), photo(folder)
    with torch.no_grad():
        subject.model.visual.transformer.resblocks[-1].mlp.c_proj.bias.add_(3000.0)
    return subject.claim(file, precision="bf16", method="occlusion")
