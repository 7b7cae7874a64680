"""Grad-CAM, patch–text cosine, MaskCLIP, CLIP Surgery and M2IB against slow float64 versions.

The forward pass is written out from the state dict, one head at a time; each formula is then
the paper's, token by token.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import families
import reference
import tiny
import whyclip
from cases import TwoReadings, tiny_parts
from reference import PlainBlock, PlainTower, cosine
from whyclip.errors import OptionError
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.methods import METHODS, m2ib
from whyclip.methods.readout import mask_of_readout, read_out

PROMPTS = ["a red dog", "two supercalifragilistic elephants near a playground", "it"]
DEPTH = 4

# The plain forward pass


def project_qkv(block: PlainBlock, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    z = reference.norm(x, block.norm1)
    return z @ block.wq.T + block.bq, z @ block.wk.T + block.bk, z @ block.wv.T + block.bv


def mix(tower: PlainTower, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Multi-head attention of tokens ``[t, w]``, before the output projection."""
    d = q.shape[1] // tower.heads
    heads = []
    for h in range(tower.heads):
        lanes = slice(h * d, (h + 1) * d)
        logits = q[:, lanes] @ k[:, lanes].T / math.sqrt(d)
        if tower.causal:
            unseen = torch.ones_like(logits).triu(1).bool()
            logits = logits.masked_fill(unseen, -math.inf)
        heads.append(torch.exp(logits.log_softmax(-1)) @ v[:, lanes])
    return torch.cat(heads, 1)


def after(tower: PlainTower, block: PlainBlock, x: Tensor, o: Tensor) -> Tensor:
    """The rest of a block, from its attention's output on."""
    x = x + o @ block.wo.T + block.bo
    hidden = reference.activation(
        reference.norm(x, block.norm2) @ block.w1.T + block.b1, tower.quick
    )
    return x + hidden @ block.w2.T + block.b2


def run(tower: PlainTower, x: Tensor, first: int = 0, stop: int | None = None) -> list[Tensor]:
    """The input of every block from ``first`` to ``stop``, and what comes out of the last."""
    states = [x]
    for block in tower.blocks[first:stop]:
        states.append(after(tower, block, states[-1], mix(tower, *project_qkv(block, states[-1]))))
    return states


def embed(tower: PlainTower, token: Tensor) -> Tensor:
    return tower.projection @ reference.norm(token, tower.final_norm)


# The formulas


def grad_cam(tower: PlainTower, x: Tensor, target: Tensor, relu: bool = True) -> Tensor:
    entered = run(tower, x)[-2].detach().requires_grad_()
    [_, end] = run(tower, entered, len(tower.blocks) - 1)
    [gradient] = torch.autograd.grad(cosine(embed(tower, end[0]), target), entered)
    weight = sum(gradient[t] for t in range(len(x))) / len(x)
    values = torch.stack([(weight * token).sum() for token in entered.detach()[1:]])
    return values.clamp(min=0) if relu else values


def patch_text(tower: PlainTower, x: Tensor, target: Tensor) -> Tensor:
    return torch.stack([cosine(embed(tower, token), target) for token in run(tower, x)[-1][1:]])


def maskclip(tower: PlainTower, x: Tensor, target: Tensor, key_weight: bool = False) -> Tensor:
    entered, block = run(tower, x)[-2], tower.blocks[-1]
    _, k, v = project_qkv(block, entered)
    values = []
    for i in range(1, len(x)):
        alone = after(tower, block, entered[i : i + 1], v[i : i + 1])[0]
        weight = cosine(k[0], k[i]) if key_weight else 1.0
        values.append(weight * cosine(embed(tower, alone), target))
    return torch.stack(values)


def second_path(tower: PlainTower, x: Tensor, layers: int) -> tuple[Tensor, list[Tensor]]:
    """CLS of the original path, and the unit features of the second path's patches."""
    states = run(tower, x)
    first = len(tower.blocks) - layers
    path = states[first]
    for block, state in zip(tower.blocks[first:], states[first:-1], strict=True):
        _, _, v = project_qkv(block, state)
        path = path + mix(tower, v, v, v) @ block.wo.T + block.bo
    return unit(embed(tower, states[-1][0])), [unit(embed(tower, token)) for token in path[1:]]


