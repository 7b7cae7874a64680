"""The model of ``clip.load``, as OpenAI's package gives it, with its tokenizing function."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import openai_clip
import tiny
import whyclip
from families import TEXTS, picture
from whyclip.errors import UnsupportedModelError

KINDS = pytest.mark.parametrize("parts", [openai_clip.vit, openai_clip.resnet], ids=["vit", "rn"])


@torch.no_grad()
def own_scores(parts: Any, texts: list[str]) -> torch.Tensor:
    """Cosines by the package's own calls."""
    model, preprocess, tokenize = parts
    image = model.encode_image(preprocess(picture())[None]).float()
    words = model.encode_text(tokenize(texts, truncate=True)).float()
    return (F.normalize(image, dim=-1) @ F.normalize(words, dim=-1).T)[0]


# The package's ResNet mixes precisions in its norms, which works on a GPU alone.
@pytest.mark.parametrize(
    ("parts", "half"),
    [(openai_clip.vit, False), (openai_clip.vit, True), (openai_clip.resnet, False)],
    ids=["vit", "vit-half", "rn"],
)
def test_scores_are_the_models_own(parts: Any, half: bool) -> None:
    model, preprocess, tokenize = parts()
    model = openai_clip.halve(model) if half else model
    view = whyclip.wrap(model, preprocess, tokenize)
    long = " ".join(["a red car"] * 40)
    with pytest.warns(whyclip.errors.WhyclipWarning, match="longer"):
        ex = whyclip.explain(view, picture(), [*TEXTS, long], method="grad_eclip")
    expected = own_scores((model, preprocess, tokenize), [*TEXTS, long])
    torch.testing.assert_close(ex.scores, expected, rtol=0, atol=2e-2 if half else 1e-5)
    assert [word.text for word in ex.words[0]] == ["a", "dog"]
    assert view.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


def as_openclip(model: Any) -> Any:
    """The same weights in OpenCLIP's model, whose names of parameters are the same."""
    import open_clip

    vision = {"image_size": tiny.IMAGE_SIZE, "patch_size": tiny.PATCH, "width": tiny.WIDTH}
    vision.update(layers=tiny.LAYERS, head_width=tiny.WIDTH // tiny.HEADS)
    text = {"context_length": 77, "vocab_size": tiny.VOCABULARY, "width": tiny.WIDTH}
    text.update(heads=tiny.HEADS, layers=tiny.LAYERS)
    other = open_clip.model.CLIP(
        tiny.EMBED, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text), True
    )
    other.load_state_dict(model.state_dict())
    return other.eval()


@pytest.mark.parametrize("method", ["grad_eclip", "contribution", "occlusion", "leave_one_out"])
@pytest.mark.parametrize("geometry", ["model", "keep"])
def test_maps_are_those_of_the_same_weights_in_openclip(method: str, geometry: Any) -> None:
    model, preprocess, tokenize = openai_clip.vit()
    sides: list[Any] = list(whyclip.methods.METHODS[method].sides)
    one = whyclip.wrap(model, preprocess, tokenize)
    other = whyclip.wrap(as_openclip(model), preprocess, tiny.openclip_parts()[2])
    a, b = (
        whyclip.explain(view, picture(), TEXTS[:2], method=method, sides=sides, geometry=geometry)
        for view in (one, other)
    )
    if "image" in sides:
        torch.testing.assert_close(a.maps, b.maps, rtol=1e-4, atol=1e-5 * float(b.maps.abs().max()))
    for ours, theirs in zip(a.words, b.words, strict=True):
        for word, same in zip(ours, theirs, strict=True):
            assert word.text == same.text
            assert word.relevance == pytest.approx(same.relevance, rel=1e-3, abs=1e-5)


@KINDS
def test_copies_and_parts_are_like_those_of_other_models(parts: Any) -> None:
    view = whyclip.wrap(*parts())
    for other in (copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        a, b = (whyclip.explain(v, picture(), TEXTS[:1]).maps for v in (view, other))
        assert torch.equal(a, b)


def reversed_words(texts: Any, context_length: int = 77) -> torch.Tensor:
    return openai_clip.tokenize([" ".join(reversed(t.split())) for t in texts], context_length)


def letters(texts: Any) -> torch.Tensor:
    return torch.tensor([[ord(c) for c in t.ljust(77)[:77]] for t in texts])


def shorter(texts: Any) -> torch.Tensor:
    return openai_clip.tokenize(texts, 77, True)[:, :20]


@pytest.mark.parametrize(
    ("function", "said"),
    [(reversed_words, "other ids"), (letters, "other ids"), (shorter, r"\[\d+, 20\], not ids")],
)
def test_functions_that_give_other_ids_are_refused(function: Any, said: str) -> None:
    model, preprocess, _ = openai_clip.vit()
    with pytest.raises(UnsupportedModelError, match=said) as caught:
        whyclip.wrap(model, preprocess, function)
    assert len(str(caught.value)) < 160


def test_a_function_that_differs_on_some_prompts_is_refused_at_those() -> None:
    def partly(texts: Any) -> torch.Tensor:
        return openai_clip.tokenize([text.replace("zebra", "horse") for text in texts], 77, True)

    model, preprocess, _ = tiny.openclip_parts()
    view = whyclip.wrap(model, preprocess, partly)
    whyclip.explain(view, picture(), "a horse")
    with pytest.raises(UnsupportedModelError, match="'a zebra' other ids"):
        whyclip.explain(view, picture(), "a zebra")
