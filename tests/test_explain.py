from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import tiny
import whyclip
from whyclip import encoded_prompts, pipeline, variant
from whyclip.errors import ImageError, OptionError, PromptError
from whyclip.forward import run as forward
from whyclip.methods import METHODS
from whyclip.selection import DEFAULTS

PROMPTS = ["a dog", "a photo of two red cars next to a tree"]


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any, Any]:
    return tiny.openclip_parts()


@pytest.fixture(scope="module")
def view(parts: tuple[Any, Any, Any]) -> whyclip.ModelView:
    return whyclip.wrap(*parts, name="tiny")


def picture(seed: int = 0, width: int = 48, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@torch.no_grad()
def unit_text(parts: tuple[Any, Any, Any], texts: list[str]) -> torch.Tensor:
    model, _, tokenizer = parts
    return F.normalize(model.encode_text(tokenizer(texts)), dim=-1)


@torch.no_grad()
def unit_image(parts: tuple[Any, Any, Any], image: Image.Image) -> torch.Tensor:
    model, preprocess, _ = parts
    return F.normalize(model.encode_image(preprocess(image)[None]), dim=-1)[0]


def relevances(explanation: whyclip.Explanation) -> list[list[float]]:
    return [[word.relevance for word in words] for words in explanation.words]


def test_scores_are_the_models_own_cosines(view: whyclip.ModelView, parts: Any) -> None:
    ex = whyclip.explain(view, picture(), PROMPTS)
    expected = unit_text(parts, PROMPTS) @ unit_image(parts, picture())
    torch.testing.assert_close(ex.scores, expected, atol=1e-6, rtol=1e-5)
    np.testing.assert_allclose(ex.certificate.score_model, expected, atol=1e-6)
    assert ex.certificate.explains_score
    assert ex.certificate.gap < 1e-6
    assert ex.certificate.verdict == "explains the model's score"
    assert ex.method == DEFAULTS["image"][0] == DEFAULTS["text"][0]


def test_the_certificate_tells_of_the_single_head(view: whyclip.ModelView, parts: Any) -> None:
    single = {"method": "grad_eclip", "heads": "single"}
    ex = whyclip.explain(view, picture(), PROMPTS, sides=["image"], **single)
    scores = unit_text(parts, PROMPTS) @ unit_image(parts, picture())
    assert not ex.certificate.explains_score
    assert ex.certificate.verdict == "explains a modified computation"
    assert ex.certificate.modified_input == ()
    assert "one head" in str(ex.certificate)
    assert ex.certificate.gap == pytest.approx(float((ex.scores - scores).abs().max()), abs=1e-6)
    assert ex.certificate.gap > 1e-2
    both = whyclip.explain(view, picture(), PROMPTS, **single)
    assert both.certificate.scores["image"] == pytest.approx(ex.scores.tolist())
    assert both.certificate.scores["text"] != pytest.approx(both.certificate.score_model, abs=1e-3)


def test_the_certificate_tells_of_another_geometry(view: whyclip.ModelView) -> None:
    for geometry in ("keep", "pad"):
        changed = whyclip.explain(view, picture(), PROMPTS, geometry=geometry)
        assert not changed.certificate.explains_score
        assert any(geometry in change for change in changed.certificate.modified_input)
        assert changed.certificate.modified_computation == ()
        assert changed.certificate.verdict == "explains a modified input"
        # Words and maps explain one score, whatever the model is shown.
        by_side = changed.certificate.scores
        assert by_side["text"] == pytest.approx(by_side["image"], abs=1e-6)
        same = whyclip.explain(view, picture(0, 32, 32), PROMPTS, geometry=geometry)
        assert same.certificate.explains_score, same.certificate


def test_an_ensemble_is_the_mean_of_its_templates(view: whyclip.ModelView, parts: Any) -> None:
    templates = ["a photo of a dog", "a drawing of a dog", "dog"]
    ex = whyclip.explain(view, picture(), [templates, "a cat"])
    mean = F.normalize(unit_text(parts, templates).mean(0), dim=-1)
    assert float(ex.scores[0]) == pytest.approx(
        float(mean @ unit_image(parts, picture())), abs=1e-6
    )
    by_direction = whyclip.explain(view, picture(), mean[None])
    torch.testing.assert_close(ex.maps[0], by_direction.maps[0], rtol=1e-4, atol=1e-6)
    alone = whyclip.explain(view, picture(), templates[1])
    second = [w.relevance for w in ex.words[0] if w.template == 1]
    np.testing.assert_allclose(second, relevances(alone)[0], rtol=1e-4, atol=1e-6)


def test_another_image_is_a_prompt(view: whyclip.ModelView, parts: Any) -> None:
    ex = whyclip.explain(view, picture(0), [picture(1)])
    expected = unit_image(parts, picture(0)) @ unit_image(parts, picture(1))
    assert float(ex.scores[0]) == pytest.approx(float(expected), abs=1e-6)
    assert ex.words == ((),)


def test_against_is_a_difference_of_cosines_and_of_maps(
    view: whyclip.ModelView, parts: Any
) -> None:
    options: dict[str, Any] = {"method": "contribution"}
    plain = whyclip.explain(view, picture(), PROMPTS, **options)
    versus = whyclip.explain(view, picture(), PROMPTS[:1], against=PROMPTS[1], **options)
    assert float(versus.scores[0]) == pytest.approx(
        float(plain.scores[0] - plain.scores[1]), abs=1e-6
    )
    # The contribution is linear in the target, so its maps subtract as the scores do.
    torch.testing.assert_close(versus.maps[0], plain.maps[0] - plain.maps[1], rtol=1e-4, atol=1e-6)
    assert versus.certificate.explains_score
    assert versus.against == (PROMPTS[1],)
    assert versus.versus == f"rather than {PROMPTS[1]}"
    assert versus.contrast[0] == pytest.approx(plain.scores.tolist()[:2], abs=1e-6)
    assert plain.contrast == ()


def test_contribution_is_linear_in_directions(view: whyclip.ModelView) -> None:
    a, b = F.normalize(torch.randn(2, view.width), dim=-1)
    maps = whyclip.explain(view, picture(), torch.stack([a, b, a + b]), method="contribution").maps
    torch.testing.assert_close(maps[2] * (a + b).norm(), maps[0] + maps[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_batch_gives_what_single_calls_give(
    view: whyclip.ModelView, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(i, 40 + 3 * i, 50) for i in range(5)]
    quick = tiny.QUICK.get(method, {})
    for at_once in (2, 16):
        monkeypatch.setattr(pipeline, "IMAGES_AT_ONCE", at_once)
        monkeypatch.setattr(encoded_prompts, "TEXTS_AT_ONCE", at_once - 1)
        together = whyclip.explain(view, images, PROMPTS, method=method, **quick)
        for image, ex in zip(images, together, strict=True):
            for index, prompt in enumerate(PROMPTS):
                single = whyclip.explain(view, image, prompt, method=method, **quick)
                if "image" in METHODS[method].sides:
                    rounding = 1e-5 * float(single.maps.abs().max())
                    torch.testing.assert_close(
                        ex.maps[index], single.maps[0], rtol=1e-4, atol=max(rounding, 1e-6)
                    )
                    assert single.maps[0].abs().max() > 0
                np.testing.assert_allclose(
                    relevances(ex)[index], relevances(single)[0], rtol=1e-3, atol=1e-6
                )


@pytest.mark.parametrize("method", sorted(m for m in METHODS if "image" in METHODS[m].sides))
def test_many_targets_by_jacobian_give_what_few_give(
    view: whyclip.ModelView, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directions = torch.randn(view.width + 30, view.width)
    monkeypatch.setattr(variant, "TARGETS_AT_ONCE", 17)
    options: dict[str, Any] = {"method": method, "sides": ["image"], **tiny.QUICK.get(method, {})}
    many = whyclip.explain(view, picture(), directions, **options)
    few = whyclip.explain(view, picture(), directions[-9:], **options)
    torch.testing.assert_close(many.maps[-9:], few.maps, rtol=1e-4, atol=1e-6)


def test_compare_shares_one_forward_pass_a_tower(
    view: whyclip.ModelView, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"image": 0, "text": 0}
    whole = forward._public_pass

    def counted(tower: Any, *arguments: Any) -> Any:
        calls[tower.side] += 1
        return whole(tower, *arguments)

    monkeypatch.setattr(forward, "_public_pass", counted)
    monkeypatch.setattr(forward, "_walk", None)
    # Integrated gradients begins at the first block, over and over.
    methods = {m: tiny.QUICK.get(m, {}) for m in METHODS if m != "integrated_gradients"}
    comparison = whyclip.compare(view, [picture()], PROMPTS, methods)
    assert list(comparison) == list(methods)
    assert calls == {"image": 1, "text": 1}
    for method, (ex,) in comparison.items():
        single = whyclip.explain(view, picture(), PROMPTS, method=method, **methods[method])
        torch.testing.assert_close(ex.maps, single.maps, rtol=1e-5, atol=1e-7)


def test_bf16_is_close_and_says_so(view: whyclip.ModelView) -> None:
    exact = whyclip.explain(view, picture(), PROMPTS, method="contribution")
    rough = whyclip.explain(view, picture(), PROMPTS, method="contribution", precision="bf16")
    assert rough.certificate.precision == "bf16"
    assert 0 < float((exact.scores - rough.scores).abs().max()) < 0.02


def test_one_image_gives_one_and_a_list_a_list(view: whyclip.ModelView) -> None:
    assert isinstance(whyclip.explain(view, picture(), "a dog"), whyclip.Explanation)
    assert len(whyclip.explain(view, [picture()], "a dog")) == 1


def test_sides(view: whyclip.ModelView) -> None:
    image = whyclip.explain(view, picture(), PROMPTS, sides=["image"])
    text = whyclip.explain(view, picture(), PROMPTS, sides=["text"])
    assert image.words == ((), ())
    assert text.maps is None
    assert [w.text for w in text.words[0]] == ["a", "dog"]
    assert image.scores.tolist() == pytest.approx(text.scores.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "grad_eclipp"}, OptionError, "did you mean grad_eclip"),
        ({"geometry": "kept"}, OptionError, "keep"),
        ({"precision": "fp8"}, OptionError, "unknown precision 'fp8'"),
        ({"sides": ["images"]}, OptionError, "did you mean image"),
        ({"method": "grad_eclip", "heads": "both"}, OptionError, "'native', 'single'"),
        ({"method": "grad_eclip", "head": "native"}, OptionError, "did you mean heads"),
        ({"method": "grad_eclip", "layers": 3}, OptionError, "1 to 2 blocks"),
        ({"heads": "single"}, OptionError, "option heads='single' needs a method.*'grad_eclip'"),
        ({"check": "some"}, OptionError, "unknown check 'some'"),
        ({"prompts": []}, PromptError, "no prompt"),
        ({"prompts": ["  "]}, PromptError, "empty"),
        ({"prompts": torch.randn(2, 7)}, PromptError, "has 7 numbers"),
        ({"images": []}, ImageError, "no image"),
        ({"images": "no/such.png"}, ImageError, "no such file"),
        ({"model": "mini"}, OptionError, "whyclip.load"),
    ],
)
def test_bad_input_is_quoted_in_one_line(
    view: whyclip.ModelView, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = {"prompts": PROMPTS, "images": picture(), "model": view, **change}
    with pytest.raises(error, match=message) as caught:
        whyclip.explain(
            arguments.pop("model"), arguments.pop("images"), arguments.pop("prompts"), **arguments
        )
    assert "\n" not in str(caught.value)


def test_heatmap_lies_on_the_original_picture(view: whyclip.ModelView) -> None:
    ex = whyclip.explain(view, picture(0, 96, 48), PROMPTS)
    heat = ex.heatmap()
    assert heat.shape == (2, 48, 96)
    # The centre crop shows the middle 48 columns; grid cells are 12 pixels, centres at 6, 18...
    assert torch.isnan(heat[:, :, :24]).all()
    assert torch.isnan(heat[:, :, 72:]).all()
    assert not torch.isnan(heat[:, :, 24:72]).any()
    centres = heat[:, 5:48:12, 29:72:12] + heat[:, 6:48:12, 30:72:12]
    centres = (centres + heat[:, 5:48:12, 30:72:12] + heat[:, 6:48:12, 29:72:12]) / 4
    scale = float(ex.maps.abs().max())
    torch.testing.assert_close(centres, ex.maps, atol=0.03 * scale, rtol=0.1)


def test_of_an_ensembles_check_the_largest_keeps_its_sign() -> None:
    checks = torch.tensor([[0.1, -0.3, 0.0], [-0.2, 0.1, 0.0]])
    assert pipeline._largest(checks).tolist() == pytest.approx([-0.2, -0.3, 0.0])
