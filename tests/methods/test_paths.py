"""Readout and direct paths against the formula run backwards in float64, and against autograd.

Two computations that share nothing with whyclip's: for CLIP, the matrices of the state dict are
carried from the embedding back to the tokens, layer by layer; for every family, the library's own
modules are replaced by copies that freeze themselves, and autograd does the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import families
import reference
import tiny
import whyclip
from families_hf import classifier
from paths_reference import backwards
from whyclip.errors import OptionError, ScoreMismatchError, UnsupportedModelError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.methods.paths import Paths, direct_paths, readout_paths
from whyclip.models.frozen import chain, secant
from whyclip.models.tower import Tower

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
NOTHING = Targets(torch.empty(0, 0))
TOWERS = [
    (family, side)
    for family in families.SMALL
    for side in ("image", "text")
    if side == "text" or family not in families.BLIND
]


def inputs_of(view: whyclip.ModelView, tower: Tower) -> Tensor:
    if tower.side == "image":
        size = (2, 3, *tower.input_size)  # type: ignore[attr-defined]
        return torch.randn(size, generator=torch.Generator().manual_seed(0))
    return tokenize(view.tokenizer, families.TEXTS, tower.context).ids  # type: ignore[attr-defined]


def capture_of(family: str, side: str) -> ForwardPass:
    view = whyclip.wrap(*families.SMALL[family]())
    tower = view.image if side == "image" else view.text
    return run_tower(tower, inputs_of(view, tower), NOTHING, keep=len(tower.blocks))


@pytest.mark.parametrize(("family", "side"), TOWERS)
def test_the_summands_are_the_embedding(family: str, side: str) -> None:
    forward_pass = capture_of(family, side)
    paths = readout_paths(forward_pass)
    assert float(paths.gap.max()) < 1e-5
    # The remainder is not what was missing: it is not there when nothing but tokens is summed.
    assert float((paths.tokens.sum(1) - paths.embedding).norm()) > 1e-3


@pytest.mark.parametrize("library", ["openclip", "hf"])
@pytest.mark.parametrize("side", ["image", "text"])
def test_the_formula_backwards_in_float64(library: str, side: str) -> None:
    parts = tiny.openclip_parts(seed=3) if library == "openclip" else tiny.hf_parts(seed=3)
    view = whyclip.wrap(*parts)
    plain = dict(zip(("image", "text"), reference.towers_of(parts[0]), strict=True))[side]
    tower = view.image if side == "image" else view.text
    inputs = inputs_of(view, tower)
    forward_pass = run_tower(tower, inputs, NOTHING, keep=len(tower.blocks))
    paths = readout_paths(forward_pass)
    for i in range(len(inputs)):
        row = int(forward_pass.stream.readout_index[i])
        if side == "image":
            x = reference.stem_image(plain, inputs[i].double())
        else:
            x = reference.stem_text(plain, inputs[i, : row + 1])
        vectors, biases, embedding = backwards(plain, x, row)
        # The formula itself adds up.
        torch.testing.assert_close(vectors.sum(0) + biases, embedding, rtol=1e-9, atol=1e-9)
        largest = float(vectors.norm(dim=-1).max())
        assert float((paths.tokens[i, : len(x)] - vectors).norm(dim=-1).max()) < 1e-5 * largest
        assert float((paths.remainders["biases"][i] - biases).norm()) < 1e-5 * float(biases.norm())
        assert not paths.tokens[i, len(x) :].any()


# Every family, by modules that freeze themselves


class FrozenNorm(nn.Module):
    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.detach().square().mean(-1, keepdim=True) + norm.eps).sqrt()
        return centred / deviation * norm.weight + norm.bias


class FrozenActivation(nn.Module):
    def __init__(self, act: nn.Module, gates: bool) -> None:
        super().__init__()
        self.act, self.gates = act, gates

    def forward(self, z: Tensor) -> Tensor:
        value = self.act(z)
        return value.detach() if self.gates else z * (value / z).detach()


def freeze_modules(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        kind = type(child).__name__
        if isinstance(child, nn.LayerNorm):
            setattr(module, name, FrozenNorm(child))
        elif "GELU" in kind or kind == "SiLU":
            setattr(module, name, FrozenActivation(child, gates=type(module).__name__ == "SwiGLU"))
        else:
            freeze_modules(child)


def by_autograd(tower: Tower, inputs: Tensor, index: int) -> tuple[Tensor, Tensor]:
    """How the embedding ``[e]`` grows with each token's part in the readout: ``[t, e]``."""
    stream = tower.embed(inputs[index : index + 1])
    row = int(stream.readout_index[0])
    t = stream.x.shape[1]
    shares = torch.ones(t, dtype=torch.float64, requires_grad=True)
    first = torch.ones((), dtype=torch.float64, requires_grad=True)
    mask = stream.mask
    x, alone = stream.x.detach(), stream.x[0, row].detach() * first
    for block in tower.blocks:
        with torch.no_grad():
            q, k, v = block.qkv(x)
            q = q if block.is_pooling_head else q[:, :, [row]]
            logits = (q @ k.transpose(-1, -2) * block.scale)[0, :, 0]
            if mask is not None and not block.is_pooling_head:
                logits = logits + mask[0, :, row]
            a = logits.softmax(-1)
        values = v[0].detach()
        parts = a[..., None] * values * shares[None, :, None]
        if not block.is_pooling_head:
            value = block.qkv(torch.cat([x[:, :row], alone[None, None], x[:, row + 1 :]], 1))[2]
            others = [j for j in range(t) if j != row]
            o = parts[:, others].sum(1) + a[:, row, None] * value[0, :, row]
        else:
            o = parts.sum(1)
        alone = block.finish(alone, block.merge(o.flatten()))
        with torch.no_grad():
            x = block.forward(x, mask)
    embedding = tower.project(alone)
    rows = [
        torch.autograd.grad(number, (shares, first), retain_graph=True, allow_unused=True)
        for number in embedding
    ]
    zero = torch.zeros((), dtype=torch.float64)
    tokens = torch.stack([by_share for by_share, _ in rows], 1)
    tokens[row] += torch.stack([zero if entered is None else entered for _, entered in rows])
    return tokens.detach(), embedding.detach()


