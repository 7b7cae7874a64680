"""Interaction against finite differences of a forward pass written out in float64."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import families
import reference
import tiny
import whyclip
from cases import TwoReadings, tiny_parts
from paths_reference import backwards
from reference import PlainTower
from whyclip.errors import (
    ImageError,
    InputError,
    OptionError,
    PromptError,
    UnsupportedModelError,
)
from whyclip.vectors import REGIONS, WORDS

# The tokenizer cuts the longer word into several pieces.
PROMPT = "two supercalifragilistic dogs near dogs"
FIRST_ORDER = {"words": "first_order", "regions": "first_order"}


def case_of(family: str, columns: int) -> TwoReadings:
    return TwoReadings.of(tiny_parts(family), width=columns * tiny.PATCH)


@pytest.fixture(
    scope="module",
    params=[("openclip", 4), ("openclip", 6), ("hf", 4)],
    ids=["openclip", "openclip-wide", "hf"],
)
def case(request: pytest.FixtureRequest) -> TwoReadings:
    return case_of(*request.param)


@pytest.fixture(scope="module")
def plain() -> TwoReadings:
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
def test_the_matrix_is_the_scores_second_difference(case: TwoReadings, layers: int | None) -> None:
    options: dict[str, Any] = {"geometry": "keep", "text_layers": layers, **FIRST_ORDER}
    interaction = whyclip.interaction(case.view, case.image, PROMPT, **options)
    tokens, words = case.text_tokens(PROMPT)
    image, by_patch = moved(case.image_tower, case.image_tokens(), 0, 1)
    text, by_piece = moved(case.text_tower, tokens, len(tokens) - 1, layers or tiny.LAYERS)
    length = image.norm() * text.norm()
    expected = torch.stack(
        [
            torch.stack([sum(by_piece[p] @ patch for p in word) / length for patch in by_patch[1:]])
            for word in words
        ]
    )
    worst = (interaction.matrix.flatten(1) - expected).abs().max() / expected.abs().max()
    assert float(worst) < 1e-5
    assert [word.text for word in interaction.words] == PROMPT.split()
    sums = [word.relevance for word in interaction.words]
    assert sums == pytest.approx(expected.sum(1).tolist(), abs=1e-5 * float(expected.abs().max()))
    score = float(image @ text / length)
    total = float(sum(by_patch) @ sum(by_piece) / length)
    assert interaction.score == pytest.approx(score, abs=1e-5)
    assert interaction.total == pytest.approx(total, abs=1e-5)
    assert interaction.gap == pytest.approx(score - total, abs=2e-5)
    assert interaction.certificate.diagnostics["completeness error"] == (interaction.gap,)
    assert float(interaction.table.sum()) == pytest.approx(score, abs=1e-5)


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
    options: dict[str, Any] = {"text_layers": 1, **FIRST_ORDER}
    interaction = whyclip.interaction(view, case_of("openclip", 4).image, PROMPT, **options)
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
    assert interaction.total == pytest.approx(float(parts["image"] @ parts["text"]), abs=1e-5)


def test_the_certificate_tells_of_the_geometry(plain: TwoReadings) -> None:
    native = whyclip.interaction(plain.view, plain.image, PROMPT)
    assert native.certificate.explains_score
    assert "completeness error" in native.certificate.diagnostics
    wide = plain.image.resize((64, 32))
    changed = whyclip.interaction(plain.view, wide, PROMPT, geometry="keep")
    assert changed.matrix.shape == (5, 4, 8)
    assert not changed.certificate.explains_score
    assert "keep" in str(changed.certificate)


def test_it_becomes_an_explanation_with_a_map_for_each_word(
    plain: TwoReadings, tmp_path: Path
) -> None:
    interaction = whyclip.interaction(plain.view, plain.image, PROMPT)
    ex = interaction.explanation
    assert ex.labels == tuple(PROMPT.split())
    assert torch.equal(ex.maps, interaction.matrix)
    assert ex.scores.tolist() == pytest.approx([interaction.score] * 5)
    assert ex.certificate.explains_score
    for ending in (".html", ".png", ".json", ".npz"):
        assert interaction.save(tmp_path / f"words{ending}").stat().st_size > 0
    again = whyclip.load_explanation(tmp_path / "words.npz")
    assert again.options["prompt"] == PROMPT
    torch.testing.assert_close(again.maps, interaction.matrix)
    assert "supercalifragilistic" in interaction._repr_html_()


def test_frozen_models_and_half_precision(plain: TwoReadings) -> None:
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
        ({"prompt": ["a dog", "a cat"]}, PromptError, "an interaction takes one string"),
        ({"prompt": " "}, PromptError, "empty"),
        ({"image": "no/such.png"}, ImageError, "no such file"),
        ({"geometry": "kept"}, OptionError, "keep"),
        ({"text_layers": 3, **FIRST_ORDER}, OptionError, "1 to 2 blocks"),
        ({"text_layers": 1}, OptionError, "belongs to words='first_order', got 'readout'"),
        ({"words": "shapely"}, OptionError, "shapley"),
        ({"words": "banzhaf"}, OptionError, "unknown kind of words"),
        ({"regions": "leave_one_out"}, OptionError, "unknown kind of regions"),
        ({"words": "shapley:permutation=3"}, OptionError, "permutations"),
        ({"words": "shapley:permutations=0"}, OptionError, "1 or more"),
        ({"regions": "banzhaf:samples=3"}, OptionError, "even"),
        ({"words": 3}, OptionError, "words=3"),
        (
            {"text_layers": 1.5, **FIRST_ORDER},
            OptionError,
            "text_layers=1.5 of interaction: give a whole number",
        ),
        ({"text_layers": "2", **FIRST_ORDER}, OptionError, "give a whole number"),
        ({"text_layers": True, **FIRST_ORDER}, OptionError, "give a whole number"),
        ({"model": "mini"}, OptionError, "whyclip.load"),
    ],
)
def test_bad_input(
    plain: TwoReadings, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"model": plain.view, "image": plain.image, "prompt": PROMPT, **change}
    with pytest.raises(error, match=message) as caught:
        whyclip.interaction(**arguments)
    assert "\n" not in str(caught.value)


FAMILIES = [family for family in families.SMALL if family not in families.BLIND]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_sums_to_the_score_on_every_family(family: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    interaction = whyclip.interaction(view, families.picture(), "a photo of two red cars")
    assert interaction.certificate.explains_score, interaction.certificate
    assert [word.text for word in interaction.words] == ["a", "photo", "of", "two", "red", "cars"]
    assert float(interaction.table.double().sum()) == pytest.approx(interaction.score, abs=1e-5)
    assert interaction.gap == pytest.approx(0, abs=1e-5)
    assert float(interaction.matrix.abs().max()) > 1e-4
    assert "unattributed" not in interaction.rows + interaction.columns


def test_the_readout_table_is_the_formulas(case: TwoReadings) -> None:
    """Every cell, remainders too, from the vectors that the formula gives backwards in float64."""
    interaction = whyclip.interaction(case.view, case.image, PROMPT, geometry="keep")
    tokens, words = case.text_tokens(PROMPT)
    patches, of_biases, image = backwards(case.image_tower, case.image_tokens(), 0)
    pieces, biases, text = backwards(case.text_tower, tokens, len(tokens) - 1)
    rows = [pieces[word].sum(0) for word in words] + [pieces[0], pieces[-1], biases]
    columns = [*patches[1:], patches[0], of_biases]
    expected = torch.stack(rows) @ torch.stack(columns).T / (image.norm() * text.norm())
    assert interaction.rows == (*PROMPT.split(), "BOS", "EOS", "biases")
    assert interaction.columns[-2:] == ("CLS", "biases")
    largest = float(expected.abs().max())
    assert float((interaction.table - expected).abs().max()) < 1e-5 * largest
    for index, word_sum in enumerate(interaction.sums):
        assert word_sum.word is interaction.words[index]
        assert word_sum.regions == pytest.approx(float(expected[index, :-2].sum()), abs=1e-5)
        assert word_sum.remainder == pytest.approx(float(expected[index, -2:].sum()), abs=1e-5)
        assert word_sum.total == pytest.approx(float(expected[index].sum()), abs=1e-5)
    others = [float(row.sum()) for row in expected[len(words) :]]
    assert list(interaction.remainders.values()) == pytest.approx(others, abs=1e-5)


QUICK = {"integrated_gradients": ":steps=4", "banzhaf": ":samples=8:cells=2"}


@pytest.mark.parametrize("regions", REGIONS)
@pytest.mark.parametrize("words", WORDS)
def test_any_words_go_with_any_regions(plain: TwoReadings, words: str, regions: str) -> None:
    spelt = [name + QUICK.get(name, "") for name in (words, regions)]
    interaction = whyclip.interaction(
        plain.view, plain.image, "two dogs", words=spelt[0], regions=spelt[1]
    )
    assert interaction.methods == {"words": spelt[0], "regions": spelt[1]}
    assert float(interaction.table.double().sum()) == pytest.approx(interaction.score, abs=1e-5)
    missing = [not (WORDS[words].exact), not (REGIONS[regions].exact)]
    assert ["unattributed" in names for names in (interaction.rows, interaction.columns)] == missing
    if not any(missing):
        assert interaction.gap == pytest.approx(0, abs=1e-5)
    assert float(interaction.matrix.abs().max()) > 0


def test_a_contrast_has_a_row_for_the_opponents(plain: TwoReadings) -> None:
    alone = whyclip.interaction(plain.view, plain.image, "two dogs")
    other = whyclip.interaction(plain.view, plain.image, "red cars")
    interaction = whyclip.interaction(plain.view, plain.image, "two dogs", against="red cars")
    assert interaction.score == pytest.approx(alone.score - other.score, abs=1e-5)
    assert float(interaction.table.double().sum()) == pytest.approx(interaction.score, abs=1e-5)
    assert interaction.rows == (*alone.rows, "rather than red cars")
    torch.testing.assert_close(interaction.table[:-1], alone.table)
    torch.testing.assert_close(interaction.table[-1], -other.table.sum(0), atol=1e-5, rtol=1e-4)
    assert interaction.against == ("red cars",)
    assert interaction.certificate.explains_score


def test_where_sums_the_words_of_a_span(plain: TwoReadings) -> None:
    interaction = whyclip.interaction(plain.view, plain.image, "two red cars and a red tree")
    for span in ("RED cars", (4, 12), "d ca"):
        ex = interaction.where(span)
        assert ex.prompts == ("red cars",)
        assert ex.maps is not None
        torch.testing.assert_close(ex.maps[0], interaction.matrix[1] + interaction.matrix[2])
        assert ex.words[0][0].relevance == pytest.approx(
            float(interaction.matrix[1:3].sum()), abs=1e-6
        )
    for span in ("blue", "", " ", (3, 3), (90, 95)):
        with pytest.raises(PromptError, match="no word of 'two red cars"):
            interaction.where(span)
    for wrong in (None, 5, (1,), (1, 2, 3), ("a", "b"), (0.5, 3)):
        with pytest.raises(PromptError, match=r"^where\(.*give a part of 'two red cars"):
            interaction.where(wrong)  # type: ignore[arg-type]


def test_where_prefers_whole_words(plain: TwoReadings) -> None:
    """Characters of ``İ`` and ``ß`` are one, but two in lower case or casefolded."""
    for prompt, span, places in (
        ("a scarf and a car", "car", (4,)),
        ("a tired red dog", "red", (2,)),
        ("an a", "a", (1,)),
        ("İİßß red car", "RED car", (1, 2)),
        ("a scarf", "car", (1,)),
    ):
        inter = whyclip.interaction(plain.view, plain.image, prompt)
        expected = sum(inter.matrix[place] for place in places)
        torch.testing.assert_close(inter.where(span).maps[0], expected)  # type: ignore[index]


def test_what_weighs_patches_by_their_share_of_the_box(plain: TwoReadings) -> None:
    """The 32 pixels are 4×4 patches of 8; the box has half of a patch more at each side."""
    interaction = whyclip.interaction(plain.view, plain.image, "two red cars")
    words = interaction.what((4, 8, 20, 20))
    for word, values in zip(words, interaction.matrix.tolist(), strict=True):
        expected = 0.0
        for row, down in ((1, 1.0), (2, 0.5)):
            for column, across in ((0, 0.5), (1, 1.0), (2, 0.5)):
                expected += down * across * values[row][column]
        assert word.relevance == pytest.approx(expected, abs=1e-7)
    everything = [word.relevance for word in interaction.what((-5, -5, 99, 99))]
    assert everything == pytest.approx([word.relevance for word in interaction.words], abs=1e-6)
    for box in ((9, 9, 9, 20), (20, 9, 10, 20), (40, 40, 50, 50)):
        with pytest.raises(InputError, match="32×32 image"):
            interaction.what(box)
    for wrong in (None, 5, "1234", (1, 2, 3), (1, 2, 3, 4, 5), ("a", 0, 1, 1)):
        with pytest.raises(InputError, match="^box .*give four numbers"):
            interaction.what(wrong)  # type: ignore[arg-type]


def test_pairs_are_the_largest_cells(plain: TwoReadings) -> None:
    interaction = whyclip.interaction(plain.view, plain.image, "two red cars")
    cells = [
        (abs(value), value, w, y, x)
        for w, rows in enumerate(interaction.matrix.tolist())
        for y, row in enumerate(rows)
        for x, value in enumerate(row)
    ]
    best = sorted(cells, reverse=True)[:7]
    pairs = interaction.pairs(7)
    assert [pair.value for pair in pairs] == pytest.approx([value for _, value, *_ in best])
    for pair, (_, _, w, y, x) in zip(pairs, best, strict=True):
        assert (pair.word, pair.row, pair.column) == (interaction.words[w], y, x)
        assert pair.box == (8 * x, 8 * y, 8 * x + 8, 8 * y + 8)
    assert len(interaction.pairs(999)) == len(cells)
    assert len(interaction.pairs(np.int64(3))) == 3  # type: ignore[arg-type]
    for wrong in (0, -1, 1.5, "3", None, True, float("nan")):
        with pytest.raises(OptionError, match="^k=.*: give a whole number, 1 or more"):
            interaction.pairs(wrong)  # type: ignore[arg-type]


def test_the_table_as_csv(plain: TwoReadings, tmp_path: Path) -> None:
    interaction = whyclip.interaction(plain.view, plain.image, "two, =red cars", against="a cat")
    path = interaction.save(tmp_path / "table.csv")
    head, *lines = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    assert head == ["", *interaction.columns]
    assert [line[0] for line in lines] == [
        "'=" if name == "=" else name for name in interaction.rows
    ]
    values = torch.tensor([[float(value) for value in line[1:]] for line in lines])
    torch.testing.assert_close(values, interaction.table)


def test_an_image_encoder_without_attention_is_split_up_from_outside() -> None:
    view = whyclip.wrap(*families.SMALL["vit-average"]())
    with pytest.raises(UnsupportedModelError, match="use regions='banzhaf'"):
        whyclip.interaction(view, families.picture(), "a dog")
    interaction = whyclip.interaction(
        view, families.picture(), "a dog", regions="banzhaf:samples=16:cells=2"
    )
    assert float(interaction.table.double().sum()) == pytest.approx(interaction.score, abs=1e-5)
