"""Batches that were preprocessed elsewhere give what the images themselves give."""

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
from whyclip.errors import ImageError, OptionError, WhyclipWarning

PROMPTS = ["a dog", "a photo of two red cars next to a tree"]


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def images(count: int = 3, width: int = 48, height: int = 40) -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [
        Image.fromarray(draw.integers(0, 255, (height, width, 3), dtype=np.uint8))
        for _ in range(count)
    ]


def batch(view: whyclip.ModelView, count: int = 3) -> Tensor:
    return torch.stack([view.preprocess(one) for one in images(count)])


def test_a_batch_gives_what_its_images_give(view: whyclip.ModelView) -> None:
    ours = whyclip.explain(view, pixels=batch(view, 20), prompts=PROMPTS)
    theirs = whyclip.explain(view, images(20), PROMPTS)
    assert len(ours) == len(theirs) == 20
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.maps, other.maps)
        assert torch.equal(one.scores, other.scores)
        assert one.words == other.words
        assert one.certificate.score_model == other.certificate.score_model


@pytest.mark.parametrize("family", sorted(families.SMALL))
def test_every_family_takes_what_its_preprocessing_makes(family: str) -> None:
    from whyclip.models import model_inputs

    model = whyclip.wrap(*families.SMALL[family]())
    [(pixels, where)] = model_inputs(model, [families.picture()])
    options: dict[str, Any] = {"method": "random", "sides": ["image"]}
    [ours] = whyclip.explain(model, pixels=pixels[None], prompts="a dog", **options)
    theirs = whyclip.explain(model, families.picture(), "a dog", **options)
    assert torch.equal(ours.maps, theirs.maps)
    assert ours.certificate.score_model == pytest.approx(theirs.certificate.score_model, abs=1e-6)
    height, width = pixels.shape[1:]
    gh, gw = ours.maps.shape[1:]
    patch = model.image.patch
    assert tuple(ours.geometry.box) == (0, 0, gw * patch, gh * patch)
    assert (ours.geometry.width, ours.geometry.height) == (width, height)
    assert where.box != ours.geometry.box


def test_maps_lie_on_the_pixels(view: whyclip.ModelView) -> None:
    pixels = batch(view)
    for index, ex in enumerate(whyclip.explain(view, pixels=pixels, prompts=PROMPTS)):
        laid = ex.heatmap(interpolation="nearest")
        assert laid.shape == (2, *pixels.shape[2:])
        expected = ex.maps.repeat_interleave(tiny.PATCH, 1).repeat_interleave(tiny.PATCH, 2)
        assert torch.equal(laid, expected)
        # The image beside it is what these pixels show, to the nearest of 256 shades.
        shown = view.preprocess(ex.image)
        assert ex.image.size == (32, 32)
        assert float((shown - pixels[index]).abs().max()) < 0.5 / 255 / 0.26 + 1e-4


def test_the_certificate_says_what_was_not_seen(view: whyclip.ModelView, tmp_path: Any) -> None:
    [ex, *_] = whyclip.explain(view, pixels=batch(view), prompts=PROMPTS)
    certificate = ex.certificate
    assert certificate.input == "pixels"
    assert "did not see the original image" in str(certificate)
    assert certificate.score_check == "passed"
    assert certificate.checked["image"] == (1, 1)
    assert certificate.explains_score
    assert certificate.changes == ()
    assert "did not see" in ex.save(tmp_path / "why.html").read_text(encoding="utf-8")
    back = whyclip.load_explanation(ex.save(tmp_path / "why.json"))
    assert back.certificate == certificate
    seen = whyclip.explain(view, images(1)[0], PROMPTS).certificate
    assert seen.input == "image"
    assert "did not see" not in str(seen)


