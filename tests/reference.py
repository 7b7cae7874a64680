"""The formulas once more, slowly: a transformer written out from its state dict.

Nothing here calls whyclip or the libraries' forward passes. Attention is computed query by
query and head by head, in float64; autograd runs through this plain forward alone. Formulas:
Zhao et al. 2024 (arXiv 2502.18816) and Cui & Fan 2026 (arXiv 2605.12952).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class PlainBlock:
    """One pre-norm block; matrices are stored output by input."""

    norm1: tuple[Tensor, Tensor]
    wq: Tensor
    wk: Tensor
    wv: Tensor
    bq: Tensor
    bk: Tensor
    bv: Tensor
    wo: Tensor
    bo: Tensor
    norm2: tuple[Tensor, Tensor]
    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor


@dataclass
class PlainTower:
    blocks: list[PlainBlock]
    heads: int
    causal: bool
    quick: bool
    final_norm: tuple[Tensor, Tensor]
    projection: Tensor
    stem: dict[str, Tensor]


@dataclass
class Trace:
    """What one block's attention did: everything the formulas name."""

    q: Tensor
    k: Tensor
    v: Tensor
    rows: dict[int, list[Tensor]] = field(default_factory=dict)
    o: list[Tensor] = field(default_factory=list)


# Reading the two libraries' state dicts


def towers_of(model: Any) -> tuple[PlainTower, PlainTower]:
    """Image and text tower of an ``open_clip.model.CLIP`` or a transformers ``CLIPModel``."""
    state = {k: v.detach().double() for k, v in model.state_dict().items() if v.is_floating_point()}
    if "visual.conv1.weight" in state:
        return _openclip_towers(model, state)
    return _hf_towers(model, state)