def surgery_over_prompts(
    tower: PlainTower, x: Tensor, targets: list[Tensor], layers: int
) -> Tensor:
    cls, patches = second_path(tower, x, layers)
    targets = [unit(t) for t in targets]
    exponentials = [math.exp(2 * float(cls @ t)) for t in targets]
    weights = [e / (sum(exponentials) / len(targets)) for e in exponentials]
    maps = torch.zeros(len(targets), len(patches), dtype=torch.float64)
    for i, patch in enumerate(patches):
        products = [w * patch * t for w, t in zip(weights, targets, strict=True)]
        shared = sum(products) / len(products)
        for n, product in enumerate(products):
            maps[n, i] = (product - shared).sum()
    return maps


def bottleneck(
    tower: PlainTower,
    x: Tensor,
    readout: int,
    target: Tensor,
    layer: int,
    *,
    beta: float = 0.1,
    variance: float = 1.0,
    steps: int = 10,
    lr: float = 1.0,
    samples: int = 10,
    seed: int = 0,
    drawn: int | None = None,
) -> tuple[Tensor, float]:
    """KL of every token, and the mean score under noise; Adam is written out."""
    hidden = run(tower, x, 0, layer + 1)[-1].detach()
    t, w = hidden.shape
    generator = torch.Generator().manual_seed(seed)
    alpha = torch.full((t, w), 5.0, dtype=torch.float64)
    first, second = torch.zeros_like(alpha), torch.zeros_like(alpha)
    kl, mean_score = alpha, 0.0
    for step in range(1, steps + 1):
        noise = torch.randn(samples, drawn or t, w, generator=generator)[:, :t].double()
        probe = alpha.clone().requires_grad_()
        lam = 1 / (1 + torch.exp(-probe))
        mu, var = lam * hidden, variance * (1 - lam) ** 2
        kl = -0.5 * (1 + torch.log(var) - mu**2 - var)
        scores = []
        for epsilon in noise:
            end = run(tower, mu + torch.sqrt(var) * epsilon, layer + 1)[-1]
            scores.append(cosine(embed(tower, end[readout]), target))
        mean = sum(scores) / samples
        [g] = torch.autograd.grad(beta * kl.sum() / (t * w) - mean, probe)
        mean_score = float(mean.detach())
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        size = torch.sqrt(second / (1 - 0.999**step)) + 1e-8
        alpha = alpha - lr * first / (1 - 0.9**step) / size
    return kl.detach().sum(-1), mean_score


def unit(vector: Tensor) -> Tensor:
    return vector / torch.sqrt((vector * vector).sum())


# Both readings of one model


class Case(TwoReadings):
    """With the embeddings of this file."""

    def text(self, prompt: str) -> Tensor:
        return embed(self.text_tower, run(self.text_tower, self.text_tokens(prompt)[0])[-1][-1])

    def explain(self, method: str, prompts: Any = None, **options: Any) -> whyclip.Explanation:
        options = {"sides": ("image",), "geometry": "keep", **options}
        prompts = PROMPTS[:2] if prompts is None else prompts
        return whyclip.explain(self.view, self.image, prompts, method=method, **options)


def case_of(family: str, columns: int) -> Case:
    depth = {"num_hidden_layers": DEPTH} if family == "hf" else {"layers": DEPTH}
    return Case.of(tiny_parts(family, **depth), width=columns * tiny.PATCH)


@pytest.fixture(
    scope="module",
    params=[("openclip", 4), ("openclip", 6), ("hf", 4), ("hf", 6)],
    ids=["openclip", "openclip-wide", "hf", "hf-wide"],
)
def case(request: pytest.FixtureRequest) -> Case:
    """A native 4 x 4 grid and a 4 x 6 one."""
    return case_of(*request.param)


@pytest.fixture(scope="module")
def plain() -> Case:
    return case_of("openclip", 4)


def assert_same(result: Any, expected: Tensor, size: float | None = None) -> None:
    values = torch.as_tensor(result, dtype=torch.float64).flatten()
    assert values.shape == expected.shape
    worst = float((values - expected).abs().max()) / (size or float(expected.abs().max()))
    assert worst < 1e-5, f"relative error {worst:.2e}"