@pytest.mark.parametrize(("family", "side"), TOWERS)
def test_every_family_in_float64(family: str, side: str) -> None:
    parts = families.SMALL[family]()
    forward_pass = capture_of(family, side)
    paths = readout_paths(forward_pass)
    frozen = copy.deepcopy(parts[0]).double()
    view = whyclip.wrap(frozen, *parts[1:])
    freeze_modules(frozen)
    tower = view.image if side == "image" else view.text
    inputs = inputs_of(view, tower)
    inputs = inputs.double() if side == "image" else tower.trim(inputs)
    for i in range(2):
        tokens, embedding = by_autograd(tower, inputs, i)
        largest = float(tokens.norm(dim=-1).max())
        assert float((paths.tokens[i] - tokens).norm(dim=-1).max()) < 1e-5 * largest
        assert float((paths.embedding[i] - embedding).norm()) < 1e-5 * float(embedding.norm())


# Direct paths, and what cannot be frozen


def direct_towers() -> list[tuple[str, str]]:
    return [("vit", "image"), ("vit", "text"), ("timm-token", "image"), ("metaclip2", "text")]


@pytest.mark.parametrize(("family", "side"), direct_towers())
def test_direct_contributions_are_the_embedding_with_the_mlps(family: str, side: str) -> None:
    paths = direct_paths(capture_of(family, side))
    assert float(paths.gap.max()) < 1e-5
    assert set(paths.remainders) == {"MLPs", "biases"}


def test_without_mlps_and_own_values_both_paths_agree() -> None:
    """Then nothing happens to a token's part on its way."""
    model, *rest = tiny.openclip_parts(seed=3)
    for block in model.visual.transformer.resblocks:
        for name, parameter in block.named_parameters():
            if name.startswith("mlp.c_proj"):
                nn.init.zeros_(parameter)
    view = whyclip.wrap(model, *rest)
    tower = view.image
    forward_pass = run_tower(tower, inputs_of(view, tower), NOTHING, keep=len(tower.blocks))
    direct, readout = direct_paths(forward_pass), readout_paths(forward_pass)
    last = readout_paths(forward_pass, first=len(tower.blocks) - 1)
    only = direct_paths(forward_pass, first=len(tower.blocks) - 1)
    assert float((last.tokens[:, 1:] - only.tokens[:, 1:]).abs().max()) < 1e-5
    # At two layers, what the first wrote comes back through the readout token's own value.
    assert float((readout.tokens[:, 1:] - direct.tokens[:, 1:]).abs().max()) > 1e-3


@pytest.mark.parametrize("act", [nn.GELU(), nn.SiLU(), nn.ReLU(), nn.GELU(approximate="tanh")])
def test_the_secant_at_zero_is_its_limit(act: Callable[[Tensor], Tensor]) -> None:
    near = torch.tensor([[0.0, 1e-38, -1e-38, 1e-6, -1e-6]], dtype=torch.float64)
    slopes = secant(act, near).linear(torch.ones(1, 1, 5, dtype=torch.float64))[0, 0]
    expected = [(float(act(torch.tensor(s * 1e-7, dtype=torch.float64))) / (s * 1e-7))
                for s in (1, -1)]  # fmt: skip
    if isinstance(act, nn.ReLU):
        assert slopes.tolist() == [0, 0, 0, 1, 0]
    else:
        assert slopes.tolist() == pytest.approx([sum(expected) / 2] * 5, abs=1e-5)


