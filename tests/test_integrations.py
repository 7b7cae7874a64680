"""The scorer beside what the libraries themselves compute, and beside whyclip's own methods."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import families
import tiny
import whyclip
from families_hf import classifier
from whyclip.errors import ImageError, OptionError, ScoreMismatchError, UnsupportedModelError
from whyclip.integrations import Scorer, explain_func
from whyclip.models import model_inputs

PROMPTS = ["a dog", "a photo of two red cars", ["a cat", "a drawing of a cat"]]


@pytest.fixture(scope="module")
def parts() -> Any:
    return tiny.openclip_parts()


@pytest.fixture(scope="module")
def view(parts: Any) -> whyclip.ModelView:
    return whyclip.wrap(*parts, name="tiny")


@pytest.fixture(scope="module")
def scorer(view: whyclip.ModelView) -> Scorer:
    return view.scorer(PROMPTS)


def drawn(count: int = 3, seed: int = 0, size: int = tiny.IMAGE_SIZE) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def by_the_library(parts: Any, pixels: Tensor) -> Tensor:
    """Cosines ``[b, n]`` without whyclip."""
    model, _, tokenizer = parts
    texts = []
    for prompt in PROMPTS:
        strings = [prompt] if isinstance(prompt, str) else prompt
        unit = F.normalize(model.encode_text(tokenizer(strings)), dim=-1)
        texts.append(F.normalize(unit.mean(0), dim=-1))
    return F.normalize(model.encode_image(pixels), dim=-1) @ torch.stack(texts).T


def test_scores_and_gradients_are_the_librarys(parts: Any, scorer: Scorer) -> None:
    pixels = drawn()
    ours, theirs = (pixels.clone().requires_grad_() for _ in range(2))
    scores, expected = scorer(ours), by_the_library(parts, theirs)
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-5)
    weights = torch.randn(scores.shape)
    (scores * weights).sum().backward()
    (expected * weights).sum().backward()
    assert float(theirs.grad.abs().max()) > 1e-3
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-4)


def test_a_gradient_is_what_a_small_step_changes(view: whyclip.ModelView) -> None:
    exact = copy.deepcopy(view.scorer(PROMPTS)).double()
    # Scores are given in float32; in float64 a step small enough for a difference can be seen.
    module, directions = exact.view.image, exact.directions

    def score(pixels: Tensor) -> Tensor:
        return F.normalize(module.encode(pixels), dim=-1)[0] @ directions[1]

    pixels = drawn(1).double()
    away = torch.randn(pixels.shape, dtype=torch.double)
    step = 1e-5
    with torch.no_grad():
        expected = (score(pixels + step * away) - score(pixels - step * away)) / (2 * step)
    single = view.scorer(PROMPTS)
    x = drawn(1).requires_grad_()
    [gradient] = torch.autograd.grad(single(x)[0, 1], x)
    assert float((gradient * away).sum()) == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("family", sorted(families.SMALL))
def test_scores_of_every_family_are_those_that_are_explained(family: str) -> None:
    model = whyclip.wrap(*families.SMALL[family]())
    ex = whyclip.explain(
        model, families.picture(), families.TEXTS, method="random", sides=["image"]
    )
    [(pixels, _)] = model_inputs(model, [families.picture()])
    scores = model.scorer(families.TEXTS)(pixels[None])
    assert scores[0].tolist() == pytest.approx(ex.certificate.score_model, abs=1e-5)


def test_scores_of_a_classifier_are_its_logits() -> None:
    model, processor = classifier(["cat", "dog", "car"])
    pixels = drawn()
    scores = whyclip.wrap(model, processor, None).scorer(["dog", "cat"])(pixels)
    torch.testing.assert_close(scores, model(pixel_values=pixels).logits[:, [1, 0]])


def test_against_is_a_difference(view: whyclip.ModelView, scorer: Scorer) -> None:
    pixels = drawn()
    versus = view.scorer(PROMPTS[0], against=PROMPTS[1])(pixels)[:, 0]
    alone = scorer(pixels)
    torch.testing.assert_close(versus, alone[:, 0] - alone[:, 1], atol=1e-6, rtol=1e-5)


def test_it_holds_the_users_own_model_and_leaves_it_as_it_was(parts: Any) -> None:
    model = parts[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = whyclip.wrap(*parts).scorer(PROMPTS)
    made(drawn().requires_grad_()).sum().backward()
    assert made.model is model
    assert not any(part.training for part in (model, made))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not made.directions.requires_grad
    assert {id(p) for p in made.parameters()} == {id(p) for p in model.parameters()}
    model.zero_grad()


def test_a_copy_follows_its_own_weights(view: whyclip.ModelView, scorer: Scorer) -> None:
    pixels = drawn()
    other = copy.deepcopy(scorer)
    before = scorer(pixels).detach()
    torch.testing.assert_close(other(pixels), before)
    tiny.randomise(other.model, 5)
    assert float((other(pixels).detach() - before).abs().max()) > 1e-2
    torch.testing.assert_close(scorer(pixels), before)
    maps = explain_func(other, pixels, np.zeros(3, int), interpolation="nearest")
    mine = explain_func(scorer, pixels, np.zeros(3, int), interpolation="nearest")
    assert not np.allclose(maps, mine)


@pytest.mark.parametrize(("kind", "within"), [(torch.double, 1e-6), (torch.bfloat16, 5e-2)])
def test_it_takes_other_precisions(scorer: Scorer, kind: torch.dtype, within: float) -> None:
    pixels = drawn()
    other = copy.deepcopy(scorer).to(kind)
    scores = other(pixels.to(kind))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, scorer(pixels), atol=within, rtol=0)
    maps = explain_func(other, pixels, np.zeros(3, int), method="contribution")
    expected = explain_func(scorer, pixels, np.zeros(3, int), method="contribution")
    assert np.corrcoef(maps.flatten(), expected.flatten())[0, 1] > 0.98


def test_it_is_exported_with_any_number_of_images(scorer: Scorer) -> None:
    exported = torch.export.export(
        scorer, (drawn(3),), dynamic_shapes={"pixels": {0: torch.export.Dim("b")}}
    )
    more = drawn(5, seed=1)
    torch.testing.assert_close(exported.module()(more), scorer(more), atol=1e-6, rtol=1e-5)


def test_transformers_models_are_exported() -> None:
    made = whyclip.wrap(*tiny.hf_parts()).scorer(PROMPTS)
    scores = torch.export.export(made, (drawn(2),)).module()(drawn(2, seed=1))
    torch.testing.assert_close(scores, made(drawn(2, seed=1)), atol=1e-6, rtol=1e-5)


def test_a_hook_on_the_model_as_a_whole_is_noticed(parts: Any) -> None:
    model, preprocess, tokenizer = copy.deepcopy(parts[0]), *parts[1:]
    view = whyclip.wrap(model, preprocess, tokenizer)
    model.register_forward_hook(lambda _m, _a, out: (-out[0], *out[1:]))
    with pytest.raises(ScoreMismatchError, match="called as a whole"):
        view.scorer(PROMPTS)


def test_training_mode_and_other_inputs_are_refused(parts: Any, scorer: Scorer) -> None:
    model = copy.deepcopy(parts[0])
    view = whyclip.wrap(model, *parts[1:])
    model.train()
    with pytest.raises(UnsupportedModelError, match="training mode"):
        view.scorer("a dog")
    for shape in ((3, 32, 32), (1, 1, 32, 32), (1, 3, 40, 32)):
        with pytest.raises(ImageError, match=r"takes \[b, 3, 32, 32\]"):
            scorer(torch.zeros(shape))


def test_captum_gives_the_librarys_gradient(parts: Any, scorer: Scorer) -> None:
    from captum.attr import Saliency

    pixels = drawn()
    attribution = Saliency(scorer).attribute(pixels.clone().requires_grad_(), target=1, abs=False)
    x = pixels.clone().requires_grad_()
    [expected] = torch.autograd.grad(by_the_library(parts, x)[:, 1].sum(), x)
    torch.testing.assert_close(attribution, expected, atol=1e-6, rtol=1e-4)


def test_integrated_gradients_of_captum_are_whyclips(
    view: whyclip.ModelView, scorer: Scorer
) -> None:
    from captum.attr import IntegratedGradients

    pixels = drawn(2)
    attribution = IntegratedGradients(scorer).attribute(pixels, target=1, n_steps=8).float()
    by_patch = F.avg_pool2d(attribution.sum(1), tiny.PATCH, divisor_override=1)
    ours = whyclip.explain(
        view, pixels=pixels, prompts=PROMPTS, method="integrated_gradients", steps=8,
        sides=["image"],
    )  # fmt: skip
    expected = torch.stack([ex.maps[1] for ex in ours])
    assert float(expected.abs().max()) > 1e-2
    torch.testing.assert_close(by_patch, expected, atol=1e-5, rtol=1e-4)


def test_occlusion_of_captum_is_a_difference_of_scores(parts: Any, scorer: Scorer) -> None:
    from captum.attr import Occlusion

    pixels, side = drawn(1), tiny.PATCH
    window = (3, side, side)
    attribution = Occlusion(scorer).attribute(pixels, window, strides=window, target=2)
    with torch.no_grad():
        whole = by_the_library(parts, pixels)[0, 2]
        for top, left in ((0, 0), (8, 24), (24, 16)):
            hidden = pixels.clone()
            hidden[:, :, top : top + side, left : left + side] = 0
            drop = whole - by_the_library(parts, hidden)[0, 2]
            assert float(attribution[0, 0, top, left]) == pytest.approx(float(drop), abs=1e-5)


def test_captums_layer_methods_reach_the_layers(parts: Any, scorer: Scorer) -> None:
    from captum.attr import LayerGradientXActivation

    layer = parts[0].visual.transformer.resblocks[0]
    attribution = LayerGradientXActivation(scorer, layer).attribute(drawn(), target=0)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _a, out: kept.append(out))
    try:
        score = by_the_library(parts, drawn())[:, 0].sum()
    finally:
        handle.remove()
    [gradient] = torch.autograd.grad(score, kept[0])
    torch.testing.assert_close(attribution, gradient * kept[0], atol=1e-6, rtol=1e-4)


def test_layer_grad_cam_of_captum_on_a_resnet() -> None:
    from captum.attr import LayerGradCam

    made = whyclip.wrap(*families.SMALL["resnet"]()).scorer(families.TEXTS)
    layer = made.model.visual.layer4
    pixels = drawn(2, size=made.view.image.input_size[0])
    attribution = LayerGradCam(made, layer).attribute(pixels, target=1)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _a, out: kept.append(out))
    try:
        score = made(pixels)[:, 1].sum()
    finally:
        handle.remove()
    [gradient] = torch.autograd.grad(score, kept[0])
    expected = torch.einsum("bc,bchw->bhw", gradient.mean((2, 3)), kept[0])
    torch.testing.assert_close(attribution[:, 0], expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", ["grad_eclip", "contribution", "clip_surgery", "random"])
def test_the_function_for_quantus_gives_the_maps_of_explain(
    view: whyclip.ModelView, scorer: Scorer, method: str
) -> None:
    pixels, targets = drawn(), np.array([2, 0, 1])
    maps = explain_func(scorer, pixels.numpy(), targets, method=method, interpolation="nearest")
    assert maps.shape == (3, 1, 32, 32)
    ours = whyclip.explain(view, pixels=pixels, prompts=PROMPTS, method=method, sides=["image"])
    for laid, ex, target in zip(maps, ours, targets, strict=True):
        expected = ex.maps[target].numpy()
        np.testing.assert_allclose(laid[0, :: tiny.PATCH, :: tiny.PATCH], expected, atol=1e-6)
        np.testing.assert_array_equal(laid[0, 7::8, 7::8], laid[0, ::8, ::8])


def test_options_and_interpolation_reach_the_method(
    view: whyclip.ModelView, scorer: Scorer
) -> None:
    pixels, targets = drawn(), torch.tensor([0, 0, 0])
    maps = explain_func(scorer, pixels, targets, method="grad_eclip", relu=False, device="cpu")
    ours = whyclip.explain(
        view, pixels=pixels, prompts=PROMPTS[0], method="grad_eclip", relu=False, sides=["image"]
    )
    assert maps.min() < 0
    for laid, ex in zip(maps, ours, strict=True):
        expected = ex.heatmap(interpolation="bilinear")
        np.testing.assert_allclose(laid, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"targets": np.array([0, 1])}, "3 whole numbers from 0 to 2"),
        ({"targets": np.array([0, 1, 3])}, "3 whole numbers from 0 to 2"),
        ({"targets": np.array([0, 1, -1])}, "3 whole numbers from 0 to 2"),
        ({"targets": np.array([0.0, 1, 2])}, "3 whole numbers from 0 to 2"),
        ({"inputs": np.zeros((3, 32, 32), np.float32)}, r"\[b, 3, height, width\]"),
        ({"model": torch.nn.Identity()}, r"model\.scorer\(prompts\)"),
        ({"method": "gradcam"}, "did you mean grad_cam"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_given_wrongly_is_named(scorer: Scorer, given: dict[str, Any], why: str) -> None:
    arguments = {"model": scorer, "inputs": drawn().numpy(), "targets": np.zeros(3, int), **given}
    with pytest.raises((OptionError, ImageError), match=why):
        explain_func(**arguments)


def test_tokens_become_feature_maps(scorer: Scorer) -> None:
    rows, columns = tiny.GRID
    tokens = torch.arange(2 * (1 + rows * columns) * 5.0).reshape(2, -1, 5)
    laid = scorer.to_grid(tokens)
    assert laid.shape == (2, 5, rows, columns)
    for row in range(rows):
        for column in range(columns):
            expected = tokens[:, 1 + row * columns + column]
            assert torch.equal(laid[:, :, row, column], expected)
    assert torch.equal(scorer.to_grid(tokens.transpose(0, 1)), laid)
    assert torch.equal(scorer.to_grid((tokens, None)), laid)
    assert scorer.to_grid(laid) is laid
    with pytest.raises(ImageError, match="4×4 patches"):
        scorer.to_grid(tokens[:, :9])


@pytest.mark.slow
def test_grad_cam_of_pytorch_grad_cam(parts: Any, scorer: Scorer) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = parts[0].visual.transformer.resblocks[-1].ln_1
    pixels = drawn(2)
    with GradCAM(scorer, [layer], reshape_transform=scorer.to_grid) as cam:
        maps = cam(pixels, targets=[ClassifierOutputTarget(1)] * 2)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _a, out: kept.append(out))
    try:
        score = by_the_library(parts, pixels)[:, 1].sum()
    finally:
        handle.remove()
    [gradient] = torch.autograd.grad(score, kept[0])
    # Selvaraju et al. 2017, eqs. 1 and 2, over the patches.
    weights = gradient[:, 1:].mean(1)
    expected = torch.einsum("bw,btw->bt", weights, kept[0][:, 1:]).relu().unflatten(1, tiny.GRID)
    low, high = (part((1, 2), keepdim=True) for part in (expected.amin, expected.amax))
    # It stretches each map to 0..1, enlarges it, and does so once more.
    size = (tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    large = F.interpolate(((expected - low) / high)[:, None], size, mode="bilinear")[:, 0]
    large = large.clamp(min=0) - large.amin((1, 2), keepdim=True)
    large = large / large.amax((1, 2), keepdim=True)
    np.testing.assert_allclose(maps, large.detach().numpy(), atol=1e-4)


@pytest.mark.slow
def test_metrics_of_quantus_run_on_a_scorer(view: whyclip.ModelView, scorer: Scorer) -> None:
    import quantus

    pixels, targets = drawn(2).numpy(), np.array([0, 1])
    sparse = quantus.Sparseness(disable_warnings=True)
    options = {"method": "contribution", "interpolation": "nearest"}
    sparseness = sparse(
        model=scorer, x_batch=pixels, y_batch=targets, explain_func=explain_func,
        explain_func_kwargs=options, channel_first=True, device="cpu",
    )  # fmt: skip
    maps = explain_func(scorer, pixels, targets, **options)
    given = sparse(model=scorer, x_batch=pixels, y_batch=targets, a_batch=maps, channel_first=True)
    np.testing.assert_allclose(sparseness, given)
    assert sparseness[0] != sparseness[1]
    randomised = quantus.MPRT(disable_warnings=True, layer_order="bottom_up")
    scores = randomised(
        model=scorer, x_batch=pixels, y_batch=targets, explain_func=explain_func,
        explain_func_kwargs=options, channel_first=True, device="cpu",
    )  # fmt: skip
    values = np.concatenate([np.asarray(one, float).flatten() for one in scores.values()])
    assert values.min() < 0.99
