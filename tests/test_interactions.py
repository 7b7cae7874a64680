"""Interaction against finite differences of a forward pass written out in float64."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
from reference import PlainTower
from whyclip.errors import ImageError, OptionError, PromptError, UnsupportedModelError

# The tokenizer cuts the longer word into several pieces.
PROMPT = "two supercalifragilistic dogs near dogs"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass
class Case:
    view: whyclip.ModelView
    image_tower: PlainTower
    text_tower: PlainTower
    image: Image.Image

    def image_tokens(self) -> Tensor:
        rgb = torch.from_numpy(np.array(self.image)).permute(2, 0, 1).double() / 255
        mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
        return reference.stem_image(self.image_tower, (rgb - mean) / std)

    def text_tokens(self) -> tuple[Tensor, list[list[int]]]:
        words, ids = [], [49406]
        for word in PROMPT.split():
            pieces = tiny.tokenizer().encode(word)
            words.append(list(range(len(ids), len(ids) + len(pieces))))
            ids += pieces
        return reference.stem_text(self.text_tower, torch.tensor([*ids, 49407])), words


def case_of(family: str, columns: int) -> Case:
    parts = tiny.hf_parts(3) if family == "hf" else tiny.openclip_parts(3)
    size = (tiny.IMAGE_SIZE, columns * tiny.PATCH, 3)
    noise = np.random.default_rng(3).integers(0, 255, size, dtype=np.uint8)
    towers = reference.towers_of(parts[0])
    return Case(whyclip.wrap(*parts), *towers, Image.fromarray(noise))


@pytest.fixture(
    scope="module",
    params=[("openclip", 4), ("openclip", 6), ("hf", 4)],
    ids=["openclip", "openclip-wide", "hf"],
)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(*request.param)


@pytest.fixture(scope="module")
def plain() -> Case:
    return case_of("openclip", 4)


def moved(tower: PlainTower, x: Tensor, readout: int, layers: int) -> tuple[Tensor, list[Tensor]]:
    """The embedding, and how it moves along each token's parts of the last readouts."""
    d, step = x.shape[1] // tower.heads, 1e-5
    moves = [torch.zeros(len(tower.projection), dtype=torch.float64) for _ in x]
    for index, block in enumerate(tower.blocks):
        update, trace = reference.attend(tower, block, x, readout, tower.heads)
        rows = trace.rows[readout]
        if index >= len(tower.blocks) - layers:
            for i in range(len(rows[0])):
                part = [row[i] * trace.v[i, h * d : (h + 1) * d] for h, row in enumerate(rows)]
                aside = torch.zeros_like(update)
                aside[readout] = step * block.wo @ torch.cat(part)
                ends = [
                    run_on(tower, index + 1, rest(tower, block, x, update + sign * aside), readout)
                    for sign in (1, -1)
                ]
                moves[i] = moves[i] + (ends[0] - ends[1]) / (2 * step)
        x = rest(tower, block, x, update)
    return run_on(tower, len(tower.blocks), x, readout), moves


def run_on(tower: PlainTower, first: int, x: Tensor, readout: int) -> Tensor:
    for block in tower.blocks[first:]:
        update, _ = reference.attend(tower, block, x, readout, tower.heads)
        x = rest(tower, block, x, update)
    return tower.projection @ reference.norm(x[readout], tower.final_norm)


def rest(tower: PlainTower, block: reference.PlainBlock, x: Tensor, update: Tensor) -> Tensor:
    x = x + update
    hidden = reference.activation(
        reference.norm(x, block.norm2) @ block.w1.T + block.b1, tower.quick
    )
    return x + hidden @ block.w2.T + block.b2


@pytest.mark.parametrize("layers", [1, None])
def test_the_matrix_is_the_scores_second_difference(case: Case, layers: int | None) -> None:
    asked: dict[str, Any] = {"geometry": "keep", "text_layers": layers}
    found = whyclip.interaction(case.view, case.image, PROMPT, **asked)
    tokens, words = case.text_tokens()
    image, by_patch = moved(case.image_tower, case.image_tokens(), 0, 1)
    text, by_piece = moved(case.text_tower, tokens, len(tokens) - 1, layers or tiny.LAYERS)
    length = image.norm() * text.norm()
    expected = torch.stack(
        [
            torch.stack([sum(by_piece[p] @ patch for p in word) / length for patch in by_patch[1:]])
            for word in words
        ]
    )
    worst = (found.matrix.flatten(1) - expected).abs().max() / expected.abs().max()
    assert float(worst) < 1e-5
    assert [word.text for word in found.words] == PROMPT.split()
    sums = [word.relevance for word in found.words]
    assert sums == pytest.approx(expected.sum(1).tolist(), abs=1e-5 * float(expected.abs().max()))
    score = float(image @ text / length)
    total = float(sum(by_patch) @ sum(by_piece) / length)
    assert found.score == pytest.approx(score, abs=1e-5)
    assert found.total == pytest.approx(total, abs=1e-5)
    assert found.gap == pytest.approx(score - total, abs=2e-5)
    assert found.certificate.diagnostics["additivity gap"] == (found.gap,)