def test_an_activation_that_is_not_zero_at_zero_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"Sigmoid gives 0\.5"):
        chain(torch.randn(1, 4), nn.Sigmoid())


def test_a_module_that_is_not_affine_is_refused() -> None:
    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) ** 2

    with pytest.raises(UnsupportedModelError, match="Squares is neither affine"):
        chain(torch.randn(2, 4), Squares())


def test_a_hook_within_a_block_is_noticed() -> None:
    model, *rest = tiny.openclip_parts(seed=3)
    view = whyclip.wrap(model, *rest)
    forward_pass = run_tower(view.image, inputs_of(view, view.image), NOTHING, keep=tiny.LAYERS)
    block = model.visual.transformer.resblocks[0]
    block.mlp.c_proj.register_forward_hook(lambda module, args, out: 2 * out)
    with pytest.raises(ScoreMismatchError, match="block 0"):
        readout_paths(forward_pass)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_strays_little(half: torch.dtype) -> None:
    parts = tiny.openclip_parts(seed=3)
    views = [whyclip.wrap(*parts), whyclip.wrap(copy.deepcopy(parts[0]).to(half), *parts[1:])]
    results: list[Paths] = []
    for view in views:
        inputs = inputs_of(view, view.image).to(view.image.blocks[0].dtype)
        forward_pass = run_tower(view.image, inputs, NOTHING, keep=tiny.LAYERS)
        results.append(readout_paths(forward_pass))
    exact, rough = (paths.tokens.float() for paths in results)
    assert float((rough - exact).norm() / exact.norm()) < 0.1


# The method's option


@pytest.mark.parametrize("library", ["openclip", "hf"])
def test_decomposition_along_readout_paths(library: str) -> None:
    """Maps and words are the formula's vectors along the other side's embedding."""
    parts = tiny.openclip_parts(seed=3) if library == "openclip" else tiny.hf_parts(seed=3)
    view, prompt = whyclip.wrap(*parts), "two red cars"
    noise = torch.randint(0, 256, (32, 32, 3), generator=torch.Generator().manual_seed(3))
    image = Image.fromarray(noise.byte().numpy())
    ex = whyclip.explain(view, image, prompt, method="decomposition", paths="readout")
    plain = reference.towers_of(parts[0])
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
    pixels = (noise.permute(2, 0, 1).double() / 255 - mean) / std
    ids = torch.tensor([49406, *tiny.tokenizer().encode(prompt), 49407])
    patches, _, seen = backwards(plain[0], reference.stem_image(plain[0], pixels), 0)
    pieces, _, read = backwards(plain[1], reference.stem_text(plain[1], ids), len(ids) - 1)
    length = seen.norm() * read.norm()
    assert ex.maps is not None
    expected = patches[1:] @ read / length
    worst = (ex.maps[0].flatten() - expected).abs().max() / expected.abs().max()
    assert float(worst) < 1e-5
    words = [word.relevance for word in ex.words[0]]
    assert words == pytest.approx((pieces[1:-1] @ seen / length).tolist(), rel=1e-4, abs=1e-7)
    gaps = ex.certificate.diagnostics
    assert all(abs(gap) < 1e-6 for name in gaps for gap in gaps[name])
    assert ex.certificate.explains_score


@pytest.mark.parametrize("family", ["siglip", "chinese-clip", "timm-mlp", "vit-qk-norm", "resnet"])
def test_towers_that_direct_paths_refuse(family: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    with pytest.raises(OptionError, match="decomposition needs"):
        whyclip.explain(view, families.picture(), "a dog", method="decomposition")
    ex = whyclip.explain(view, families.picture(), "a dog", method="decomposition:paths=readout")
    assert ex.certificate.explains_score
    assert all(gap < 1e-5 for gaps in ex.certificate.diagnostics.values() for gap in gaps)


def test_later_layers_alone_and_logits() -> None:
    model, processor = classifier(["cat", "dog", "bird"])
    view = whyclip.wrap(model, processor, None)
    options: dict[str, Any] = {"method": "decomposition", "paths": "readout"}
    for start in (0, 1, -1):
        ex = whyclip.explain(view, families.picture(), ["cat", "dog"], start_layer=start, **options)
        [gaps] = ex.certificate.diagnostics.values()
        assert max(gaps) < 1e-5
    with pytest.raises(OptionError, match="start_layer=2"):
        whyclip.explain(view, families.picture(), "cat", start_layer=2, **options)