def _pair(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return state[f"{name}.weight"], state[f"{name}.bias"]


def _openclip_blocks(state: Mapping[str, Tensor], prefix: str) -> list[PlainBlock]:
    blocks = []
    while f"{prefix}.{len(blocks)}.ln_1.weight" in state:
        at = f"{prefix}.{len(blocks)}"
        wq, wk, wv = state[f"{at}.attn.in_proj_weight"].chunk(3)
        bq, bk, bv = state[f"{at}.attn.in_proj_bias"].chunk(3)
        blocks.append(
            PlainBlock(
                _pair(state, f"{at}.ln_1"), wq, wk, wv, bq, bk, bv,
                *_pair(state, f"{at}.attn.out_proj"),
                _pair(state, f"{at}.ln_2"),
                *_pair(state, f"{at}.mlp.c_fc"),
                *_pair(state, f"{at}.mlp.c_proj"),
            )
        )  # fmt: skip
    return blocks


def _openclip_towers(model: Any, state: Mapping[str, Tensor]) -> tuple[PlainTower, PlainTower]:
    quick = "QuickGELU" in {type(m).__name__ for m in model.modules()}
    image = PlainTower(
        _openclip_blocks(state, "visual.transformer.resblocks"),
        model.visual.transformer.resblocks[0].attn.num_heads,
        False,
        quick,
        _pair(state, "visual.ln_post"),
        state["visual.proj"].T,
        {
            "conv": state["visual.conv1.weight"],
            "cls": state["visual.class_embedding"],
            "position": state["visual.positional_embedding"],
            "norm.weight": state["visual.ln_pre.weight"],
            "norm.bias": state["visual.ln_pre.bias"],
        },
    )
    text = PlainTower(
        _openclip_blocks(state, "transformer.resblocks"),
        model.transformer.resblocks[0].attn.num_heads,
        True,
        quick,
        _pair(state, "ln_final"),
        state["text_projection"].T,
        {"token": state["token_embedding.weight"], "position": state["positional_embedding"]},
    )
    return image, text


def _hf_blocks(state: Mapping[str, Tensor], prefix: str) -> list[PlainBlock]:
    blocks = []
    while f"{prefix}.{len(blocks)}.layer_norm1.weight" in state:
        at = f"{prefix}.{len(blocks)}"
        (wq, bq), (wk, bk), (wv, bv) = (
            _pair(state, f"{at}.self_attn.{name}_proj") for name in "qkv"
        )
        blocks.append(
            PlainBlock(
                _pair(state, f"{at}.layer_norm1"), wq, wk, wv, bq, bk, bv,
                *_pair(state, f"{at}.self_attn.out_proj"),
                _pair(state, f"{at}.layer_norm2"),
                *_pair(state, f"{at}.mlp.fc1"),
                *_pair(state, f"{at}.mlp.fc2"),
            )
        )  # fmt: skip
    return blocks


def _hf_towers(model: Any, state: Mapping[str, Tensor]) -> tuple[PlainTower, PlainTower]:
    embed = "vision_model.embeddings"
    image = PlainTower(
        _hf_blocks(state, "vision_model.encoder.layers"),
        model.config.vision_config.num_attention_heads,
        False,
        model.config.vision_config.hidden_act == "quick_gelu",
        _pair(state, "vision_model.post_layernorm"),
        state["visual_projection.weight"],
        {
            "conv": state[f"{embed}.patch_embedding.weight"],
            "cls": state[f"{embed}.class_embedding"],
            "position": state[f"{embed}.position_embedding.weight"],
            "norm.weight": state["vision_model.pre_layrnorm.weight"],
            "norm.bias": state["vision_model.pre_layrnorm.bias"],
        },
    )
    text = PlainTower(
        _hf_blocks(state, "text_model.encoder.layers"),
        model.config.text_config.num_attention_heads,
        True,
        model.config.text_config.hidden_act == "quick_gelu",
        _pair(state, "text_model.final_layer_norm"),
        state["text_projection.weight"],
        {
            "token": state["text_model.embeddings.token_embedding.weight"],
            "position": state["text_model.embeddings.position_embedding.weight"],
        },
    )
    return image, text


# The forward pass, written out


def norm(x: Tensor, weight_bias: tuple[Tensor, Tensor]) -> Tensor:
    weight, bias = weight_bias
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def activation(x: Tensor, quick: bool) -> Tensor:
    if quick:
        return x / (1 + torch.exp(-1.702 * x))
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def stem_image(tower: PlainTower, pixels: Tensor) -> Tensor:
    """Tokens ``[1 + gh·gw, w]`` before the first block, patch by patch."""
    conv, position = tower.stem["conv"], tower.stem["position"]
    patch = conv.shape[-1]
    gh, gw = pixels.shape[1] // patch, pixels.shape[2] // patch
    tokens = [tower.stem["cls"]]
    for y in range(gh):
        for x in range(gw):
            window = pixels[:, y * patch : (y + 1) * patch, x * patch : (x + 1) * patch]
            tokens.append((conv * window.double()).sum((1, 2, 3)))
    side = math.isqrt(len(position) - 1)
    grid = position[1:].reshape(side, side, -1)
    if (gh, gw) != (side, side):
        grid = bicubic(bicubic(grid, gh).transpose(0, 1), gw).transpose(0, 1)
    positions = torch.cat([position[:1], grid.reshape(gh * gw, -1)])
    return norm(
        torch.stack(tokens) + positions, (tower.stem["norm.weight"], tower.stem["norm.bias"])
    )


def bicubic(grid: Tensor, length: int, a: float = -0.75) -> Tensor:
    """Cubic convolution (Keys 1981) along the first axis, pixel centres aligned, edges repeated."""

    def kernel(distance: float) -> float:
        d = abs(distance)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    if length == len(grid):
        return grid
    rows = []
    for i in range(length):
        at = (i + 0.5) * len(grid) / length - 0.5
        first = math.floor(at) - 1
        rows.append(
            sum(
                kernel(at - j) * grid[min(max(j, 0), len(grid) - 1)]
                for j in range(first, first + 4)
            )
        )
    return torch.stack(rows)


def stem_text(tower: PlainTower, ids: Tensor) -> Tensor:
    return tower.stem["token"][ids] + tower.stem["position"][: len(ids)]


def attend(
    tower: PlainTower, block: PlainBlock, x: Tensor, readout: int, heads: int
) -> tuple[Tensor, Trace]:
    """Self-attention of every token, one query and one head at a time."""
    z = norm(x, block.norm1)
    trace = Trace(z @ block.wq.T + block.bq, z @ block.wk.T + block.bk, z @ block.wv.T + block.bv)
    d = x.shape[1] // heads
    updates = []
    for i in range(len(x)):
        seen = i + 1 if tower.causal else len(x)
        parts = []
        for h in range(heads):
            lanes = slice(h * d, (h + 1) * d)
            logits = trace.k[:seen, lanes] @ trace.q[i, lanes] / math.sqrt(d)
            weights = torch.exp(logits - logits.max())
            row = weights / weights.sum()
            if i == readout:
                trace.rows.setdefault(i, []).append(row)
            parts.append(sum_of(row, trace.v[:seen, lanes]))
        trace.o.append(torch.cat(parts))
        updates.append(block.wo @ trace.o[-1] + block.bo)
    return torch.stack(updates), trace


def sum_of(row: Tensor, values: Tensor) -> Tensor:
    return (row[:, None] * values).sum(0)


def run(
    tower: PlainTower, x: Tensor, readout: int, *, last: int, single: bool = False
) -> tuple[Tensor, list[Trace]]:
    """The embedding, and the traces of the last blocks, from where gradients are kept.

    With ``single`` those blocks attend with one head over the whole width.
    """
    first = len(tower.blocks) - last
    traces = []
    for number, block in enumerate(tower.blocks):
        traced = number >= first
        if number == first:
            x = x.detach().requires_grad_()
        with torch.set_grad_enabled(traced):
            heads = 1 if single and traced else tower.heads
            update, trace = attend(tower, block, x, readout, heads)
            x = x + update
            hidden = activation(norm(x, block.norm2) @ block.w1.T + block.b1, tower.quick)
            x = x + hidden @ block.w2.T + block.b2
        if traced:
            traces.append(trace)
    return tower.projection @ norm(x[readout], tower.final_norm), traces


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / torch.sqrt((a * a).sum()) / torch.sqrt((b * b).sum())


def embed(tower: PlainTower, x: Tensor, readout: int) -> Tensor:
    return run(tower, x, readout, last=1)[0].detach()


# The methods


@dataclass
class Relevance:
    """Values of the content tokens, the score, and the largest value before any ReLU."""

    values: Tensor
    score: float
    size: float


def loosened(
    tower: PlainTower,
    block: PlainBlock,
    trace: Trace,
    readout: int,
    over: list[int],
    qk: str,
) -> dict[int, Tensor]:
    """λ: min-max of cos(q, k_i) over some tokens."""

    def seen(z: Tensor) -> Tensor:
        return block.wo @ z + block.bo if qk == "out_proj" else z

    query = seen(trace.q[readout])
    similarity = {i: cosine(query, seen(trace.k[i])) for i in over}
    low, high = min(similarity.values()), max(similarity.values())
    return {i: (r - low) / (high - low) for i, r in similarity.items()}


def eclip(
    tower: PlainTower,
    x: Tensor,
    readout: int,
    content: list[int],
    target: Tensor,
    *,
    route: str = "gradient",
    heads: str = "native",
    qk: str = "raw",
    spatial: str = "loosened",
    layers: int = 1,
    norm_over: str = "words",
    relu: bool = True,
    relu_each_layer: bool = False,
) -> Relevance:
    """Grad-ECLIP (``route="gradient"``) or Attention-ECLIP (``"attention"``).

    ``norm_over="context"`` is min-max over every position of ``x``, padding too, as the
    authors' notebook has it.
    """
    layers = min(layers, len(tower.blocks))
    embedding, traces = run(tower, x, readout, last=layers, single=heads == "single")
    score = cosine(embedding, target.double())
    total = torch.zeros(len(content), dtype=torch.float64)
    size = 0.0
    for block, trace in zip(tower.blocks[-layers:], traces, strict=True):
        over = content if norm_over == "words" else list(range(len(x)))
        if spatial == "loosened":
            weight = loosened(tower, block, trace, readout, over, qk)
        elif spatial == "softmax":
            rows = trace.rows[readout]
            weight = {i: sum(row[i] for row in rows) / len(rows) for i in content}
        else:
            weight = dict.fromkeys(content, torch.tensor(1.0))
        if route == "gradient":
            [g] = torch.autograd.grad(score, trace.o[readout], retain_graph=True)
            channel = {i: (g * trace.v[i]).sum() for i in content}
        else:
            by_head = torch.autograd.grad(score, trace.rows[readout], retain_graph=True)
            channel = {i: sum(head[i] for head in by_head) for i in content}
        values = torch.stack([weight[i].detach() * channel[i].detach() for i in content])
        size = max(size, float(values.abs().max()))
        total += values.clamp(min=0) if relu and relu_each_layer else values
    return Relevance(total.clamp(min=0) if relu else total, float(score.detach()), size)


def contribution(
    tower: PlainTower,
    x: Tensor,
    readout: int,
    content: list[int],
    target: Tensor,
    *,
    layers: int = 1,
    relu: bool = False,
) -> Relevance:
    """Σ_h A^h_i (g^h · v^h_i), the first-order share of a token in the readout."""
    layers = min(layers, len(tower.blocks))
    embedding, traces = run(tower, x, readout, last=layers)
    score = cosine(embedding, target.double())
    d = x.shape[1] // tower.heads
    total = torch.zeros(len(content), dtype=torch.float64)
    for trace in traces:
        [g] = torch.autograd.grad(score, trace.o[readout], retain_graph=True)
        shares = []
        for i in content:
            share = 0.0
            for h, row in enumerate(trace.rows[readout]):
                for c in range(h * d, (h + 1) * d):
                    share += float(row[i].detach()) * float(g[c]) * float(trace.v[i, c].detach())
            shares.append(share)
        total += torch.tensor(shares, dtype=torch.float64)
    size = float(total.abs().max())
    return Relevance(total.clamp(min=0) if relu else total, float(score.detach()), size)


def raw_attention(
    tower: PlainTower,
    x: Tensor,
    readout: int,
    content: list[int],
    target: Tensor,
    *,
    heads: str = "native",
) -> Relevance:
    """Mean over heads of the readout's attention row in the last block."""
    embedding, [trace] = run(tower, x, readout, last=1, single=heads == "single")
    rows = [row.detach() for row in trace.rows[readout]]
    values = torch.stack([sum(row[i] for row in rows) / len(rows) for i in content])
    return Relevance(
        values, float(cosine(embedding, target.double()).detach()), float(values.max())
    )