RUNS: list[tuple[str, Callable[..., Tensor], dict[str, Any]]] = [
    ("grad_cam", grad_cam, {}),
    ("grad_cam", grad_cam, {"relu": False}),
    ("patch_text", patch_text, {}),
    ("maskclip", maskclip, {}),
    ("maskclip", maskclip, {"key_weight": True}),
]


@pytest.mark.parametrize(("method", "formula", "options"), RUNS)
def test_maps_are_the_formula(
    case: Case, method: str, formula: Callable[..., Tensor], options: dict[str, Any]
) -> None:
    ex = case.explain(method, **options)
    for row, prompt in enumerate(PROMPTS[:2]):
        inputs = case.image_tower, case.image_tokens(), case.text(prompt)
        expected = formula(*inputs, **options)
        # Relative to what was there before the ReLU, which may leave nothing.
        size = grad_cam(*inputs, relu=False) if method == "grad_cam" else expected
        assert_same(ex.maps[row], expected, float(size.abs().max()))


@pytest.mark.parametrize("layers", [None, 1, 3])
def test_surgery_over_prompts(case: Case, layers: int | None) -> None:
    ex = case.explain("clip_surgery", PROMPTS, layers=layers)
    texts = [case.text(prompt) for prompt in PROMPTS]
    expected = surgery_over_prompts(case.image_tower, case.image_tokens(), texts, layers or DEPTH)
    assert_same(ex.maps, expected.flatten())
    # What the prompts share is gone from every patch.
    torch.testing.assert_close(ex.maps.sum(0), torch.zeros(ex.maps.shape[1:]), atol=1e-6, rtol=0)


def test_surgery_of_a_single_prompt(case: Case) -> None:
    ex = case.explain("clip_surgery", PROMPTS[0])
    _, patches = second_path(case.image_tower, case.image_tokens(), DEPTH)
    direction = unit(case.text(PROMPTS[0])) - unit(case.text(""))
    expected = torch.stack([patch @ direction for patch in patches])
    assert_same(ex.maps, expected)
    several = case.explain("clip_surgery", PROMPTS, redundant="empty")
    torch.testing.assert_close(several.maps[0], ex.maps[0], rtol=1e-5, atol=1e-6)
    with_nothing = torch.stack([patch @ unit(case.text(PROMPTS[0])) for patch in patches])
    assert_same(case.explain("clip_surgery", PROMPTS[0], redundant="none").maps, with_nothing)


def test_surgery_against_another_prompt_needs_no_empty_string(plain: Case) -> None:
    ex = plain.explain("clip_surgery", PROMPTS[0], against=PROMPTS[1])
    _, patches = second_path(plain.image_tower, plain.image_tokens(), DEPTH)
    direction = unit(plain.text(PROMPTS[0])) - unit(plain.text(PROMPTS[1]))
    assert_same(ex.maps, torch.stack([patch @ direction for patch in patches]))


def test_the_empty_string_says_nothing_of_itself(plain: Case) -> None:
    maps = plain.explain("clip_surgery", plain.text("").float()[None]).maps
    assert float(maps.abs().max()) < 1e-6


def test_without_a_last_update_every_patch_sees_itself() -> None:
    """With the last block's output projection at zero, its attention has no part in anything."""
    model, preprocess, tokenizer = tiny.openclip_parts(3)
    last = model.visual.transformer.resblocks[-1].attn.out_proj
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    view = whyclip.wrap(model, preprocess, tokenizer)
    image = case_of("openclip", 4).image
    one, other = (
        whyclip.explain(view, image, PROMPTS, method=m, sides=("image",))
        for m in ("maskclip", "patch_text")
    )
    torch.testing.assert_close(one.maps, other.maps, rtol=1e-5, atol=1e-6)


