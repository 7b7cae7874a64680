from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image

import tiny
import whyclip
from families_hf import classifier
from whyclip.errors import InputError, PromptError, UnsupportedModelError
from whyclip.methods import METHODS

NAMES = ("tabby, tabby cat", "golden retriever", "sports car", "daisy", "tiger")


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    return classifier(NAMES)


@pytest.fixture(scope="module")
def view(parts: tuple[Any, Any]) -> whyclip.ModelView:
    return whyclip.wrap(*parts, None, "vit")


def picture(width: int = 32, height: int = 32) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@torch.no_grad()
def logits(parts: tuple[Any, Any]) -> torch.Tensor:
    model, processor = parts
    pixels = processor(images=picture(), return_tensors="pt")["pixel_values"]
    return model(pixels).logits[0]


def test_scores_are_the_models_logits(view: whyclip.ModelView, parts: Any) -> None:
    ex = whyclip.explain(view, picture(), ["tabby cat", "Sports Car", "3", ["daisy", "tiger"]])
    values = logits(parts)
    expected = torch.stack([values[0], values[2], values[3], values[3:].mean()])
    torch.testing.assert_close(ex.scores, expected, rtol=1e-4, atol=1e-5)
    assert ex.certificate.explains_score, ex.certificate
    assert ex.words == ((),) * 4
    versus = whyclip.explain(view, picture(), "tabby", against=["daisy", "tiger"])
    assert float(versus.scores) == pytest.approx(float(values[0] - values[3:].mean()), abs=1e-4)


def by_hand(parts: Any, label: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Loops over heads and tokens of the last layer, from the state dict alone.

    Returns the contribution of every token, and ``Σ_c g_c v_ic`` (Grad-ECLIP without λ).
    """
    model, processor = parts
    state = {name: p.detach().double() for name, p in model.state_dict().items()}
    pixels = processor(images=picture(), return_tensors="pt")["pixel_values"].double()
    width, heads, patch = tiny.WIDTH, 4, tiny.PATCH

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        eps = model.config.layer_norm_eps
        return F.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    kernel = state["vit.embeddings.patch_embeddings.projection.weight"].flatten(1)
    cut = F.unfold(pixels, patch, stride=patch)[0].T @ kernel.T
    cut = cut + state["vit.embeddings.patch_embeddings.projection.bias"]
    x = torch.cat([state["vit.embeddings.cls_token"][0], cut])
    x = x + state["vit.embeddings.position_embeddings"][0]
    tensors: dict[str, torch.Tensor] = {}
    for layer in range(2):
        name = f"vit.layers.{layer}"
        normed = norm(x, f"{name}.layernorm_before")
        q, k, v = (linear(normed, f"{name}.attention.{p}_proj") for p in "qkv")
        q, k, v = (part.view(-1, heads, width // heads) for part in (q, k, v))
        a = torch.einsum("ihd,jhd->hij", q, k).div((width // heads) ** 0.5).softmax(-1)
        o = torch.einsum("hij,jhd->ihd", a, v).flatten(1).requires_grad_()
        tensors = {"a": a, "v": v, "o": o}
        x = x + linear(o, f"{name}.attention.o_proj")
        inner = F.gelu(linear(norm(x, f"{name}.layernorm_after"), f"{name}.mlp.fc1"))
        x = x + linear(inner, f"{name}.mlp.fc2")
    out = linear(norm(x, "vit.layernorm")[0], "classifier")[label]
    [g] = torch.autograd.grad(out, tensors["o"])
    g_heads = g[0].view(heads, -1)
    tokens = range(len(x))
    contribution = torch.tensor(
        [
            sum(
                (tensors["a"][h, 0, i] * (g_heads[h] @ tensors["v"][i, h])).item()
                for h in range(heads)
            )
            for i in tokens
        ]
    )
    values = torch.tensor([(g[0] @ tensors["v"][i].flatten()).item() for i in tokens])
    return contribution[1:], values[1:]


@pytest.mark.parametrize("label", [0, 3])
def test_maps_are_those_of_the_logit_by_hand(
    view: whyclip.ModelView, parts: Any, label: int
) -> None:
    if not hasattr(parts[0].vit, "layers"):
        pytest.skip("the reference knows the parameter names of transformers 5")
    contribution, values = by_hand(parts, label)
    for method, options, expected in (
        ("contribution", {}, contribution),
        ("grad_eclip", {"spatial": "none", "relu": False}, values),
        ("attention_eclip", {"spatial": "none", "relu": False}, values),
    ):
        ex = whyclip.explain(view, picture(), str(label), method=method, **options)
        scale = float(expected.abs().max())
        torch.testing.assert_close(
            ex.maps.flatten().double(), expected.double(), rtol=0, atol=1e-5 * scale
        )


def test_every_method_that_needs_no_text_works(view: whyclip.ModelView) -> None:
    quick = {"rise": {"masks": 8}, "kernel_shap": {"samples": 20, "cells": 2}}
    for name, method in METHODS.items():
        if "image" not in method.sides or not method.available:
            continue
        options = {k: v for k, v in quick.get(name, {}).items() if k in method.options}
        ex = whyclip.explain(view, picture(), ["daisy", "tiger"], method=name, **options)
        assert torch.isfinite(ex.maps).all(), name
        assert not method.text_specific or not torch.equal(ex.maps[0], ex.maps[1]), name


def test_integrated_gradients_are_complete_for_logits(view: whyclip.ModelView) -> None:
    ex = whyclip.explain(view, picture(), "daisy", method="integrated_gradients", steps=64)
    [gap] = (values[0] for values in ex.certificate.diagnostics.values())
    assert gap < 1e-2 * max(1.0, float(ex.scores.abs()))


def test_prompts_that_are_no_class_are_refused(view: whyclip.ModelView) -> None:
    with pytest.raises(InputError, match="did you mean daisy"):
        whyclip.explain(view, picture(), "daisi")
    with pytest.raises(PromptError, match="class names"):
        whyclip.explain(view, picture(), [picture()])
    with pytest.raises(UnsupportedModelError, match="has no text encoder"):
        whyclip.explain(view, picture(), "daisy", sides=["text"])


def test_a_saved_folder_loads(parts: Any, tmp_path: Path) -> None:
    model, processor = parts
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = whyclip.load(f"hf:{tmp_path}", "cpu")
    ex = whyclip.explain(loaded, picture(), "golden retriever")
    assert float(ex.scores) == pytest.approx(float(logits(parts)[1]), abs=1e-4)


@pytest.mark.slow
def test_a_true_size_classifier_is_followed() -> None:
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=1000)).eval()
    big = whyclip.wrap(model, transformers.ViTImageProcessor(), None)
    ex = whyclip.explain(big, picture(224, 224), ["7", "999"], method="contribution")
    assert ex.maps.shape == (2, 14, 14)
    assert ex.certificate.explains_score, ex.certificate
