"""Rollout, GAME, LeGrad and decomposition against slow float64 versions of their formulas.

The forward pass is written out from the state dict, one head at a time, and keeps every
attention matrix in autograd's graph; each formula is then the paper's, matrix by matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import families
import reference
import tiny
import whyclip
from cases import TwoReadings, tiny_parts, true_size_parts
from whyclip.errors import OptionError, ScoreMismatchError, UnsupportedModelError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.methods import METHODS, full_attention

PROMPTS = ["a red dog", "two supercalifragilistic elephants near a playground"]

# The plain forward pass


@dataclass
class Layer:
    """One block's numbers: per head the matrix ``[t, t]`` and the values ``[t, d]``."""

    block: reference.PlainBlock
    x: Tensor
    z: Tensor
    attention: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)


def forward(tower: reference.PlainTower, x: Tensor) -> list[Layer]:
    """All layers of one input ``[t, w]``, in one graph."""
    x, layers = x.detach().requires_grad_(), []
    for block in tower.blocks:
        layer = Layer(block, x, x)
        n = reference.norm(x, block.norm1)
        q, k, v = n @ block.wq.T + block.bq, n @ block.wk.T + block.bk, n @ block.wv.T + block.bv
        d = x.shape[1] // tower.heads
        heads = []
        for h in range(tower.heads):
            lanes = slice(h * d, (h + 1) * d)
            logits = q[:, lanes] @ k[:, lanes].T / math.sqrt(d)
            if tower.causal:
                unseen = torch.ones_like(logits).triu(1).bool()
                logits = logits.masked_fill(unseen, -math.inf)
            layer.attention.append(logits.softmax(-1))
            layer.values.append(v[:, lanes])
            heads.append(layer.attention[-1] @ v[:, lanes])
        x = x + torch.cat(heads, 1) @ block.wo.T + block.bo
        hidden = reference.norm(x, block.norm2) @ block.w1.T + block.b1
        x = x + reference.activation(hidden, tower.quick) @ block.w2.T + block.b2
        layer.z = x
        layers.append(layer)
    return layers


def end(tower: reference.PlainTower, token: Tensor) -> Tensor:
    return tower.projection @ reference.norm(token, tower.final_norm)


# The formulas: values of every token, and the score


def rollout(
    tower: reference.PlainTower, x: Tensor, readout: int, target: Tensor, *, start: int
) -> tuple[Tensor, float]:
    layers = forward(tower, x)
    product = torch.eye(len(x), dtype=torch.float64)
    for layer in layers[start:]:
        mean = sum(layer.attention) / tower.heads
        product = (mean + torch.eye(len(x))) / 2 @ product
    return product[readout].detach(), score_of(tower, layers[-1].z[readout], target)


def game(
    tower: reference.PlainTower,
    x: Tensor,
    readout: int,
    target: Tensor,
    *,
    start: int,
    scale: float,
) -> tuple[Tensor, float]:
    layers = forward(tower, x)
    score = reference.cosine(end(tower, layers[-1].z[readout]), target)
    relevance = torch.eye(len(x), dtype=torch.float64)
    for layer in layers[start:]:
        gradients = torch.autograd.grad(score * scale, layer.attention, retain_graph=True)
        heads = [(a * g).clamp(min=0) for a, g in zip(layer.attention, gradients, strict=True)]
        relevance = relevance + sum(heads) / tower.heads @ relevance
    return relevance[readout].detach(), float(score.detach())


def legrad(
    tower: reference.PlainTower, x: Tensor, readout: int, target: Tensor, *, start: int
) -> tuple[Tensor, float]:
    total, score = torch.zeros(len(x), dtype=torch.float64), torch.zeros(())
    for layer in forward(tower, x)[start:]:
        # What follows a text's readout token was left out of x.
        score = reference.cosine(end(tower, layer.z.mean(0)), target)
        gradients = torch.autograd.grad(score, layer.attention, retain_graph=True)
        for gradient in gradients:
            for place, key in enumerate(gradient.T):
                # Those before a word cannot look at it.
                queries = key[place:] if tower.causal else key
                total[place] += queries.clamp(min=0).mean() / tower.heads
    return total, float(score.detach())


