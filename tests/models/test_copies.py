"""Copies of a wrapped model follow their own weights, and leave the original alone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tiny
import whyclip
from families import SMALL, TEXTS, picture
from families_hf import classifier
from whyclip.errors import UnsupportedModelError

NAMES = ("dog", "cat", "tiger")
PARTS: dict[str, Callable[[], Any]] = {
    **SMALL,
    "openclip": tiny.openclip_parts,
    "hf": tiny.hf_parts,
    "classifier": lambda: (*classifier(NAMES), None),
}
EVERY = pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)


def perturb(module: nn.Module) -> None:
    """Shift every parameter, so that no part of the old model gives the new model's result."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in module.parameters():
            size = 0.3 * float(parameter.abs().mean()) + 1e-3
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def results(view: whyclip.ModelView) -> list[Tensor]:
    """Scores, maps and word relevance by a black-box and a white-box method, and both logits."""
    prompts = list(NAMES[:2]) if view.classes is not None else TEXTS[:2]
    tensors = [torch.tensor([view.logit_scale, view.logit_bias or 0.0])]
    for method, options in (("occlusion", {"window": 1}), ("grad_eclip", {})):
        able = method == "occlusion" or not view.image.opaque
        sides: list[Any] = ["image"] if able else []
        if method == "grad_eclip" and view.classes is None and not view.text.opaque:
            sides.append("text")
        if not sides:
            continue
        ex = whyclip.explain(view, picture(), prompts, method=method, sides=sides, **options)
        tensors += [ex.scores] if ex.maps is None else [ex.scores, ex.maps]
        tensors += [torch.tensor([word.relevance for word in row]) for row in ex.words if row]
    return tensors


def assert_same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@EVERY
def test_copies_follow_their_own_weights(parts: Callable[[], Any]) -> None:
    view = whyclip.wrap(*parts())
    before, mark = results(view), view.fingerprint
    other = copy.deepcopy(view)
    assert other.module is not None
    assert other.module is not view.module
    perturb(other.module)
    fresh = whyclip.wrap(other.module, other.preprocess, other.tokenizer)
    changed = results(fresh)
    assert not torch.allclose(changed[1], before[1], atol=1e-4)
    assert_same(results(other), changed)
    assert other.fingerprint == fresh.fingerprint != mark
    sent = pickle.loads(pickle.dumps(other))
    assert_same(results(sent), changed)
    assert sent.fingerprint == other.fingerprint
    assert_same(results(view), before)
    assert view.fingerprint == mark
    # A view keeps no tensor: all it gives is read from the module at that moment.
    assert view.module is not None
    view.module.load_state_dict(other.module.state_dict(), assign=True)
    assert_same(results(view), changed)


@EVERY
def test_a_view_moves_with_its_module(parts: Callable[[], Any]) -> None:
    view = copy.deepcopy(whyclip.wrap(*parts()))
    assert view.to("cpu") is view
    # The device that every machine has beside the CPU; it holds shapes and no numbers.
    view.to("meta")
    assert {tower.device.type for tower in (view.image, view.text)} == {"meta"}
    assert view.module is not None
    assert {tensor.device.type for tensor in view.module.parameters()} == {"meta"}
    pixels = torch.zeros(1, 3, *view.image.input_size, device="meta")
    assert view.image.encode(pixels).shape == (1, view.width)
    if view.classes is not None:
        assert view.classes.weight.is_meta
    with pytest.raises(UnsupportedModelError, match="'meta'"):
        _ = view.fingerprint
