from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tiny
import whyclip
from convert import openclip_to_hf
from whyclip.errors import UnsupportedModelError
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.methods import METHODS

TEXTS = ["a dog", "a photo of two red cars next to a tree", "it"]
Parts = Callable[[], tuple[nn.Module, Any, Any]]
FAMILIES = pytest.mark.parametrize(
    "parts", [tiny.openclip_parts, tiny.hf_parts], ids=["openclip", "hf"]
)


def picture(width: int = 48, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@FAMILIES
def test_trunk_and_replay_end_where_the_model_does(parts: Parts) -> None:
    view = whyclip.wrap(*parts())
    targets = Targets(torch.eye(view.width)[:3])
    ids = tokenize(view.tokenizer, TEXTS, view.text.context).ids
    pixels = torch.randn(2, 3, tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    for tower, inputs in ((view.image, pixels), (view.text, ids), (view.text, view.text.trim(ids))):
        full = ids if tower is view.text else pixels
        with torch.no_grad():
            embedding = tower.encode(full)
        forward_pass = run_tower(tower, inputs, targets, keep=tiny.LAYERS)
        torch.testing.assert_close(forward_pass.embedding, embedding, atol=1e-5, rtol=1e-5)
        for layers in range(1, tiny.LAYERS + 1):
            readout = forward_pass.readout(layers)
            torch.testing.assert_close(readout.embedding, embedding, atol=1e-5, rtol=1e-5)
            assert readout.changes == ()


@FAMILIES
def test_texts_are_cut_behind_the_last_end_token(parts: Parts) -> None:
    view = whyclip.wrap(*parts())
    ids = tokenize(view.tokenizer, ["a dog", "dog"], view.text.context).ids
    assert view.text.trim(ids).shape == (2, 4)


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        "tensors": {k: v.clone() for k, v in [*model.named_parameters(), *model.named_buffers()]},
        "identity": {k: id(v) for k, v in [*model.named_parameters(), *model.named_buffers()]},
        "requires_grad": {k: p.requires_grad for k, p in model.named_parameters()},
        "grad": {k: p.grad is None for k, p in model.named_parameters()},
        "modules": {k: (id(m), type(m), m.training) for k, m in model.named_modules()},
        "attributes": {
            k: sorted(name for name in vars(m) if not name.startswith("_is_hf"))
            for k, m in model.named_modules()
        },
        "hooks": {
            k: [
                len(getattr(m, kind))
                for kind in vars(m)
                if "hook" in kind and isinstance(getattr(m, kind), dict)
            ]
            for k, m in model.named_modules()
        },
        "forward": {k: "forward" in vars(m) for k, m in model.named_modules()},
    }


@FAMILIES
@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_in_the_model_is_altered(parts: Parts, frozen: bool) -> None:
    model, preprocess, tokenizer = parts()
    model.requires_grad_(not frozen)
    before = state_of(model)
    view = whyclip.wrap(model, preprocess, tokenizer)
    for method in METHODS:
        for geometry in ("model", "keep"):
            quick: Any = tiny.QUICK.get(method, {})
            options = {"method": method, "geometry": geometry, **quick}
            whyclip.explain(view, picture(), ["a dog", "a cat"], **options)
    after = state_of(model)
    for key in before.keys() - {"tensors"}:
        assert before[key] == after[key], key
    for name, tensor in before["tensors"].items():
        assert torch.equal(tensor, after["tensors"][name]), name


def test_global_state_is_left_alone() -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    whyclip.explain(view, picture(), ["a dog"])
    assert torch.is_grad_enabled()
    assert torch.equal(torch.rand(4), expected)


def test_training_mode_is_refused() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    model.visual.transformer.resblocks[1].train()
    with pytest.raises(UnsupportedModelError, match=r"model.eval\(\)"):
        whyclip.wrap(model, preprocess, tokenizer)


@pytest.mark.parametrize(("tower", "layer"), [("image", 1), ("text", 0)])
def test_a_block_that_differs_is_named(tower: str, layer: int) -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    transformer = (model.visual if tower == "image" else model).transformer
    block = transformer.resblocks[layer]
    plain = block.forward
    block.forward = lambda *a, **k: plain(*a, **k) * 1.01
    with pytest.raises(UnsupportedModelError, match=f"{tower} block {layer} differs"):
        whyclip.wrap(model, preprocess, tokenizer)


def test_another_readout_is_refused() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    plain = model.encode_image
    model.encode_image = lambda *a, **k: plain(*a, **k) + 0.01
    with pytest.raises(UnsupportedModelError, match="image embedding differs"):
        whyclip.wrap(model, preprocess, tokenizer)


def test_other_models_are_named() -> None:
    with pytest.raises(UnsupportedModelError, match="Linear is neither"):
        whyclip.wrap(nn.Linear(2, 2).eval(), None, None)


def test_the_same_weights_give_the_same_maps_in_both_libraries() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    one = whyclip.wrap(model, preprocess, tokenizer)
    other = whyclip.wrap(openclip_to_hf(model, tiny.CONTEXT), preprocess, tiny.hf_tokenizer())
    for method in METHODS:
        for geometry in ("model", "keep"):
            quick: Any = tiny.QUICK.get(method, {})
            options = {"method": method, "geometry": geometry, **quick}
            a = whyclip.explain(one, picture(), TEXTS[:2], **options)
            b = whyclip.explain(other, picture(), TEXTS[:2], **options)
            if "image" in METHODS[method].sides:
                assert a.maps is not None
                near = 1e-5 * float(a.maps.abs().max())
                torch.testing.assert_close(a.maps, b.maps, rtol=1e-4, atol=near)
            torch.testing.assert_close(a.scores, b.scores, rtol=1e-5, atol=1e-6)
            for ours, theirs in zip(a.words, b.words, strict=True):
                assert [(w.text, w.start, w.end) for w in ours] == [
                    (w.text, w.start, w.end) for w in theirs
                ]
                np.testing.assert_allclose(
                    [w.relevance for w in ours], [w.relevance for w in theirs], rtol=1e-3, atol=1e-6
                )


@FAMILIES
def test_half_precision_weights_work(parts: Parts) -> None:
    model, preprocess, tokenizer = parts()
    half = copy.deepcopy(model).to(torch.bfloat16)
    exact = whyclip.explain(whyclip.wrap(model, preprocess, tokenizer), picture(), ["a dog"])
    rough = whyclip.explain(whyclip.wrap(half, preprocess, tokenizer), picture(), ["a dog"])
    assert abs(float(exact.scores - rough.scores)) < 0.05
