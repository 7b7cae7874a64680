"""Vectors of words and regions against plain enumerations of coalitions and plain sums."""

from __future__ import annotations

from itertools import combinations, permutations
from math import factorial

import pytest
import torch
from torch import Tensor

import tiny
import whyclip
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.vectors import REGIONS, WORDS, Vectors, choose

VIEW = whyclip.wrap(*tiny.openclip_parts(seed=3))
NOTHING = Targets(torch.empty(0, 0))
LONG = "one two three four five six seven eight nine ten eleven twelve"


def text(prompt: str) -> ForwardPass:
    tokens = tokenize(VIEW.tokenizer, [prompt], VIEW.text.context)
    return run_tower(VIEW.text, tokens.ids, NOTHING, keep=tiny.LAYERS, words=tokens.groups, pad=0)


def image() -> ForwardPass:
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return run_tower(VIEW.image, pixels, NOTHING, keep=tiny.LAYERS)


@torch.no_grad()
def embedded(prompt: str) -> Tensor:
    return VIEW.text.encode(VIEW.tokenizer([prompt]))[0]


def by_word(forward_pass: ForwardPass, vectors: Vectors) -> Tensor:
    return torch.stack([vectors.tokens[list(group)].sum(0) for group in forward_pass.words[0]])


def test_shapley_values_are_the_mean_over_all_orders() -> None:
    words = ["two", "supercalifragilistic", "dogs", "near"]
    forward_pass = text(" ".join(words))
    vectors = choose("words", "shapley", "text").of(forward_pass)
    expected = torch.zeros(4, tiny.EMBED)
    for order in permutations(range(4)):
        before = embedded("")
        for step in range(1, 5):
            after = embedded(" ".join(words[i] for i in sorted(order[:step])))
            expected[order[step - 1]] += (after - before) / factorial(4)
            before = after
    torch.testing.assert_close(by_word(forward_pass, vectors), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(vectors.remainders["empty prompt"], embedded(""))
    assert vectors.unattributed is None


def test_sampled_shapley_values_sum_and_follow_their_seed() -> None:
    forward_pass = text(LONG)
    few, again, other = (
        choose("words", f"shapley:permutations=3:seed={seed}", "text").of(forward_pass)
        for seed in (1, 1, 2)
    )
    torch.testing.assert_close(few.total, forward_pass.embedding[0], atol=1e-4, rtol=1e-4)
    assert torch.equal(few.tokens, again.tokens)
    assert not torch.allclose(few.tokens, other.tokens)


def test_sampled_shapley_values_are_those_of_their_orders() -> None:
    """The orders are drawn as the code says, and each is walked by itself."""
    forward_pass, words = text(LONG), LONG.split()
    vectors = choose("words", "shapley:permutations=2:seed=5", "text").of(forward_pass)
    generator = torch.Generator().manual_seed(5)
    expected = torch.zeros(len(words), tiny.EMBED)
    for _ in range(2):
        order = torch.randperm(len(words), generator=generator).tolist()
        before = embedded("")
        for step, word in enumerate(order, 1):
            after = embedded(" ".join(words[i] for i in sorted(order[:step])))
            expected[word] += (after - before) / 2
            before = after
    torch.testing.assert_close(by_word(forward_pass, vectors), expected, atol=1e-4, rtol=1e-4)


def test_leave_one_out_is_a_difference_of_embeddings() -> None:
    words = ["two", "red", "dogs"]
    forward_pass = text(" ".join(words))
    vectors = choose("words", "leave_one_out", "text").of(forward_pass)
    whole = embedded(" ".join(words))
    expected = torch.stack(
        [whole - embedded(" ".join(words[:i] + words[i + 1 :])) for i in range(3)]
    )
    torch.testing.assert_close(by_word(forward_pass, vectors), expected, atol=1e-4, rtol=1e-4)
    assert vectors.unattributed is not None
    torch.testing.assert_close(vectors.unattributed, whole - expected.sum(0), atol=1e-4, rtol=1e-4)


def test_banzhaf_values_approach_those_of_all_coalitions() -> None:
    forward_pass, pixels = image(), image().inputs
    cells = [(y, x) for y in (0, 16) for x in (0, 16)]

    @torch.no_grad()
    def shown(coalition: tuple[int, ...]) -> Tensor:
        seen = torch.zeros_like(pixels)
        for index in coalition:
            y, x = cells[index]
            seen[..., y : y + 16, x : x + 16] = pixels[..., y : y + 16, x : x + 16]
        return VIEW.image.encode(seen)[0]

    expected = torch.zeros(4, tiny.EMBED)
    for i in range(4):
        others = [j for j in range(4) if j != i]
        for size in range(4):
            for chosen in combinations(others, size):
                expected[i] += (shown((*chosen, i)) - shown(chosen)) / 8
    vectors = choose("regions", "banzhaf:cells=2:samples=4000", "image").of(forward_pass)
    patches = vectors.tokens[forward_pass.content_mask[0]].view(4, 4, -1)
    values = torch.stack(
        [patches[y // 8 : y // 8 + 2, x // 8 : x // 8 + 2].sum((0, 1)) for y, x in cells]
    )
    assert float((values - expected).norm() / expected.norm()) < 0.05
    # Shared equally within a cell.
    assert torch.equal(patches[0, 0], patches[1, 1])


def test_integrated_gradients_sum_to_the_way_from_the_baseline() -> None:
    forward_pass = image()
    vectors = choose("regions", "integrated_gradients:steps=64", "image").of(forward_pass)
    with torch.no_grad():
        start = VIEW.image.encode(torch.zeros(1, 3, 32, 32))[0]
    torch.testing.assert_close(vectors.remainders["baseline"], start, atol=1e-5, rtol=1e-4)
    assert vectors.unattributed is not None
    assert float(vectors.unattributed.norm()) < 0.02 * float(forward_pass.embedding.norm())


@pytest.mark.parametrize("side", ["image", "text"])
def test_vectors_along_directions_are_their_products(side: str) -> None:
    forward_pass = image() if side == "image" else text("two red dogs")
    along = torch.randn(3, tiny.EMBED, generator=torch.Generator().manual_seed(2))
    for name in REGIONS if side == "image" else WORDS:
        more = {"integrated_gradients": ":steps=2", "banzhaf": ":samples=4"}.get(name, "")
        chosen = choose("vectors", name + more, forward_pass.side)
        whole, short = chosen.of(forward_pass), chosen.of(forward_pass, along)
        torch.testing.assert_close(short.tokens, whole.tokens @ along.T, atol=1e-4, rtol=1e-3)
        assert short.remainders.keys() == whole.remainders.keys()
        for key, value in whole.remainders.items():
            torch.testing.assert_close(short.remainders[key], along @ value, atol=1e-4, rtol=1e-3)
        if not chosen.provider.exact:
            total = short.total + short.unattributed
            torch.testing.assert_close(
                total, along @ forward_pass.embedding[0], atol=1e-4, rtol=1e-3
            )