def test_a_wrong_score_is_noticed() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    view = whyclip.wrap(model, preprocess, tokenizer)
    encode, calls = model.encode_image, []

    def drifting(pixels: Tensor, *given: Any, **named: Any) -> Tensor:
        calls.append(1)
        return encode(pixels, *given, **named) + 0.1 * len(calls)

    model.encode_image = drifting
    with pytest.raises(whyclip.errors.ScoreMismatchError):
        whyclip.explain(view, pixels=torch.randn(2, 3, 32, 32), prompts=PROMPTS)


def test_kinds_of_float_and_arrays(view: whyclip.ModelView) -> None:
    pixels = batch(view)
    expected = [ex.scores for ex in whyclip.explain(view, pixels=pixels, prompts=PROMPTS)]
    kinds = {torch.double: 1e-6, torch.float16: 2e-2, torch.bfloat16: 1e-1}
    for kind, within in kinds.items():
        explanations = whyclip.explain(view, pixels=pixels.to(kind), prompts=PROMPTS)
        for ex, scores in zip(explanations, expected, strict=True):
            torch.testing.assert_close(ex.scores, scores, atol=within, rtol=0)
    explanations = whyclip.explain(view, pixels=pixels.numpy(), prompts=PROMPTS)
    assert all(torch.equal(ex.scores, s) for ex, s in zip(explanations, expected, strict=True))
    wanting = pixels.clone().requires_grad_()
    [ex, *_] = whyclip.explain(view, pixels=wanting, prompts=PROMPTS)
    assert not ex.scores.requires_grad
    assert wanting.grad is None


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape)


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (noise(3, 32, 32), r"add an axis: pixels\[None\]"),
        (noise(2, 32, 32, 3), r"expected \[b, 3, height, width\]"),
        (noise(0, 3, 32, 32), r"expected \[b, 3, height, width\]"),
        (noise(1, 1, 32, 32), r"expected \[b, 3, height, width\]"),
        (noise(1, 3, 32, 40), "takes 32×32 pixels"),
        (noise(1, 3, 224, 224), "takes 32×32 pixels"),
        (torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8), "expected floats"),
        (torch.randint(0, 256, (1, 3, 32, 32)).float(), "does not look normalised"),
        (noise(1, 3, 32, 32).index_fill(3, torch.tensor([3]), float("nan")), "NaN or infinite"),
        (noise(1, 3, 32, 32).index_fill(3, torch.tensor([3]), float("inf")), "NaN or infinite"),
        ("scene.png", "of type str"),
        ([noise(3, 32, 32)], "of type list"),
        (np.array(["a"]), "of type ndarray"),
    ],
)
def test_what_is_no_batch_is_refused(view: whyclip.ModelView, pixels: Any, why: str) -> None:
    with pytest.raises(ImageError, match=why) as caught:
        whyclip.explain(view, pixels=pixels, prompts="a dog")
    assert len(str(caught.value)) < 260


def test_values_from_0_to_1_are_warned_of(view: whyclip.ModelView) -> None:
    with pytest.warns(WhyclipWarning, match="does not look normalised"):
        whyclip.explain(view, pixels=torch.rand(1, 3, 32, 32), prompts="a dog")


@pytest.mark.filterwarnings("error")
def test_plain_inputs_are_not_warned_of(view: whyclip.ModelView) -> None:
    for value in (0.0, 0.5, 1.93):
        whyclip.explain(view, pixels=torch.full((1, 3, 32, 32), value), prompts="a dog")


def test_images_and_pixels_exclude_each_other(view: whyclip.ModelView) -> None:
    with pytest.raises(OptionError, match="give one of them"):
        whyclip.explain(view, images(1)[0], "a dog", pixels=batch(view))
    with pytest.raises(OptionError, match="needs the original image"):
        whyclip.explain(view, pixels=batch(view), prompts="a dog", geometry="pad")
    with pytest.raises(OptionError, match="whyclip.load"):
        whyclip.explain("mini", pixels=batch(view), prompts="a dog")
    with pytest.raises(ImageError):
        whyclip.explain(view, prompts="a dog")