@dataclass
class Parts:
    """The embedding, and what each part of the tower wrote into it."""

    embedding: Tensor
    by_layer_head_token: Tensor
    mlps: Tensor
    entered: Tensor
    biases: Tensor


def parts_of(tower: reference.PlainTower, x: Tensor, readout: int, start: int = 0) -> Parts:
    """Direct contributions to the embedding, the final norm's statistics frozen."""
    layers = forward(tower, x)
    final = layers[-1].z[readout].detach()
    weight, bias = tower.final_norm
    deviation = torch.sqrt(((final - final.mean()) ** 2).mean() + 1e-5)

    def written(u: Tensor) -> Tensor:
        return tower.projection @ ((u - u.mean()) / deviation * weight)

    width = x.shape[1] // tower.heads
    shares, mlps, biases = [], torch.zeros(()), tower.projection @ bias
    for layer in layers[start:]:
        update = torch.zeros(x.shape[1], dtype=torch.float64)
        by_head = []
        for h, (a, v) in enumerate(zip(layer.attention, layer.values, strict=True)):
            out = layer.block.wo[:, h * width : (h + 1) * width]
            updates = [out @ (a[readout, i] * v[i]).detach() for i in range(len(x))]
            update = update + sum(updates)
            by_head.append(torch.stack([written(u) for u in updates]))
        shares.append(torch.stack(by_head))
        biases = biases + written(layer.block.bo)
        grown = (layer.z - layer.x)[readout].detach()
        mlps = mlps + written(grown - update - layer.block.bo)
    entered = written(layers[start].x[readout].detach())
    return Parts(end(tower, final), torch.stack(shares), mlps, entered, biases)


def decomposition(
    tower: reference.PlainTower, x: Tensor, readout: int, target: Tensor, *, start: int
) -> tuple[Tensor, float]:
    parts = parts_of(tower, x, readout, start)
    unit = target / target.norm()
    per_token = parts.by_layer_head_token.sum((0, 1)) @ unit / parts.embedding.norm()
    return per_token, score_of(tower, forward(tower, x)[-1].z[readout], target)


def score_of(tower: reference.PlainTower, token: Tensor, target: Tensor) -> float:
    return float(reference.cosine(end(tower, token), target).detach())


FORMULAS: dict[str, Callable[..., tuple[Tensor, float]]] = {
    "rollout": rollout,
    "game": game,
    "legrad": legrad,
    "decomposition": decomposition,
}
DEFAULT_START = {"rollout": 0, "game": -1, "legrad": -2, "decomposition": 0}


# The cases


class Case(TwoReadings):
    """With the embeddings and the formulas of this file."""

    def image_embedding(self) -> Tensor:
        return end(
            self.image_tower, forward(self.image_tower, self.image_tokens())[-1].z[0]
        ).detach()

    def text_embedding(self, prompt: str) -> Tensor:
        tokens, _ = self.text_tokens(prompt)
        return end(self.text_tower, forward(self.text_tower, tokens)[-1].z[-1]).detach()

    def expected(
        self,
        method: str,
        tower: reference.PlainTower,
        x: Tensor,
        row: int,
        target: Tensor,
        **o: Any,
    ) -> tuple[Tensor, float]:
        options = {"start": o.get("start_layer", DEFAULT_START[method])}
        if method == "game":
            options["scale"] = self.view.logit_scale
        return FORMULAS[method](tower, x, row, target, **options)


