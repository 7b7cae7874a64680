"""Methods that change the input and watch the score, once more with loops and in float64."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import families
import reference
import tiny
import whyclip
from cases import ENCODE, TwoReadings, tiny_parts
from whyclip.errors import OptionError, WhyclipWarning
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.methods import METHODS

PROMPTS = ["a red dog", "two supercalifragilistic elephants near a playground"]
PATCH = tiny.PATCH
IMAGE_METHODS = ["occlusion", "rise", "integrated_gradients", "kernel_shap", "random"]
TEXT_METHODS = ["leave_one_out", "integrated_gradients", "kernel_shap", "random"]
QUICK = tiny.QUICK


class Case(TwoReadings):
    """With the scores of this file."""

    def image_score(self, prompt: str) -> Callable[[Tensor], Tensor]:
        """The cosine of any pixels with a prompt."""
        target = embed_text(self.text_tower, pieces_of(prompt))

        def score(pixels: Tensor) -> Tensor:
            tokens = reference.stem_image(self.image_tower, pixels)
            return reference.cosine(forward(self.image_tower, tokens, 0), target)

        return score

    def text_score(self) -> Callable[[list[list[int]]], float]:
        """The cosine of any words with the picture."""
        target = forward(self.image_tower, self.image_tokens(), 0)
        return lambda words: float(reference.cosine(embed_text(self.text_tower, words), target))


def forward(tower: reference.PlainTower, x: Tensor, readout: int) -> Tensor:
    """Every block with gradients, to the embedding."""
    for block in tower.blocks:
        x = x + reference.attend(tower, block, x, readout, tower.heads)[0]
        hidden = reference.norm(x, block.norm2) @ block.w1.T + block.b1
        x = x + reference.activation(hidden, tower.quick) @ block.w2.T + block.b2
    return tower.projection @ reference.norm(x[readout], tower.final_norm)


def pieces_of(prompt: str) -> list[list[int]]:
    return [ENCODE(word) for word in prompt.split()]


def embed_text(tower: reference.PlainTower, words: list[list[int]]) -> Tensor:
    ids = [49406, *(piece for word in words for piece in word), 49407]
    return forward(tower, reference.stem_text(tower, torch.tensor(ids)), len(ids) - 1)


@pytest.fixture(scope="module", params=["openclip", "hf"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case.of(tiny_parts(request.param))


@pytest.fixture(scope="module", params=["openclip", "hf"])
def wide(request: pytest.FixtureRequest) -> Case:
    """A 4 x 6 grid on a model whose own is 4 x 4."""
    return Case.of(tiny_parts(request.param), width=6 * PATCH)


def explain(case: Case, prompts: Any = PROMPTS, **options: Any) -> whyclip.Explanation:
    return whyclip.explain(case.view, options.pop("image", case.image), prompts, **options)


def relevances(explanation: whyclip.Explanation, row: int = 0) -> list[float]:
    return [word.relevance for word in explanation.words[row]]


def assert_close(result: Any, expected: Any, relative: float = 1e-5) -> None:
    result = torch.as_tensor(result, dtype=torch.float64).flatten()
    expected = torch.as_tensor(expected, dtype=torch.float64).flatten()
    assert result.shape == expected.shape
    worst = float((result - expected).abs().max() / expected.abs().max())
    assert worst < relative, f"relative error {worst:.2e}"


# Occlusion


def plain_occlusion(pixels: Tensor, score: Any, window: int, stride: int) -> Tensor:
    gh, gw = pixels.shape[1] // PATCH, pixels.shape[2] // PATCH
    drops: dict[tuple[int, int], list[float]] = {}
    whole = float(score(pixels))
    for top in range(gh):
        for left in range(gw):
            bottom, right = top + window, left + window
            steps_down = top % stride == 0 or bottom == gh
            steps_across = left % stride == 0 or right == gw
            if bottom > gh or right > gw or not (steps_down and steps_across):
                continue
            covered = pixels.clone()
            covered[:, top * PATCH : bottom * PATCH, left * PATCH : right * PATCH] = 0
            drop = whole - float(score(covered))
            for place in itertools.product(range(top, bottom), range(left, right)):
                drops.setdefault(place, []).append(drop)
    return torch.tensor(
        [[sum(drops[y, x]) / len(drops[y, x]) for x in range(gw)] for y in range(gh)]
    )


@pytest.mark.parametrize(
    "options", [{}, {"window": 1}, {"window": 2, "stride": 2}, {"window": 3, "stride": 2}]
)
def test_occlusion(case: Case, options: dict[str, int]) -> None:
    expected = plain_occlusion(
        case.pixels,
        case.image_score(PROMPTS[1]),
        options.get("window", 3),
        options.get("stride", 1),
    )
    assert_close(explain(case, method="occlusion", **options).maps[1], expected)


def test_occlusion_on_a_wide_picture(wide: Case) -> None:
    """Six columns in windows of three by steps of two: the last one ends at the border."""
    ex = explain(wide, method="occlusion", geometry="keep", stride=2)
    expected = plain_occlusion(wide.pixels, wide.image_score(PROMPTS[0]), 3, 2)
    assert_close(ex.maps[0], expected, 2e-5)


# RISE


def plain_masks(count: int, cells: int, p: float, seed: int, height: int, width: int) -> Any:
    """Bits and shifts in the documented order; then each pixel by its four neighbours."""
    generator = torch.Generator().manual_seed(seed)
    bits = (torch.rand(count, cells, cells, generator=generator) < p).double()
    cell = [math.ceil(height / cells), math.ceil(width / cells)]
    shifts = [torch.randint(c, (count,), generator=generator).tolist() for c in cell]

    def along(at: int, axis: int) -> tuple[int, int, float]:
        place = (at + 0.5) * cells / ((cells + 1) * cell[axis]) - 0.5
        place = min(max(place, 0.0), cells - 1.0)
        low = min(int(place), cells - 2)
        return low, low + 1, place - low

    for k in range(count):
        mask = torch.zeros(height, width, dtype=torch.float64)
        for y in range(height):
            top, bottom, down = along(y + shifts[0][k], 0)
            for x in range(width):
                left, right, across = along(x + shifts[1][k], 1)
                mask[y, x] = (
                    bits[k, top, left] * (1 - down) * (1 - across)
                    + bits[k, top, right] * (1 - down) * across
                    + bits[k, bottom, left] * down * (1 - across)
                    + bits[k, bottom, right] * down * across
                )
        yield mask


def plain_rise(pixels: Tensor, score: Any, masks: int, cells: int, p: float, seed: int) -> Tensor:
    total = torch.zeros(pixels.shape[1:], dtype=torch.float64)
    for mask in plain_masks(masks, cells, p, seed, *pixels.shape[1:]):
        total += float(score(pixels * mask)) * mask
    total /= masks * p
    gh, gw = pixels.shape[1] // PATCH, pixels.shape[2] // PATCH
    return total.reshape(gh, PATCH, gw, PATCH).mean((1, 3))


@pytest.mark.parametrize(
    "options", [{}, {"cells": 3, "p": 0.3, "seed": 5}, {"cells": 5, "batch_size": 4}]
)
def test_rise(case: Case, options: dict[str, Any]) -> None:
    expected = plain_rise(
        case.pixels,
        case.image_score(PROMPTS[1]),
        10,
        options.get("cells", 8),
        options.get("p", 0.5),
        options.get("seed", 0),
    )
    assert_close(explain(case, method="rise", masks=10, **options).maps[1], expected)


def test_rise_on_a_wide_picture(wide: Case) -> None:
    expected = plain_rise(wide.pixels, wide.image_score(PROMPTS[1]), 6, 8, 0.5, 0)
    ex = explain(wide, method="rise", masks=6, geometry="keep")
    assert_close(ex.maps[1], expected)


def test_more_masks_take_no_more_memory(case: Case) -> None:
    pixels, nothing = case.pixels.float()[None], Targets(torch.eye(tiny.EMBED)[:2])
    forward_pass = run_tower(case.view.image, pixels, nothing, keep=0)

    def peak(masks: int) -> int:
        with torch.profiler.profile(profile_memory=True) as profile:
            METHODS["rise"].relevance(forward_pass, masks=masks, batch_size=8)
        events: Any = profile.profiler.kineto_results.events()
        changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
        return max(itertools.accumulate(change for _, change in changes))

    few = peak(16)
    assert few > 8 * pixels.numel() * 4
    # Of a mask there is its small grid and two shifts; a picture would be 12 KB.
    assert peak(160) - few < 144 * 200


def test_rise_masks_show_a_picture_with_probability_p() -> None:
    from whyclip.methods.rise import Masks

    masks = Masks(3000, 8, 0.3, 0, torch.zeros(1, 3, 40, 56)).at(slice(None))
    assert masks.shape == (3000, 40, 56)
    assert masks.min() >= 0
    assert masks.max() <= 1
    torch.testing.assert_close(masks.mean(0), torch.full((40, 56), 0.3), atol=0.05, rtol=0)
    assert len(masks.unique(dim=0)) == 3000


# Leave one out


@pytest.mark.parametrize("prompt", PROMPTS)
def test_leave_one_out(case: Case, prompt: str) -> None:
    words, score = pieces_of(prompt), case.text_score()
    expected = [score(words) - score(words[:i] + words[i + 1 :]) for i in range(len(words))]
    ex = explain(case, [prompt, "dog"], method="leave_one_out")
    assert [w.text for w in ex.words[0]] == prompt.split()
    assert_close(relevances(ex), expected)
    alone = [score([ENCODE("dog")]) - score([])]
    assert_close(relevances(ex, 1), alone, 5e-5)  # the difference of scores that are near


def test_a_text_that_fills_the_context(case: Case) -> None:
    """Nothing stands behind the end token, but where words are gone padding must."""
    prompt = " ".join(["dog", "cat", "car", "tree", "house"] * 15)
    words, score = pieces_of(prompt), case.text_score()
    assert len(words) == tiny.CONTEXT - 2
    values = relevances(explain(case, prompt, method="leave_one_out"))
    expected = [score(words) - score(words[:i] + words[i + 1 :]) for i in (0, 40, 74)]
    assert_close([values[i] for i in (0, 40, 74)], expected, 1e-4)


@pytest.mark.parametrize("family", ["custom-text-last", "coca", "altclip", "chinese-clip", "blip"])
def test_a_full_text_is_padded_as_the_tokenizer_pads(family: str) -> None:
    """These read what stands behind the end token, too, or mask by what it is."""
    view = whyclip.wrap(*families.SMALL[family]())
    prompt = " ".join(("dog", "cat", "red", "car", "tree")[i % 5] for i in range(view.text.context))
    with pytest.warns(WhyclipWarning, match="longer"):
        ex = whyclip.explain(
            view, families.picture(), prompt, method="leave_one_out", sides=["text"]
        )
    words = [word.text for word in ex.words[0]]
    shorter = [" ".join(words), " ".join(words[1:]), " ".join(words[:3] + words[4:])]
    whole, *left = whyclip.explain(
        view, families.picture(), shorter, sides=["image"]
    ).scores.tolist()
    expected = [whole - score for score in left]
    assert_close([ex.words[0][i].relevance for i in (0, 3)], expected, 1e-4)


# Integrated gradients


def legendre(steps: int) -> list[tuple[float, float]]:
    """Nodes and weights on 0..1 from the textbook, for one to three points."""
    outer = math.sqrt(3 / 5)
    table = {
        1: [(0.0, 2.0)],
        2: [(-1 / math.sqrt(3), 1.0), (1 / math.sqrt(3), 1.0)],
        3: [(-outer, 5 / 9), (0.0, 8 / 9), (outer, 5 / 9)],
    }
    return [((1 + node) / 2, weight / 2) for node, weight in table[steps]]


def plain_gradients(x: Tensor, baseline: Tensor, score: Any, steps: int) -> Tensor:
    total = torch.zeros_like(x)
    for alpha, weight in legendre(steps):
        point = (baseline + alpha * (x - baseline)).requires_grad_()
        [g] = torch.autograd.grad(score(point), point)
        total += weight * g * (x - baseline)
    return total


def plain_image_gradients(case: Case, prompt: str, steps: int) -> Tensor:
    pixels = case.pixels
    gradients = plain_gradients(pixels, torch.zeros_like(pixels), case.image_score(prompt), steps)
    gh, gw = pixels.shape[1] // PATCH, pixels.shape[2] // PATCH
    return gradients.sum(0).reshape(gh, PATCH, gw, PATCH).sum((1, 3))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_integrated_gradients_of_pixels(case: Case, steps: int) -> None:
    ex = explain(case, method="integrated_gradients", sides=["image"], steps=steps)
    for row, prompt in enumerate(PROMPTS):
        expected = plain_image_gradients(case, prompt, steps)
        assert_close(ex.maps[row], expected)
        score = case.image_score(prompt)
        promised = float(score(case.pixels)) - float(score(torch.zeros_like(case.pixels)))
        gap = abs(float(expected.sum()) - promised)
        certificate_gap = ex.certificate.diagnostics["completeness gap, image side"][row]
        assert certificate_gap == pytest.approx(gap, abs=2e-6)


def test_integrated_gradients_on_a_wide_picture(wide: Case) -> None:
    ex = explain(wide, method="integrated_gradients", sides=["image"], steps=2, geometry="keep")
    assert_close(ex.maps[1], plain_image_gradients(wide, PROMPTS[1], 2))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_integrated_gradients_of_words(case: Case, prompt: str) -> None:
    tower, words = case.text_tower, pieces_of(prompt)
    ids = torch.tensor([49406, *itertools.chain(*words), 49407])
    ended = torch.tensor([49406, *[49407] * (len(ids) - 1)])
    target = forward(case.image_tower, reference.stem_image(case.image_tower, case.pixels), 0)

    def score(x: Tensor) -> Tensor:
        return reference.cosine(forward(tower, x, len(ids) - 1), target)

    x, baseline = reference.stem_text(tower, ids), reference.stem_text(tower, ended)
    pieces = plain_gradients(x, baseline, score, 3).sum(1)[1:-1].tolist()
    expected = [sum(pieces.pop(0) for _ in word) for word in words]
    ex = explain(case, prompt, method="integrated_gradients", sides=["text"], steps=3)
    assert_close(relevances(ex), expected)
    gap = abs(sum(expected) - float(score(x)) + float(score(baseline)))
    assert ex.certificate.diagnostics["completeness gap, text side"][0] == pytest.approx(
        gap, abs=2e-6
    )


def test_the_completeness_gap_falls_with_the_steps(case: Case) -> None:
    gaps: dict[str, list[float]] = {}
    for steps in (8, 32, 128):
        ex = explain(case, method="integrated_gradients", steps=steps)
        for name, values in ex.certificate.diagnostics.items():
            gaps.setdefault(name, []).append(max(values))
    assert len(gaps) == 2
    for rough, finer, finest in gaps.values():
        assert finer < rough / 5
        assert finest < 1e-6


# KernelSHAP


def exact_shapley(players: int, worth: Callable[[frozenset[int]], float]) -> list[float]:
    """Mean marginal worth over all orders, from the worth of every coalition."""
    known = {
        frozenset(c): worth(frozenset(c))
        for size in range(players + 1)
        for c in itertools.combinations(range(players), size)
    }
    values = [0.0] * players
    orders = list(itertools.permutations(range(players)))
    for order in orders:
        for at, player in enumerate(order):
            before = frozenset(order[:at])
            values[player] += (known[before | {player}] - known[before]) / len(orders)
    return values


@pytest.mark.parametrize("prompt", PROMPTS)
def test_words_get_their_exact_shapley_values(case: Case, prompt: str) -> None:
    words, score = pieces_of(prompt), case.text_score()
    expected = exact_shapley(
        len(words), lambda kept: score([w for i, w in enumerate(words) if i in kept])
    )
    assert_close(relevances(explain(case, prompt, method="kernel_shap", sides=["text"])), expected)


def test_cells_get_their_exact_shapley_values(case: Case) -> None:
    score = case.image_score(PROMPTS[1])

    def worth(kept: frozenset[int]) -> float:
        seen = torch.zeros_like(case.pixels)
        half = 2 * PATCH
        for cell in kept:
            y, x = cell // 2 * half, cell % 2 * half
            seen[:, y : y + half, x : x + half] = case.pixels[:, y : y + half, x : x + half]
        return float(score(seen))

    ex = explain(case, method="kernel_shap", sides=["image"], cells=2)
    blocks = ex.maps[1].reshape(2, 2, 2, 2)
    assert_close(blocks.sum((1, 3)), exact_shapley(4, worth))
    assert torch.equal(blocks, blocks[:, :1, :, :1].expand_as(blocks))


def test_shapley_values_sum_to_what_the_picture_adds(wide: Case) -> None:
    ex = explain(wide, method="kernel_shap", geometry="keep", samples=80, cells=5, seed=1)
    for row, prompt in enumerate(PROMPTS):
        score = wide.image_score(prompt)
        added = float(score(wide.pixels)) - float(score(torch.zeros_like(wide.pixels)))
        assert float(ex.maps[row].sum()) == pytest.approx(added, abs=1e-5)
    other = explain(wide, method="kernel_shap", geometry="keep", samples=80, cells=5, seed=2)
    assert (ex.maps - other.maps).abs().max() > 1e-4


def test_numpys_own_generator_is_left_as_it_was(case: Case) -> None:
    np.random.seed(11)
    expected = np.random.random(3)
    np.random.seed(11)
    # A seed that NumPy's old generator does not take.
    explain(case, method="kernel_shap", samples=40, seed=-1)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_without_shap_the_error_says_what_to_install(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(OptionError, match=r"pip install 'whyclip\[shap\]'") as caught:
        explain(case, method="kernel_shap")
    assert "\n" not in str(caught.value)


# Random


def test_random_maps_are_unrelated_yet_the_same_again(case: Case) -> None:
    images = [Image.fromarray(np.full((40, 40, 3), v, np.uint8)) for v in (90, 91)]
    prompts = [*PROMPTS, "a red cat", "a red dogs"]
    one, other = whyclip.explain(case.view, images, prompts, method="random")
    again = whyclip.explain(case.view, images[1], prompts[2:], method="random")
    torch.testing.assert_close(other.maps[2:], again.maps, atol=1e-4, rtol=0)
    np.testing.assert_allclose(relevances(other, 2), relevances(again), atol=1e-3)
    rows = torch.cat([one.maps, other.maps]).flatten(1)
    assert torch.corrcoef(rows).fill_diagonal_(0).abs().max() < 0.8
    seeded = whyclip.explain(case.view, images[1], prompts, method="random", seed=1)
    assert (seeded.maps - other.maps).abs().mean() > 0.2
    assert relevances(seeded) != pytest.approx(relevances(other), abs=1e-2)


def test_random_values_are_uniform(case: Case) -> None:
    directions = torch.randn(300, case.view.width, generator=torch.Generator().manual_seed(0))
    values = explain(case, directions, method="random").maps.flatten()
    assert values.min() >= 0
    assert values.max() <= 1
    shares = torch.histc(values, 5, 0, 1) / len(values)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=0.02, rtol=0)
    near = torch.nn.functional.normalize(directions, dim=-1)
    near = near + 0.2 * torch.nn.functional.normalize(directions.roll(1, 0), dim=-1)
    moved = explain(case, near, method="random").maps.flatten()
    assert abs(float(torch.corrcoef(torch.stack([values, moved]))[0, 1])) < 0.1


# All of them


@pytest.mark.parametrize(
    ("method", "side"),
    [(m, "image") for m in IMAGE_METHODS[:-1]] + [(m, "text") for m in TEXT_METHODS[:-1]],
)
def test_batch_size_changes_nothing(case: Case, method: str, side: str) -> None:
    images = [case.image, Image.new("RGB", (33, 37), "teal")]
    options = {"method": method, "sides": [side], **QUICK.get(method, {})}
    results = [
        whyclip.explain(case.view, images, PROMPTS, batch_size=size, **options) for size in (3, 64)
    ]
    for one, other in zip(*results, strict=True):
        if side == "image":
            assert_close(one.maps, other.maps)
        else:
            assert_close(relevances(one, 1), relevances(other, 1))


@pytest.mark.parametrize("method", ["occlusion", "rise", "kernel_shap", "leave_one_out"])
def test_one_run_of_changed_inputs_serves_all_targets(
    case: Case, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = METHODS[method].sides[0]
    tower = getattr(case.view, side)
    rows = []
    encode = type(tower).encode
    monkeypatch.setattr(
        tower, "encode", lambda inputs: rows.append(len(inputs)) or encode(tower, inputs)
    )
    options = {"method": method, "sides": [side], **QUICK.get(method, {})}
    spent = []
    for count in (1, 100):
        rows.clear()
        if side == "image":
            explain(case, torch.randn(count, case.view.width), **options)
        else:
            images = [Image.new("RGB", (32, 32), (i, 0, 0)) for i in range(min(count, 16))]
            whyclip.explain(case.view, images, PROMPTS[1], **options)
        spent.append(sum(rows))
        assert max(rows) <= 64
    assert spent[0] == spent[1]
    assert spent[0] > 0


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_many_targets_of_images(case: Case, method: str) -> None:
    """Above the width of the embedding, integrated gradients go by the Jacobian."""
    directions = torch.randn(2 * case.view.width, case.view.width)
    options = {"method": method, "sides": ["image"], **QUICK.get(method, {})}
    many = explain(case, directions, **options)
    few = explain(case, directions[-3:], **options)
    assert_close(many.maps[-3:], few.maps)
    for name, values in few.certificate.diagnostics.items():
        assert many.certificate.diagnostics[name][-3:] == pytest.approx(values, abs=1e-5)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("method", sorted({*IMAGE_METHODS, *TEXT_METHODS}))
def test_models_in_bfloat16_frozen_or_not(method: str, trainable: bool) -> None:
    model, preprocess, tokenizer = tiny.openclip_parts(seed=3)
    model = model.to(torch.bfloat16).requires_grad_(trainable)
    view = whyclip.wrap(model, preprocess, tokenizer)
    state = torch.get_rng_state()
    image = Image.new("RGB", (32, 32), "orange")
    with torch.no_grad():
        ex = whyclip.explain(view, image, PROMPTS, method=method, **QUICK.get(method, {}))
    assert all(p.grad is None and p.requires_grad == trainable for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    for row in range(2):
        if ex.maps is not None:
            assert ex.maps[row].isfinite().all()
            assert ex.maps[row].abs().max() > 0
        if "text" in METHODS[method].sides:
            assert np.abs(relevances(ex, row)).max() > 0


@pytest.mark.parametrize("method", ["rise", "occlusion", "integrated_gradients"])
def test_bf16_autocast_is_close(case: Case, method: str) -> None:
    options = {"method": method, "sides": ["image"], **QUICK.get(method, {})}
    options |= {"steps": 16} if "steps" in options else {}
    exact, rough = explain(case, **options), explain(case, precision="bf16", **options)
    a, b = exact.maps.flatten(), rough.maps.flatten()
    assert 0 < float((a - b).norm() / a.norm()) < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "occlusion", "window": 5}, "window=5: the image has 4×4 patches"),
        ({"method": "occlusion", "window": 2, "stride": 3}, "stride=3"),
        ({"method": "occlusion", "stride": 0}, "stride=0"),
        ({"method": "rise", "masks": 0}, "masks=0"),
        ({"method": "rise", "p": 0.0}, "p=0.0"),
        ({"method": "rise", "p": 1.5}, "p=1.5"),
        ({"method": "rise", "batch_size": 0}, "batch_size=0"),
        ({"method": "integrated_gradients", "steps": 0}, "steps=0"),
        ({"method": "kernel_shap", "samples": 31}, "samples=31: 16 features need 32"),
        ({"method": "kernel_shap", "cells": -1}, "cells=-1"),
        ({"method": "leave_one_out", "batch_size": 2.5}, "batch_size=2.5"),
    ],
)
def test_options_out_of_range(case: Case, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        explain(case, **options)
    assert "\n" not in str(caught.value)
