"""What every method declares of itself, asked of what it does on a small model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import tiny
import whyclip
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.methods import METHODS

PROMPTS = ["a dog", "two red cars next to a tree", "it is seen from above"]
AVAILABLE = [name for name, method in METHODS.items() if method.available]


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    # Weights that give scores of both signs.
    return whyclip.wrap(*tiny.openclip_parts(seed=7))


@pytest.fixture(scope="module")
def explanations_of(view: whyclip.ModelView) -> Callable[[str], list[whyclip.Explanation]]:
    """Three pictures explained by a method at its default options, once for all tests."""
    noise = np.random.default_rng(1).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    images = [Image.fromarray(one) for one in noise]
    kept: dict[str, list[whyclip.Explanation]] = {}

    def explained(name: str) -> list[whyclip.Explanation]:
        if name not in kept:
            options = {k: v for k, v in tiny.QUICK.get(name, {}).items() if k != "redundant"}
            kept[name] = whyclip.explain(view, images, PROMPTS, method=name, **options)
        return kept[name]

    return explained


def values_of(explanations: list[whyclip.Explanation]) -> dict[str, Tensor]:
    """By side: ``[pictures, prompts, ...]`` maps, or the words of all prompts."""
    values = {}
    maps = [ex.maps for ex in explanations if ex.maps is not None]
    if maps:
        values["image"] = torch.stack(maps)
    if any(explanations[0].words):
        words = [[w.relevance for row in ex.words for w in row] for ex in explanations]
        values["text"] = torch.tensor(words)
    return values


@pytest.mark.parametrize("name", AVAILABLE)
def test_it_reads_the_sides_it_says(name: str, explanations_of: Any) -> None:
    assert set(values_of(explanations_of(name))) == set(METHODS[name].sides)


@pytest.mark.parametrize("name", AVAILABLE)
def test_signed_means_that_negative_relevance_comes_out(name: str, explanations_of: Any) -> None:
    values = torch.cat([v.flatten() for v in values_of(explanations_of(name)).values()])
    assert (float(values.min()) < -1e-9) == METHODS[name].signed
    assert float(values.max()) > 0


@pytest.mark.parametrize("name", AVAILABLE)
def test_text_specific_means_that_the_target_matters(name: str, explanations_of: Any) -> None:
    """The target of a picture is a prompt, that of a prompt is a picture."""
    values = values_of(explanations_of(name))
    others = []
    if "image" in values:
        others += [(values["image"][:, 0], values["image"][:, i]) for i in (1, 2)]
    if "text" in values:
        others += [(values["text"][0], values["text"][i]) for i in (1, 2)]
    for one, other in others:
        same = torch.allclose(one, other, rtol=1e-5, atol=1e-7 * float(one.abs().max()))
        assert same != METHODS[name].text_specific


@pytest.mark.parametrize("name", AVAILABLE)
def test_a_certificate_is_green_for_methods_of_the_score_and_no_others(
    name: str, explanations_of: Any
) -> None:
    method = METHODS[name]
    green = {ex.certificate.explains_score for ex in explanations_of(name)}
    assert green == {method.scope == "score"}
    scopes = {scope for ex in explanations_of(name) for scope in ex.certificate.scope.values()}
    assert scopes == {method.scope}
    assert method.explains.startswith("the model itself") == (method.scope == "score")


def to_one(forward_pass: ForwardPass) -> Tensor:
    return torch.ones(len(forward_pass.inputs), len(forward_pass.targets))


def since_nothing_was_shown(forward_pass: ForwardPass) -> Tensor:
    with torch.no_grad():
        seen, nothing = (
            forward_pass.targets.score(forward_pass.tower.encode(pixels))
            for pixels in (forward_pass.inputs, torch.zeros_like(forward_pass.inputs))
        )
    return seen - nothing


def slope_along_the_readout(forward_pass: ForwardPass) -> Tensor:
    """d S(s·o)/ds at s = 1, which is g·o, by differences through the model's own modules."""
    block = forward_pass.tower.blocks[-1]
    q, k, v = block.qkv(forward_pass.states[len(forward_pass.tower.blocks) - 1])
    a = (q[:, :, :1] @ k.transpose(-1, -2) * block.scale).softmax(-1)
    o = (a @ v).transpose(1, 2).flatten(2)[:, 0].detach()
    x = forward_pass.states[len(forward_pass.tower.blocks) - 1][:, 0]

    def score(s: float) -> Tensor:
        with torch.no_grad():
            return forward_pass.targets.score(
                forward_pass.tower.project(block.finish(x, block.merge(s * o)))
            )

    return (score(1.01) - score(0.99)) / 0.02


# What the relevances of all tokens sum to.
SUMS: dict[str, Callable[[ForwardPass], Tensor]] = {
    "raw_attention": to_one,
    "rollout": to_one,
    "integrated_gradients": since_nothing_was_shown,
    "kernel_shap": since_nothing_was_shown,
    "contribution": slope_along_the_readout,
}


@pytest.mark.parametrize("name", [name for name in AVAILABLE if METHODS[name].sums_to])
def test_additive_means_that_the_sum_is_what_it_says(name: str, view: whyclip.ModelView) -> None:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randn(2, 3, *view.image.input_size, generator=generator)
    directions = torch.randn(3, view.width, generator=generator)
    targets = Targets(F.normalize(directions, dim=-1))
    forward_pass = run_tower(view.image, pixels, targets, keep=len(view.image.blocks))
    options = {"integrated_gradients": {"steps": 200}}.get(name, tiny.QUICK.get(name, {}))
    ours = METHODS[name].relevance(forward_pass, **options)
    if name == "decomposition":
        readout = METHODS[name].relevance(forward_pass, paths="readout")
        assert float(readout.diagnostics["additivity gap"].abs().max()) < 1e-5
    if name == "decomposition":  # the sum has other parts, too; they are in its check
        assert float(ours.diagnostics["additivity gap"].abs().max()) < 1e-4
        return
    assert name in SUMS, "say what the relevances sum to"
    expected = SUMS[name](forward_pass)
    tolerance = 1e-2 if name == "contribution" else 1e-4
    torch.testing.assert_close(ours.values.sum(-1), expected, rtol=tolerance, atol=tolerance / 10)
