"""The user's model stays as it was after every call, in training mode and after an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import families
import whyclip
from whyclip.errors import InputError, UnsupportedModelError
from whyclip.models import ModelView

WORDS = ["a dog", "red cars", "it"]
IMAGES = [families.picture(), families.picture(20, 30), families.picture(30, 20)]
CALLS: dict[str, Callable[[ModelView, Any], object]] = {
    "explain": lambda view, image: whyclip.explain(view, image, "a dog"),
    "interaction": lambda view, image: whyclip.interaction(view, image, "red cars"),
    "interaction, black box": lambda view, image: whyclip.interaction(
        view, image, "red cars", words="shapley", regions="banzhaf"
    ),
    "heads": lambda view, image: whyclip.heads(view, image, "a dog", paths="readout"),
    "describe_heads": lambda view, image: whyclip.describe_heads(
        view, [*IMAGES, image], WORDS, layers=1
    ),
    "reference": lambda view, image: whyclip.reference(view, [*IMAGES, image], WORDS),
    "edits": lambda view, image: whyclip.edits(view, image, "a red car", maps=1),
    "concepts": lambda view, image: whyclip.concepts(view, image, WORDS, images=IMAGES),
}


def state(view: ModelView) -> tuple[Any, dict[str, torch.Tensor]]:
    module = view.module
    assert module is not None
    parts = tuple(
        (part.training, len(part._forward_hooks), len(part._forward_pre_hooks))
        for part in module.modules()
    )
    gradients = tuple((p.requires_grad, p.grad is None) for p in module.parameters())
    return (parts, gradients), {k: v.clone() for k, v in module.state_dict().items()}


def check_unchanged(view: ModelView, before: tuple[Any, dict[str, torch.Tensor]]) -> None:
    flags, tensors = state(view)
    assert flags == before[0]
    assert all(torch.equal(tensors[name], value) for name, value in before[1].items())


@pytest.fixture(scope="module")
def view() -> ModelView:
    """A model with batch norms, which a pass in training mode would change."""
    return whyclip.wrap(*families.SMALL["resnet"]())


@pytest.mark.parametrize("name", CALLS)
def test_training_mode_is_refused_before_any_pass(name: str, view: ModelView) -> None:
    assert view.module is not None
    view.module.train()
    try:
        before = state(view)
        with pytest.raises(UnsupportedModelError, match=r"training mode.*model\.eval\(\)"):
            CALLS[name](view, IMAGES[0])
        check_unchanged(view, before)
    finally:
        view.module.eval()


def test_a_threshold_in_training_mode_is_refused(view: ModelView) -> None:
    assert view.module is not None
    ref = whyclip.reference(view, IMAGES, WORDS)
    view.module.train()
    try:
        with pytest.raises(UnsupportedModelError, match="training mode"):
            ref.threshold(view, "a dog", rate=0.3)
    finally:
        view.module.eval()


@pytest.mark.parametrize("name", CALLS)
def test_the_model_stays_as_it_was(name: str, view: ModelView) -> None:
    before = state(view)
    if name != "describe_heads":  # direct contributions need a class token
        CALLS[name](view, IMAGES[0])
        check_unchanged(view, before)
    with pytest.raises(InputError):
        CALLS[name](view, "no/such/file.png")
    check_unchanged(view, before)