@pytest.fixture(scope="module", params=["openclip", "hf"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case.of(tiny_parts(request.param))


@pytest.fixture(scope="module", params=["openclip", "hf"])
def wide(request: pytest.FixtureRequest) -> Case:
    """A 4 x 7 grid on a model whose own is 4 x 4."""
    return Case.of(tiny_parts(request.param), 7 * tiny.PATCH, 4 * tiny.PATCH)


def assert_same(result: Any, expected: Tensor, what: str) -> None:
    values = torch.as_tensor(result, dtype=torch.float64).flatten()
    assert values.shape == expected.shape
    worst = float((values - expected).abs().max() / expected.abs().max())
    assert worst < 1e-5, f"{what}: relative error {worst:.2e}"


RUNS: list[tuple[str, dict[str, Any]]] = [
    *((method, {}) for method in FORMULAS),
    *((method, {"start_layer": start}) for method in FORMULAS for start in (0, 1, -1)),
]
over_runs = pytest.mark.parametrize(("method", "options"), RUNS, ids=[f"{m}{o}" for m, o in RUNS])


def assert_maps(case: Case, method: str, options: dict[str, Any], geometry: Any) -> None:
    ex = whyclip.explain(
        case.view,
        case.image,
        PROMPTS,
        method=method,
        sides=("image",),
        geometry=geometry,
        **options,
    )
    assert ex.maps is not None
    for row, prompt in enumerate(PROMPTS):
        values, score = case.expected(
            method, case.image_tower, case.image_tokens(), 0, case.text_embedding(prompt), **options
        )
        assert_same(ex.maps[row], values[1:], prompt)
        assert ex.certificate.scores["image"][row] == pytest.approx(score, abs=1e-5)


@over_runs
def test_maps(case: Case, method: str, options: dict[str, Any]) -> None:
    assert_maps(case, method, options, "model")


@pytest.mark.parametrize("start", [0, -1])
@pytest.mark.parametrize("method", FORMULAS)
def test_a_grid_that_is_not_square(wide: Case, method: str, start: int) -> None:
    assert_maps(wide, method, {"start_layer": start}, "keep")


@over_runs
def test_words(case: Case, method: str, options: dict[str, Any]) -> None:
    ex = whyclip.explain(case.view, case.image, PROMPTS, method=method, sides=("text",), **options)
    for row, prompt in enumerate(PROMPTS):
        tokens, words = case.text_tokens(prompt)
        values, score = case.expected(
            method, case.text_tower, tokens, len(tokens) - 1, case.image_embedding(), **options
        )
        expected = torch.stack([values[word].sum() for word in words])
        assert_same([w.relevance for w in ex.words[row]], expected, prompt)
        assert ex.certificate.scores["text"][row] == pytest.approx(score, abs=1e-5)


# What the methods promise


def capture_of(view: whyclip.ModelView, side: str, targets: Targets, **trunk: Any) -> ForwardPass:
    """Three pictures or texts of different length, with every block kept."""
    if side == "text":
        ids = tokenize(view.tokenizer, [*PROMPTS, "it"], view.text.context).ids
        return run_tower(view.text, ids, targets, keep=len(view.text.blocks), **trunk)
    seeded = torch.Generator().manual_seed(1)
    rows, columns = view.image.native_grid
    size = (3, 3, rows * view.image.patch, columns * view.image.patch)
    pixels = torch.randn(size, generator=seeded)
    return run_tower(view.image, pixels, targets, keep=len(view.image.blocks), **trunk)


def some_targets(view: whyclip.ModelView, n: int = 5) -> Targets:
    seeded = torch.Generator().manual_seed(2)
    directions = torch.randn(n, view.width, generator=seeded)
    return Targets(nn.functional.normalize(directions, dim=-1), view.logit_scale)


@pytest.mark.parametrize("side", ["image", "text"])
@pytest.mark.parametrize("start", [0, -1])
def test_rollout_shares_out_one(case: Case, side: str, start: int) -> None:
    forward_pass = capture_of(case.view, side, some_targets(case.view))
    values = METHODS["rollout"].relevance(forward_pass, start_layer=start).values
    assert (values >= 0).all()
    torch.testing.assert_close(values.sum(-1), torch.ones(3, 5))


@pytest.mark.parametrize("side", ["image", "text"])
@pytest.mark.parametrize("method", ["game", "legrad"])
def test_parts_of_inputs_and_targets_change_nothing(
    case: Case, side: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, two targets of one input at a time, or all at once."""
    forward_pass = capture_of(case.view, side, some_targets(case.view))
    relevance = METHODS[method].relevance
    whole = relevance(forward_pass, start_layer=0).values
    t = forward_pass.content_mask.shape[1]
    for limit, targets, inputs in ((1, 5, 3), (2 * tiny.HEADS * t * t, 3, 3)):
        monkeypatch.setattr(full_attention, "VALUES_AT_ONCE", limit)
        parts = full_attention.portions(forward_pass)
        assert [len(part) for part in parts] == [inputs, targets]
        values = relevance(forward_pass, start_layer=0).values
        torch.testing.assert_close(values, whole, rtol=1e-4, atol=1e-5 * float(whole.max()))


@pytest.mark.parametrize("method", FORMULAS)
def test_padding_changes_nothing(case: Case, method: str) -> None:
    targets = some_targets(case.view)
    short = capture_of(case.view, "text", targets)
    padded = capture_of(case.view, "text", targets, whole_context=True)
    assert padded.content_mask.shape[1] > short.content_mask.shape[1]
    options = {"start_layer": 0}
    a = METHODS[method].relevance(short, **options).values
    b = METHODS[method].relevance(padded, **options).values[:, :, : a.shape[-1]]
    kept = short.content_mask[:, None].expand_as(a)
    torch.testing.assert_close(a[kept], b[kept], rtol=1e-4, atol=1e-6 * float(a[kept].abs().max()))


def test_direct_contributions_sum_to_the_embedding(case: Case) -> None:
    """Of every layer, head and token, the MLPs, the input and the biases."""
    tokens, _ = case.text_tokens(PROMPTS[1])
    for tower, x, row in (
        (case.image_tower, case.image_tokens(), 0),
        (case.text_tower, tokens, len(tokens) - 1),
    ):
        parts = parts_of(tower, x, row)
        shape = (len(tower.blocks), tower.heads, len(x), len(parts.embedding))
        assert parts.by_layer_head_token.shape == shape
        attention = parts.by_layer_head_token.sum((0, 1, 2))
        whole = attention + parts.mlps + parts.entered + parts.biases
        torch.testing.assert_close(whole, parts.embedding, rtol=1e-10, atol=1e-10)
        # No part is a remainder too small to matter.
        for part in (attention, parts.mlps, parts.entered, parts.biases):
            assert part.norm() > 0.05 * parts.embedding.norm()


@pytest.mark.parametrize("side", ["image", "text"])
@pytest.mark.parametrize("start", [0, 1])
def test_decomposition_is_additive_on_every_axis_of_the_embedding(
    case: Case, side: str, start: int
) -> None:
    """With the axes as targets, relevance times length is a coordinate's share."""
    view = case.view
    forward_pass = capture_of(view, side, Targets(torch.eye(view.width)))
    result = METHODS["decomposition"].relevance(forward_pass, start_layer=start)
    gap = result.diagnostics["additivity gap"] * result.embedding.norm(dim=-1, keepdim=True)
    assert gap.shape == (3, view.width)
    assert float(gap.abs().max()) < 1e-4
    if side == "text":
        tokens, _ = case.text_tokens(PROMPTS[0])
        expected = parts_of(case.text_tower, tokens, len(tokens) - 1, start)
        length = result.embedding[0].norm()
        shares = result.values[0, :, : len(tokens)].T.double() * length
        assert_same(shares, expected.by_layer_head_token.sum((0, 1)).flatten(), "axes")


def test_the_gap_is_in_the_certificate_and_shows_what_is_missing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"method": "decomposition"}
    ex = whyclip.explain(case.view, case.image, PROMPTS, **options)
    assert ex.certificate.explains_score
    for side in ("image", "text"):
        assert max(ex.certificate.diagnostics[f"additivity gap, {side} side"]) < 1e-4
    # A layer whose input is not what the layer before it gave out breaks the sum: a little of it
    # shows in the gap, more is refused.
    forward_pass = capture_of(case.view, "image", some_targets(case.view))
    relevance = METHODS["decomposition"].relevance
    whole = relevance(forward_pass, start_layer=0).diagnostics["additivity gap"]
    state = forward_pass.states[1]
    ramp = torch.linspace(0, 1, state.shape[-1])
    state.add_(5e-4 * ramp * state[:, 0].abs().max())
    broken = relevance(forward_pass, start_layer=0).diagnostics["additivity gap"]
    assert float(broken.max()) > 10 * float(whole.max())
    state.add_(ramp)
    with pytest.raises(
        ScoreMismatchError, match="image block 0: its recomputed output differs from the next block"
    ):
        METHODS["decomposition"].relevance(forward_pass, start_layer=0)


def test_decomposition_says_where_it_cannot_work(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"method": "decomposition", "sides": ("image",)}
    block = case.view.image.blocks[0]
    merge = block.merge
    with monkeypatch.context() as patch:
        patch.setattr(block, "merge", lambda o: nn.functional.layer_norm(merge(o), (tiny.WIDTH,)))
        with pytest.raises(OptionError, match=r"image block 0 norms .* use contribution"):
            whyclip.explain(case.view, case.image, "a dog", **options)
    norm = nn.RMSNorm(tiny.WIDTH)
    monkeypatch.setattr(type(case.view.image), "norm", property(lambda _: norm))
    with pytest.raises(OptionError, match=r"needs a LayerNorm .* RMSNorm; use contribution"):
        whyclip.explain(case.view, case.image, "a dog", **options)


@pytest.fixture(scope="module")
def pooling() -> whyclip.ModelView:
    """Its image tower has no CLS; a pooling head reads the patches."""
    return whyclip.wrap(*families.SMALL["siglip"]())


def pooled_at(view: whyclip.ModelView, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The embedding of tokens ``[t, w]`` by the pooling head, and its rows ``[t]`` a head."""
    state = view.image.vision.state_dict()
    head = {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}

    def norm(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return nn.functional.layer_norm(z, z.shape[-1:], weight, bias, 1e-6)

    n = norm(x, state["post_layernorm.weight"], state["post_layernorm.bias"])
    weights = head["attention.in_proj_weight"].chunk(3)
    biases = head["attention.in_proj_bias"].chunk(3)
    q, k, v = (
        z @ w.T + b for z, w, b in zip((head["probe"][0, 0], n, n), weights, biases, strict=True)
    )
    d = len(q) // tiny.HEADS
    lanes = [slice(h * d, (h + 1) * d) for h in range(tiny.HEADS)]
    rows = [(k[:, at] @ q[at] / math.sqrt(d)).softmax(-1) for at in lanes]
    o = torch.cat([row @ v[:, at] for row, at in zip(rows, lanes, strict=True)])
    u = head["attention.out_proj.weight"] @ o + head["attention.out_proj.bias"]
    z = norm(u, head["layernorm.weight"], head["layernorm.bias"])
    z = nn.functional.gelu(head["mlp.fc1.weight"] @ z + head["mlp.fc1.bias"], approximate="tanh")
    return u + head["mlp.fc2.weight"] @ z + head["mlp.fc2.bias"], rows


def test_legrad_pools_the_tokens_of_every_layer(pooling: whyclip.ModelView) -> None:
    targets = some_targets(pooling, 2)
    forward_pass = capture_of(pooling, "image", targets)
    legrad = METHODS["legrad"]
    for start, changed in ((-1, False), (None, True), (0, True)):
        result = legrad.relevance(forward_pass, start_layer=start)
        assert bool(result.changes) == changed
        torch.testing.assert_close(result.embedding, forward_pass.embedding, atol=1e-5, rtol=1e-5)
        expected = torch.zeros_like(result.values)
        for b, n in np.ndindex(3, 2):
            for state in list(forward_pass.states.values())[start if start is not None else -2 :]:
                embedding, rows = pooled_at(pooling, state[b].clone().requires_grad_())
                score = reference.cosine(embedding, targets.directions[n])
                for gradient in torch.autograd.grad(score, rows):
                    expected[b, n] += gradient.clamp(min=0) / tiny.HEADS
        torch.testing.assert_close(
            result.values, expected, rtol=1e-4, atol=1e-5 * float(expected.max())
        )


def test_game_and_rollout_start_at_the_pooling_heads_row(pooling: whyclip.ModelView) -> None:
    """The row of the pooling head, then as ever through the layers below it."""
    targets = some_targets(pooling, 2)
    forward_pass = capture_of(pooling, "image", targets)
    layers = pooling.image.vision.encoder.layers
    rolled = METHODS["rollout"].relevance(forward_pass, start_layer=0)
    torch.testing.assert_close(rolled.values.sum(-1), torch.ones(3, 2))
    for start in (-1, 0):
        values = METHODS["game"].relevance(forward_pass, start_layer=start).values
        for b, n in np.ndindex(3, 2):
            x = forward_pass.states[0][b].clone().requires_grad_()
            matrices = []
            for layer in layers:
                normed = layer.layer_norm1(x)
                q, k, v = (
                    getattr(layer.self_attn, f"{name}_proj")(normed).unflatten(-1, (tiny.HEADS, -1))
                    for name in "qkv"
                )
                logits = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
                matrices.append(logits.softmax(-1))
                o = torch.einsum("hqk,khd->qhd", matrices[-1], v).flatten(1)
                x = x + layer.self_attn.out_proj(o)
                x = x + layer.mlp(layer.layer_norm2(x))
            embedding, rows = pooled_at(pooling, x)
            y = reference.cosine(embedding, targets.directions[n]) * targets.scale
            gradients = torch.autograd.grad(y, [*matrices, *rows])
            row = sum(
                (a * g).clamp(min=0) for a, g in zip(rows, gradients[len(matrices) :], strict=True)
            ) / len(rows)
            raw = sum(rows) / len(rows)
            relevance = rolling = torch.eye(x.shape[0])
            for a, g in zip(matrices, gradients, strict=False):
                relevance = relevance + (a * g).clamp(min=0).mean(0) @ relevance
                rolling = (a.mean(0) + torch.eye(x.shape[0])) / 2 @ rolling
            expected = (row if start == -1 else row @ relevance).detach()
            torch.testing.assert_close(
                values[b, n], expected, rtol=1e-4, atol=1e-5 * float(expected.max())
            )
            torch.testing.assert_close(rolled.values[b, n], (raw @ rolling).detach())


@lru_cache(1)
def view_of(family: str) -> whyclip.ModelView:
    return whyclip.wrap(*families.SMALL[family]())


def is_no_sum(tower: Any, family: str) -> bool:
    """Pooled, without a last norm, or with one in the attention, behind the sum, or an MLP last."""
    if (family.startswith("altclip") and tower.side == "text") or (
        family == "timm-mlp" and tower.side == "image"
    ):
        return True
    attentions = [getattr(block, "attn", None) for block in tower.blocks]
    norms = [getattr(a, "ln_inner", None) or getattr(a, "norm", None) for a in attentions]
    inside = any(isinstance(norm, nn.LayerNorm) for norm in norms)
    return tower.has_pooling_head or inside or not isinstance(tower.norm, nn.LayerNorm)


@pytest.mark.parametrize("family", sorted({"siglip", "vit-qk-norm"} & {*families.SMALL}))
def test_a_comparison_of_every_method_leaves_out_what_cannot_read_a_tower(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.fromarray(np.full((48, 40, 3), 90, dtype=np.uint8))
    few = {name: METHODS[name] for name in (*FORMULAS, "contribution")}
    monkeypatch.setattr("whyclip.selection.METHODS", few)
    comparison = whyclip.compare(view_of(family), [image], ["a dog"])
    assert comparison["contribution"][0].maps is not None
    # Of the decomposition the text side is left.
    [split] = comparison["decomposition"]
    assert split.maps is None
    assert split.words[0]


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("family", families.SMALL)
def test_every_family_works_or_says_why_not(family: str, method: str) -> None:
    view = view_of(family)
    image = Image.fromarray(np.full((48, 40, 3), 90, dtype=np.uint8))
    for tower in (view.image, view.text):
        if tower.opaque:
            with pytest.raises(
                UnsupportedModelError, match=f"method '{method}' needs attention pooling"
            ):
                whyclip.explain(view, image, "a dog", method=method, sides=[tower.side])
            continue
        options: dict[str, Any] = {"method": method, "sides": [tower.side]}
        if method == "decomposition" and is_no_sum(tower, family):
            with pytest.raises(OptionError, match=f"decomposition needs .* {tower.side} .*; use"):
                whyclip.explain(view, image, "a dog", **options)
            continue
        ex = whyclip.explain(view, image, ["a dog", "two red cars"], **options)
        relevances = ex.maps if tower.side == "image" else [w.relevance for w in ex.words[1]]
        values = torch.as_tensor(relevances)
        assert torch.isfinite(values).all()
        assert float(values.abs().max()) > 0
        if method == "decomposition":
            assert max(ex.certificate.diagnostics[f"additivity gap, {tower.side} side"]) < 1e-4


def test_game_weighs_the_logit_not_the_cosine(case: Case) -> None:
    """Below the last layer the scale is no common factor."""
    targets = some_targets(case.view)
    forward_pass = capture_of(case.view, "image", targets)
    plain = forward_pass.with_targets(Targets(targets.directions))
    relevance = METHODS["game"].relevance
    one, other = (relevance(c, start_layer=-1).values[:, :, 1:] for c in (plain, forward_pass))
    torch.testing.assert_close(one * targets.scale, other, rtol=1e-4, atol=1e-7)
    one, other = (relevance(c, start_layer=0).values[:, :, 1:] for c in (plain, forward_pass))
    assert not torch.allclose(one * targets.scale, other, rtol=1e-2)


def test_legrad_says_that_its_scores_are_not_the_models(case: Case) -> None:
    ex = whyclip.explain(case.view, case.image, PROMPTS, method="legrad", sides=("image",))
    assert not ex.certificate.explains_score
    assert any("mean token" in change for change in ex.certificate.changes)
    game = whyclip.explain(case.view, case.image, PROMPTS, method="game", start_layer=0)
    assert game.certificate.explains_score


@pytest.mark.parametrize("method", FORMULAS)
def test_a_layer_that_is_not_there(case: Case, method: str) -> None:
    for start in (tiny.LAYERS, -tiny.LAYERS - 1):
        with pytest.raises(OptionError, match=f"start_layer={start}: the .* layers 0 to 1"):
            whyclip.explain(case.view, case.image, "a dog", method=method, start_layer=start)


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("family", ["openclip", "hf"])
def test_half_precision(family: str, method: str) -> None:
    model, *rest = tiny_parts(family)
    image = Image.fromarray(np.full((32, 32, 3), 90, dtype=np.uint8))
    options: dict[str, Any] = {"method": method, "start_layer": 0}
    exact = whyclip.explain(whyclip.wrap(model, *rest), image, "a dog", **options)
    rough = whyclip.explain(whyclip.wrap(model, *rest), image, "a dog", precision="bf16", **options)
    half = whyclip.explain(whyclip.wrap(model.bfloat16(), *rest), image, "a dog", **options)
    assert exact.maps is not None
    for other in (rough, half):
        assert other.maps is not None
        difference = float((other.maps - exact.maps).norm() / exact.maps.norm())
        assert 0 < difference < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("family", ["openclip", "hf"])
@pytest.mark.parametrize("method", FORMULAS)
def test_a_model_of_true_size(family: str, method: str) -> None:
    """ViT-B/16 with seeded weights, all layers."""
    case = true_size(family)
    prompt, options = PROMPTS[1], {"start_layer": 0}
    ex = whyclip.explain(case.view, case.image, prompt, method=method, **options)
    assert ex.maps is not None
    target, image = case.text_embedding(prompt), case.image_embedding()
    values, _ = case.expected(method, case.image_tower, case.image_tokens(), 0, target, **options)
    assert_same(ex.maps[0], values[1:], "maps")
    tokens, words = case.text_tokens(prompt)
    row = len(tokens) - 1
    values, _ = case.expected(method, case.text_tower, tokens, row, image, **options)
    relevances = [word.relevance for word in ex.words[0]]
    assert_same(relevances, torch.stack([values[word].sum() for word in words]), "words")


@lru_cache
def true_size(family: str) -> Case:
    return Case.of(true_size_parts(family), 224, 224)
