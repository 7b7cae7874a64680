"""Many images, one explanation at a time: equal to explain, and nothing piles up."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import tiny
import whyclip
from whyclip.errors import ImageError, OptionError, PromptError

PROMPTS = ["a dog", ["a red car", "a photo of a red car"]]


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def image(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(noise)


IMAGES = [image(seed) for seed in range(20)]


def pixels(view: whyclip.ModelView, count: int = 20) -> Tensor:
    return torch.stack([view.preprocess(one) for one in IMAGES[:count]])


def uncounted(ex: whyclip.Explanation) -> whyclip.Explanation:
    """Without how many images were checked, which is counted by batch."""
    return replace(ex, certificate=replace(ex.certificate, checked={}))


FORMS: dict[str, Callable[[whyclip.ModelView], Any]] = {
    "single": lambda _: iter(IMAGES),
    "lists": lambda _: [IMAGES[:3], IMAGES[3:4], IMAGES[4:]],
    "iterables": lambda _: (iter(part) for part in (IMAGES[:7], IMAGES[7:])),
    "mixed": lambda _: [IMAGES[0], IMAGES[1:5], *IMAGES[5:]],
    "with labels": lambda _: [(IMAGES[:8], [0] * 8), (IMAGES[8:], [1] * 12)],
}
PIXELS: dict[str, Callable[[whyclip.ModelView], Any]] = {
    "tensors": lambda view: pixels(view).split(6),
    "loader": lambda view: DataLoader(TensorDataset(pixels(view), torch.arange(20)), batch_size=6),
    "tuples": lambda view: [(part, "anything", None) for part in pixels(view).split(6)],
    "mappings": lambda view: [{"pixel_values": part} for part in pixels(view).split(6)],
    "arrays": lambda view: [part.numpy() for part in pixels(view).split(6)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", [None, "contribution"])
def test_images_in_any_form_give_what_explain_gives(
    view: whyclip.ModelView, form: str, method: str | None
) -> None:
    expected = whyclip.explain(view, IMAGES, PROMPTS, method=method)
    explanations = list(whyclip.explain_iter(view, FORMS[form](view), PROMPTS, method=method))
    check_equal(explanations, expected)


@pytest.mark.parametrize("form", PIXELS)
def test_pixels_in_any_form_give_what_explain_gives(view: whyclip.ModelView, form: str) -> None:
    expected = whyclip.explain(view, pixels=pixels(view), prompts=PROMPTS)
    check_equal(list(whyclip.explain_iter(view, PIXELS[form](view), PROMPTS)), expected)


def check_equal(
    explanations: list[whyclip.Explanation], expected: list[whyclip.Explanation]
) -> None:
    assert len(explanations) == len(expected)
    for one, other in zip(explanations, expected, strict=True):
        # Sizes of batches differ, and with them the rounding.
        torch.testing.assert_close(one.maps, other.maps, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(one.scores, other.scores, atol=1e-6, rtol=1e-4)
        for ours, theirs in zip(one.words, other.words, strict=True):
            assert [w.text for w in ours] == [w.text for w in theirs]
            assert [w.relevance for w in ours] == pytest.approx(
                [w.relevance for w in theirs], abs=1e-5
            )
        assert (one.geometry, one.methods, one.prompts) == (
            other.geometry, other.methods, other.prompts,
        )  # fmt: skip
        assert one.certificate.score_check == "passed"


def test_in_the_same_batches_results_are_the_same_bits(view: whyclip.ModelView) -> None:
    expected = whyclip.explain(view, IMAGES, PROMPTS)
    explanations = whyclip.explain_iter(view, [IMAGES[:16], IMAGES[16:]], PROMPTS)
    for one, other in zip(explanations, expected, strict=True):
        assert uncounted(one) == uncounted(other)


def test_prompts_are_encoded_once_and_batches_when_they_are_needed(
    view: whyclip.ModelView, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    encode = type(view.text).encode
    monkeypatch.setattr(
        type(view.text), "encode", lambda self, ids: calls.append(len(ids)) or encode(self, ids)
    )
    read: list[int] = []

    def batches() -> Iterator[list[Image.Image]]:
        for start in range(0, 20, 5):
            read.append(start)
            yield IMAGES[start : start + 5]

    explanations = whyclip.explain_iter(view, batches(), PROMPTS)
    once = list(calls)
    assert sum(once) >= 3
    assert read == []
    for number, _ in enumerate(explanations):
        assert read == list(range(0, number + 1, 5))
    assert calls == once


def tensors() -> int:
    gc.collect()
    return sum(type(one) in (Tensor, torch.nn.Parameter) for one in gc.get_objects())


@pytest.mark.parametrize("method", [None, "grad_cam", "occlusion"])
def test_nothing_is_kept_of_earlier_batches(view: whyclip.ModelView, method: str | None) -> None:
    earlier: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def batches() -> Iterator[Tensor]:
        for seed in range(6):
            made = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
            earlier.append(weakref.ref(made))
            yield made
            del made

    results: list[weakref.ref[Any]] = []
    sides = ["image"] if method else ["image", "text"]
    for number, ex in enumerate(
        whyclip.explain_iter(view, batches(), PROMPTS, method=method, sides=sides)
    ):
        if number % 4 == 0:
            alive.append(tensors())
            assert not [one for one in earlier[:-1] if one() is not None]
            assert not [one for one in results if one() is not None]
        results.append(weakref.ref(ex))
    assert len(results) == 24
    assert len(set(alive[1:])) == 1, alive


def test_a_list_that_is_kept_does_grow(view: whyclip.ModelView) -> None:
    batches = [torch.randn(4, 3, 32, 32) for _ in range(3)]
    before = tensors()
    kept = list(whyclip.explain_iter(view, batches, PROMPTS))
    assert len(kept) == 12
    assert tensors() >= before + 12


def test_the_callers_state_is_his_own_between_explanations(view: whyclip.ModelView) -> None:
    with torch.inference_mode():
        for ex in whyclip.explain_iter(view, [IMAGES[:2], IMAGES[2:4]], "a dog"):
            assert torch.is_inference_mode_enabled()
            assert not ex.scores.is_inference()
    loop = whyclip.explain_iter(view, IMAGES[:3], "a dog")
    next(loop)
    # Another call between two explanations, and a loop that is never finished.
    whyclip.explain(view, IMAGES[0], "a dog")
    loop.close()
    assert torch.get_default_dtype() == torch.float32


def test_wrong_arguments_are_named_before_any_batch_is_read(view: whyclip.ModelView) -> None:
    def never() -> Iterator[Any]:
        raise AssertionError
        yield

    for error, given in (
        (PromptError, {"prompts": [""]}),
        (OptionError, {"prompts": "a dog", "method": "grad_clip"}),
        (OptionError, {"prompts": "a dog", "geometry": "square"}),
        (OptionError, {"prompts": "a dog", "sides": []}),
    ):
        with pytest.raises(error):
            whyclip.explain_iter(view, never(), **given)
    for wrong in ("scene.png", Path("scene.png"), 3, IMAGES[0]):
        with pytest.raises(ImageError, match="give a DataLoader"):
            whyclip.explain_iter(view, wrong, "a dog")
    with pytest.raises(OptionError, match=r"whyclip\.load"):
        whyclip.explain_iter("mini", never(), "a dog")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ([], "batch #2 has no image"),
        ({"images": IMAGES[:2]}, "needs 'pixel_values'"),
        (7, "batch #2 is 7"),
        (torch.zeros(1, 3, 8, 8), "batch #2: pixels of shape"),
        (["nowhere.png"], "no such file: 'nowhere.png'"),
    ],
)
def test_a_batch_that_cannot_be_used_is_named(view: whyclip.ModelView, bad: Any, why: str) -> None:
    explanations = whyclip.explain_iter(view, [IMAGES[:2], bad], "a dog")
    assert len([next(explanations), next(explanations)]) == 2
    with pytest.raises(ImageError, match=why):
        next(explanations)


def test_an_iterator_without_images_gives_nothing(view: whyclip.ModelView) -> None:
    assert list(whyclip.explain_iter(view, [], "a dog")) == []