def test_a_readout_without_norm_mlp_and_residual_adds_up() -> None:
    """Then F is linear in its attention's output: all pairs sum to the score, and none is lost."""
    model, preprocess, tokenizer = tiny.openclip_parts(3, final_ln_after_pool=False)
    towers = ((model.visual, "ln_post"), (model, "ln_final"))
    for part, norm in towers:
        setattr(part, norm, torch.nn.Identity().eval())
        last = part.transformer.resblocks[-1]
        for name, parameter in last.named_parameters():
            if name.startswith(("mlp.c_proj", "attn.out_proj.bias")):
                torch.nn.init.zeros_(parameter)
    view = whyclip.wrap(model, preprocess, tokenizer)
    found = whyclip.interaction(view, case_of("openclip", 4).image, PROMPT, text_layers=1)
    # What remains beside the attention is the readout token's own stream, part of no pair.
    with torch.no_grad():
        parts = {}
        for tower, inputs in (
            (view.image, preprocess(case_of("openclip", 4).image)[None]),
            (view.text, view.text.trim(tokenizer([PROMPT]))),
        ):
            stream = tower.embed(inputs)
            x = tower.blocks[0].forward(stream.x, stream.mask)
            whole = tower.encode(tokenizer([PROMPT]) if tower is view.text else inputs)[0]
            parts[tower.side] = (whole - tower.head(x[0, stream.readout_index[0]])) / whole.norm()
    assert found.total == pytest.approx(float(parts["image"] @ parts["text"]), abs=1e-5)


def test_the_certificate_tells_of_the_geometry(plain: Case) -> None:
    native = whyclip.interaction(plain.view, plain.image, PROMPT)
    assert native.certificate.explains_score
    assert "additivity gap" in native.certificate.diagnostics
    wide = plain.image.resize((64, 32))
    changed = whyclip.interaction(plain.view, wide, PROMPT, geometry="keep")
    assert changed.matrix.shape == (5, 4, 8)
    assert not changed.certificate.explains_score
    assert "keep" in str(changed.certificate)


def test_it_becomes_an_explanation_with_a_map_for_each_word(plain: Case, tmp_path: Path) -> None:
    found = whyclip.interaction(plain.view, plain.image, PROMPT)
    ex = found.explanation
    assert ex.labels == tuple(PROMPT.split())
    assert torch.equal(ex.maps, found.matrix)
    assert ex.scores.tolist() == pytest.approx([found.score] * 5)
    assert ex.certificate.explains_score
    for ending in (".html", ".png", ".json", ".npz"):
        assert found.save(tmp_path / f"words{ending}").stat().st_size > 0
    again = whyclip.load_explanation(tmp_path / "words.npz")
    assert again.options["prompt"] == PROMPT
    torch.testing.assert_close(again.maps, found.matrix)
    assert "supercalifragilistic" in found._repr_html_()


def test_frozen_models_and_half_precision(plain: Case) -> None:
    parts = tiny.openclip_parts(3)
    one = whyclip.interaction(whyclip.wrap(*parts), plain.image, PROMPT)
    assert all(parameter.grad is None for parameter in parts[0].parameters())
    parts[0].requires_grad_(False)
    frozen = whyclip.interaction(whyclip.wrap(*parts), plain.image, PROMPT)
    assert torch.equal(frozen.matrix, one.matrix)
    parts[0].bfloat16()
    rough = whyclip.interaction(whyclip.wrap(*parts), plain.image, PROMPT)
    assert float((rough.matrix - one.matrix).norm() / one.matrix.norm()) < 0.2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"prompt": ["a dog", "a cat"]}, PromptError, "an interaction is of one text"),
        ({"prompt": " "}, PromptError, "empty"),
        ({"image": "no/such.png"}, ImageError, "no such file"),
        ({"geometry": "kept"}, OptionError, "keep"),
        ({"text_layers": 3}, OptionError, "1 to 2 blocks"),
        ({"text_layers": 1.5}, OptionError, "text_layers=1.5 of interaction: give a whole number"),
        ({"text_layers": "2"}, OptionError, "give a whole number"),
        ({"text_layers": True}, OptionError, "give a whole number"),
        ({"model": "mini"}, OptionError, "whyclip.load"),
    ],
)
def test_bad_input(
    plain: Case, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    asked = {"model": plain.view, "image": plain.image, "prompt": PROMPT, **change}
    with pytest.raises(error, match=message) as caught:
        whyclip.interaction(**asked)
    assert "\n" not in str(caught.value)


def test_a_tower_without_attention_readout_says_so(plain: Case) -> None:
    view = whyclip.wrap(*families.SMALL["vit-average"]())
    with pytest.raises(UnsupportedModelError, match="occlusion"):
        whyclip.interaction(view, plain.image, "a dog")


@pytest.mark.parametrize("family", ["siglip", "resnet", "coca", "timm-eva"])
def test_other_families(plain: Case, family: str) -> None:
    found = whyclip.interaction(whyclip.wrap(*families.SMALL[family]()), plain.image, "a dog")
    assert found.certificate.explains_score, found.certificate
    assert [word.text for word in found.words] == ["a", "dog"]
    assert torch.isfinite(found.matrix).all()
    assert float(found.matrix.abs().max()) > 0
