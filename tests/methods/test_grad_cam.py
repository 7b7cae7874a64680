"""Grad-CAM at every node against the library pytorch-grad-cam, and against plain gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import families
import tiny
import whyclip
from whyclip.errors import OptionError

KINDS = ("off", "hirescam", "layercam")
PROMPTS = ["a dog", "two red cars"]


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(4).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    return [Image.fromarray(part) for part in noise]


def ours(view: whyclip.ModelView, **options: Any) -> Tensor:
    """Maps ``[images, gh, gw]`` of the second prompt."""
    explanations = whyclip.explain(
        view, pictures(), PROMPTS, method="grad_cam", sides=("image",), **options
    )
    return torch.stack([ex.maps[1] for ex in explanations if ex.maps is not None])


def the_librarys(view: whyclip.ModelView, layer: Any, kind: str) -> Tensor:
    """The same before it stretches and enlarges each map."""
    from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    made = {"off": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}[kind]
    scorer = view.scorer(PROMPTS)
    pixels = torch.stack([view.preprocess(image) for image in pictures()])
    targets = [ClassifierOutputTarget(1)] * 2
    with made(scorer, [layer], reshape_transform=scorer.to_grid) as cam:
        cam(pixels, targets=targets)
        kept = cam.activations_and_grads
        activations, gradients = (part[0].numpy() for part in (kept.activations, kept.gradients))
        heat = cam.get_cam_image(pixels, layer, targets, activations, gradients, False)
    return torch.from_numpy(np.maximum(heat, 0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [-1, 0])
def test_behind_the_first_norm_it_is_the_librarys(kind: str, layer: int) -> None:
    parts = tiny.openclip_parts(seed=3)
    view = whyclip.wrap(*parts)
    norm = parts[0].visual.transformer.resblocks[layer].ln_1
    expected = the_librarys(view, norm, kind)
    maps = ours(view, node="ln_1", layer=layer, elementwise=kind)
    assert float(expected.max()) > 0
    torch.testing.assert_close(maps, expected, atol=1e-5 * float(expected.max()), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hirescam", "layercam"])
def test_at_a_blocks_input_elementwise_is_the_librarys(kind: str) -> None:
    """What enters the first block is what the norm before it gives."""
    parts = tiny.openclip_parts(seed=3)
    view = whyclip.wrap(*parts)
    expected = the_librarys(view, parts[0].visual.ln_pre, kind)
    maps = ours(view, layer=0, elementwise=kind)
    torch.testing.assert_close(maps, expected, atol=1e-5 * float(expected.max()), rtol=1e-4)


def test_the_papers_average_has_the_class_token() -> None:
    """By autograd over the library's own blocks, for both layers."""
    model, preprocess, tokenizer = tiny.openclip_parts(seed=3)
    view = whyclip.wrap(model, preprocess, tokenizer)
    pixels = torch.stack([preprocess(image) for image in pictures()])
    with torch.no_grad():
        text = torch.nn.functional.normalize(model.encode_text(tokenizer([PROMPTS[1]])), dim=-1)
        states = [view.image.embed(pixels).x]
        for block in model.visual.transformer.resblocks:
            states.append(block(states[-1]))
    for layer in (0, 1):
        x = states[layer].clone().requires_grad_()
        after = x
        for block in model.visual.transformer.resblocks[layer:]:
            after = block(after)
        embedding = model.visual.ln_post(after[:, 0]) @ model.visual.proj
        score = torch.nn.functional.normalize(embedding, dim=-1) @ text.T
        [gradient] = torch.autograd.grad(score.sum(), x)
        expected = (x * gradient.mean(1, keepdim=True)).sum(-1)[:, 1:].unflatten(1, tiny.GRID)
        maps = ours(view, layer=layer, relu=False)
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(maps, expected.detach(), atol=1e-5 * scale, rtol=1e-4)


@pytest.mark.parametrize("family", ["siglip", "timm-eva", "timm-pe", "blip", "coca"])
def test_other_families_have_a_first_norm(family: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    for layer in (-1, 0):
        ex = whyclip.explain(
            view,
            families.picture(),
            "a dog",
            method="grad_cam",
            sides=("image",),
            node="ln_1",
            layer=layer,
            elementwise="hirescam",
            relu=False,
        )
        assert ex.certificate.explains_score
        assert ex.maps is not None
        assert float(ex.maps.abs().max()) > 0


def test_what_is_not_there() -> None:
    view = whyclip.wrap(*tiny.openclip_parts(seed=3))
    with pytest.raises(OptionError, match="layer=2: the image encoder has layers 0 to 1"):
        ours(view, layer=2)
    resnet = whyclip.wrap(*families.SMALL["resnet"]())
    with pytest.raises(OptionError, match="no norm precedes"):
        ours(resnet, node="ln_1")


@pytest.mark.parametrize("kind", KINDS)
def test_behind_the_first_norm_by_autograd(kind: str) -> None:
    """The quick form of the comparison: a hook on the norm, and the formulas."""
    model, preprocess, tokenizer = tiny.openclip_parts(seed=3)
    view = whyclip.wrap(model, preprocess, tokenizer)
    pixels = torch.stack([preprocess(picture) for picture in pictures()])
    kept: list[Tensor] = []
    handle = model.visual.transformer.resblocks[-1].ln_1.register_forward_hook(
        lambda _m, _a, out: kept.append(out)
    )
    try:
        embeddings = [model.encode_image(pixels), model.encode_text(tokenizer([PROMPTS[1]]))]
    finally:
        handle.remove()
    image, text = (torch.nn.functional.normalize(part, dim=-1) for part in embeddings)
    [gradient] = torch.autograd.grad((image @ text.T).sum(), kept[0])
    x, gradient = kept[0][:, 1:].detach(), gradient[:, 1:]
    weights = {
        "off": gradient.mean(1, keepdim=True),
        "hirescam": gradient,
        "layercam": gradient.clamp(min=0),
    }
    expected = (x * weights[kind]).sum(-1).unflatten(1, tiny.GRID)
    maps = ours(view, node="ln_1", elementwise=kind, relu=False)
    scale = float(expected.abs().max())
    torch.testing.assert_close(maps, expected, atol=1e-5 * scale, rtol=1e-4)


def test_hirescam_of_what_enters_the_last_block_is_zero() -> None:
    """Its norm ignores the length of a patch's vector, along which the gradient is thus zero."""
    view = whyclip.wrap(*tiny.openclip_parts(seed=3))
    maps = ours(view, elementwise="hirescam", relu=False)
    other = ours(view, elementwise="hirescam", relu=False, node="ln_1")
    assert float(maps.abs().max()) < 1e-4 * float(other.abs().max())