def test_grad_cam_is_linear_in_directions_and_bounded(
    plain: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyclip.methods import grad_cam as module

    a, b = F.normalize(torch.randn(2, plain.view.width), dim=-1)
    directions = torch.stack([a, b, a + b])
    maps = plain.explain("grad_cam", directions, relu=False).maps
    torch.testing.assert_close(maps[2] * (a + b).norm(), maps[0] + maps[1], rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(module, "BACKWARDS_AT_ONCE", 1)
    one_by_one = plain.explain("grad_cam", directions, relu=False).maps
    torch.testing.assert_close(one_by_one, maps, rtol=1e-5, atol=1e-7)


def test_dense_features_say_what_they_are(plain: Case) -> None:
    native: dict[str, Any] = {"geometry": "model"}
    assert plain.explain("grad_cam", **native).certificate.explains_score
    tokens = plain.explain("patch_text", **native).certificate
    assert tokens.score_check == "passed"
    assert tokens.changes == ()
    assert not tokens.explains_score
    assert "features of the model" in str(tokens)
    for method, change in (("maskclip", "attends only to itself"), ("clip_surgery", "second path")):
        certificate = plain.explain(method, **native).certificate
        assert not certificate.explains_score
        assert change in str(certificate)
        assert certificate.gap < 1e-6


SETTINGS: list[dict[str, Any]] = [
    {},
    {"layer": 0, "steps": 3, "samples": 2},
    {"beta": 2.0, "steps": 4, "samples": 3, "seed": 5},
    {"variance": 0.5, "lr": 0.3, "steps": 4, "samples": 3},
]


@pytest.mark.parametrize("options", SETTINGS, ids=["default", "layer", "beta", "variance"])
def test_m2ib_maps(case: Case, options: dict[str, Any]) -> None:
    ex = case.explain("m2ib", **options)
    given = {"layer": DEPTH - 2, **options}
    for row, prompt in enumerate(PROMPTS[:2]):
        kl, score = bottleneck(case.image_tower, case.image_tokens(), 0, case.text(prompt), **given)
        assert_same(ex.maps[row], kl[1:])
        lost = ex.certificate.diagnostics["score lost to the noise, image side"][row]
        assert lost == pytest.approx(float(ex.scores[row]) - score, abs=1e-5)


@pytest.mark.parametrize("options", SETTINGS[:3], ids=["default", "layer", "beta"])
def test_m2ib_words(case: Case, options: dict[str, Any]) -> None:
    """The text towers have two layers, so that the noise stands behind the first."""
    ex = case.explain("m2ib", sides=("text",), geometry="model", **options)
    [image] = case.view.image.encode(pixels_of(case))
    for row, prompt in enumerate(PROMPTS[:2]):
        tokens, words = case.text_tokens(prompt)
        kl, _ = bottleneck(
            case.text_tower, tokens, len(tokens) - 1, image.detach().double(),
            drawn=tiny.CONTEXT, **{"layer": 0, **options},
        )  # fmt: skip
        expected = torch.stack([kl[word].sum() for word in words])
        assert_same([word.relevance for word in ex.words[row]], expected)


def pixels_of(case: Case) -> Tensor:
    prepared = case.view.preprocess(case.image)
    if isinstance(prepared, Tensor):
        return prepared[None]
    return case.view.preprocess(case.image, return_tensors="pt")["pixel_values"]


def test_at_first_all_information_gets_through(plain: Case) -> None:
    """One step of Adam reports the capacity it began with, whatever the target."""
    maps = plain.explain("m2ib", steps=1, samples=1, layer=1).maps
    hidden = run(plain.image_tower, plain.image_tokens(), 0, 2)[-1][1:]
    lam = 1 / (1 + math.exp(-5))
    expected = ((lam * hidden) ** 2 + (1 - lam) ** 2 - 1) / 2 - math.log(1 - lam)
    for values in maps:
        assert_same(values, expected.sum(-1))


def test_dear_information_is_thrown_away(plain: Case) -> None:
    free, dear = (plain.explain("m2ib", beta=beta).maps for beta in (0.0, 1000.0))
    assert (dear >= 0).all()
    assert float(dear.sum()) < 0.2 * float(free.sum())


def test_m2ib_depends_on_its_seed_alone(plain: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    first = plain.explain("m2ib")
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))
    monkeypatch.setattr(m2ib, "COPIES_AT_ONCE", 10)
    again = plain.explain("m2ib", PROMPTS[1::-1])
    torch.testing.assert_close(again.maps.flip(0), first.maps, rtol=1e-4, atol=1e-4)
    other = plain.explain("m2ib", seed=1)
    assert not torch.allclose(other.maps, first.maps, rtol=1e-2)


def test_the_ninth_layer_by_default() -> None:
    view = whyclip.wrap(*tiny.openclip_parts(3, layers=12))
    image = case_of("openclip", 4).image
    options: dict[str, Any] = {"method": "m2ib", "sides": ("image",)}
    by_default, ninth, eighth = (
        whyclip.explain(view, image, "a dog", **options, **layer).maps
        for layer in ({}, {"layer": 9}, {"layer": 8})
    )
    torch.testing.assert_close(by_default, ninth)
    assert not torch.allclose(by_default, eighth)
    assert METHODS["m2ib"].blocks_needed(view.image, METHODS["m2ib"].options) == 2


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("m2ib", {"layer": 3}, "layer=3: a block must follow"),
        ("m2ib", {"samples": 0}, "samples=0"),
        ("m2ib", {"variance": -1.0}, "variance=-1.0"),
        ("clip_surgery", {"layers": 5}, "1 to 4 blocks"),
        ("clip_surgery", {"redundant": "all"}, "'auto', 'prompts'"),
    ],
)
def test_bad_options(plain: Case, method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        plain.explain(method, **options)


@pytest.mark.parametrize("family", families.SMALL)
def test_every_family_has_them(family: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    ids = tokenize(view.tokenizer, ["a dog", "two red cars"], view.text.context).ids
    pixels = torch.randn(2, 3, *view.image.input_size, generator=torch.Generator().manual_seed(1))
    targets = Targets(torch.eye(view.width)[:3], empty=torch.eye(view.width)[3])
    for tower, inputs in ((view.image, pixels), (view.text, ids)):
        if tower.opaque:
            continue
        forward_pass = run_tower(tower, inputs, targets, keep=len(tower.blocks))
        last = forward_pass.states[len(tower.blocks) - 1]
        ended = read_out(
            tower, last, forward_pass.stream.readout_index, mask_of_readout(forward_pass.stream)
        )
        torch.testing.assert_close(ended.detach(), forward_pass.embedding, atol=1e-4, rtol=1e-4)
        for name in ("grad_cam", "patch_text", "maskclip", "clip_surgery", "m2ib"):
            if tower.side not in METHODS[name].sides:
                continue
            result = METHODS[name].relevance(forward_pass)
            assert result.values.shape == (2, 3, forward_pass.content_mask.shape[1])
            assert torch.isfinite(result.values).all()
            assert not torch.allclose(result.values[0], result.values[1])


def test_a_linear_pooling_head_is_the_mean_of_its_patches_alone() -> None:
    """CLIP-ResNet's head has no norm and no MLP: with equal weights it averages them."""
    model, preprocess, tokenizer = families.SMALL["resnet"]()
    pool = model.visual.attnpool
    torch.nn.init.zeros_(pool.q_proj.weight)
    torch.nn.init.zeros_(pool.q_proj.bias)
    view = whyclip.wrap(model, preprocess, tokenizer)
    pixels = torch.randn(1, 3, *view.image.input_size, generator=torch.Generator().manual_seed(1))
    forward_pass = run_tower(view.image, pixels, Targets(torch.eye(view.width)))
    alone, cosines = (
        METHODS[m].relevance(forward_pass).values[0] for m in ("maskclip", "patch_text")
    )
    torch.testing.assert_close(alone, cosines)
    head = view.image.blocks[-1]
    x = forward_pass.states[len(view.image.blocks) - 1]
    v = head.qkv(x)[2].transpose(1, 2).flatten(2)
    features = view.image.project(head.finish(x, head.merge(v)))[0]
    torch.testing.assert_close(features.mean(0), forward_pass.embedding[0], atol=1e-5, rtol=1e-4)
    unit_features = F.normalize(features, dim=-1).detach()
    torch.testing.assert_close(alone.T, unit_features, atol=1e-5, rtol=1e-4)
