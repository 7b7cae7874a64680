"""Same as the formula: every method and switch against tests/reference.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

import reference
import tiny
import whyclip
from cases import TwoReadings, tiny_parts, true_size_parts
from reference import Relevance

# The tokenizer cuts the longer words of the second one into several pieces.
PROMPTS = ["a red dog", "two supercalifragilistic elephants near a playground"]
PATCH = tiny.PATCH
ECLIP = {"grad_eclip": "gradient", "attention_eclip": "attention"}


@dataclass
class Case(TwoReadings):
    """With the embeddings and the formulas of this file."""

    embeddings: dict[str, Tensor] = field(default_factory=dict)

    @property
    def padding(self) -> int:
        tokenizer = self.parts[2]
        return 0 if isinstance(tokenizer, SimpleTokenizer) else tokenizer.pad_token_id

    def image_embedding(self) -> Tensor:
        if "" not in self.embeddings:
            self.embeddings[""] = reference.embed(self.image_tower, self.image_tokens(), 0)
        return self.embeddings[""]

    def text_embedding(self, prompt: str) -> Tensor:
        if prompt not in self.embeddings:
            tokens, _ = self.text_tokens(prompt)
            self.embeddings[prompt] = reference.embed(self.text_tower, tokens, len(tokens) - 1)
        return self.embeddings[prompt]

    def patches(self, method: str, target: Tensor, **options: Any) -> Relevance:
        """What the formula says of every patch."""
        tokens = self.image_tokens()
        content = list(range(1, len(tokens)))
        if method in ECLIP:
            options = {"route": ECLIP[method], "relu_each_layer": True, **options}
            options.pop("norm_over", None)
        return formula(method)(self.image_tower, tokens, 0, content, target, **options)

    def words(self, method: str, prompt: str, target: Tensor, **options: Any) -> Relevance:
        """What the formula says of every word: the sum over its pieces."""
        padding = self.padding if options.get("norm_over") == "context" else None
        tokens, words = self.text_tokens(prompt, padding)
        content = [i for word in words for i in word]
        eos = content[-1] + 1
        if method in ECLIP:
            options = {"route": ECLIP[method], "layers": 8, **options}
        relevance = formula(method)(self.text_tower, tokens, eos, content, target, **options)
        relevance.values = torch.stack(
            [relevance.values[[i - 1 for i in word]].sum() for word in words]
        )
        return relevance


def formula(method: str) -> Any:
    return reference.eclip if method in ECLIP else getattr(reference, method)


@pytest.fixture(scope="module", params=["openclip", "hf"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case.of(tiny_parts(request.param))


@pytest.fixture(scope="module", params=["openclip", "hf"])
def wide(request: pytest.FixtureRequest) -> Case:
    """A 4 x 7 grid on a model whose own is 4 x 4."""
    return Case.of(tiny_parts(request.param), 7 * PATCH, 4 * PATCH)


def assert_same(result: Any, expected: Relevance, what: str) -> None:
    """Relative to the largest value before the ReLU, which may leave nothing."""
    values = torch.as_tensor(result, dtype=torch.float64).flatten()
    assert values.shape == expected.values.shape
    worst = float((values - expected.values).abs().max()) / expected.size
    assert worst < 1e-5, f"{what}: relative error {worst:.2e}"


def relevances(explanation: whyclip.Explanation, row: int) -> list[float]:
    return [word.relevance for word in explanation.words[row]]


def named(options: dict[str, Any]) -> str:
    return ",".join(f"{k}={v}" for k, v in options.items()) or "default"


SWITCHES: list[dict[str, Any]] = [
    {},
    {"heads": "single"},
    {"qk": "out_proj"},
    {"heads": "single", "qk": "out_proj"},
    {"spatial": "none"},
    {"spatial": "softmax"},
    {"spatial": "softmax", "heads": "single"},
    {"relu": False},
    {"layers": 1},
    {"layers": 2},
    {"layers": 2, "relu": False},
    {"layers": 2, "heads": "single"},
    {"norm_over": "context"},
    {"norm_over": "context", "layers": 2, "relu": False, "qk": "out_proj"},
]
RUNS: list[tuple[str, dict[str, Any]]] = [
    *((method, options) for method in ECLIP for options in SWITCHES),
    ("contribution", {"layers": 1}),
    ("contribution", {"layers": 1, "relu": True}),
    ("contribution", {"layers": 2}),
    ("contribution", {"layers": 2, "relu": True}),
    ("raw_attention", {}),
    ("raw_attention", {"heads": "single"}),
]
run_names = [f"{method},{named(options)}" for method, options in RUNS]


@pytest.mark.parametrize(("method", "options"), RUNS, ids=run_names)
def test_maps(case: Case, method: str, options: dict[str, Any]) -> None:
    ex = whyclip.explain(case.view, case.image, PROMPTS, method=method, sides=("image",), **options)
    for row, prompt in enumerate(PROMPTS):
        expected = case.patches(method, case.text_embedding(prompt), **options)
        assert_same(ex.maps[row], expected, prompt)
        assert ex.certificate.scores["image"][row] == pytest.approx(expected.score, abs=1e-5)


@pytest.mark.parametrize(("method", "options"), RUNS, ids=run_names)
def test_words(case: Case, method: str, options: dict[str, Any]) -> None:
    ex = whyclip.explain(case.view, case.image, PROMPTS, method=method, sides=("text",), **options)
    target = case.image_embedding()
    for row, prompt in enumerate(PROMPTS):
        expected = case.words(method, prompt, target, **options)
        assert [w.text for w in ex.words[row]] == prompt.split()
        assert_same(relevances(ex, row), expected, prompt)
        assert ex.certificate.scores["text"][row] == pytest.approx(expected.score, abs=1e-5)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("grad_eclip", {}),
        ("grad_eclip", {"heads": "single", "qk": "out_proj"}),
        ("grad_eclip", {"layers": 2, "relu": False}),
        ("attention_eclip", {}),
        ("contribution", {}),
        ("raw_attention", {}),
    ],
)
def test_a_grid_that_is_not_square(wide: Case, method: str, options: dict[str, Any]) -> None:
    ex = whyclip.explain(
        wide.view, wide.image, PROMPTS, method=method, sides=("image",), geometry="keep", **options
    )
    assert ex.maps is not None
    assert ex.maps.shape == (2, 4, 7)
    for row, prompt in enumerate(PROMPTS):
        expected = wide.patches(method, wide.text_embedding(prompt), **options)
        assert_same(ex.maps[row], expected, f"{method} {prompt}")


def unit(vector: Tensor) -> Tensor:
    return vector / torch.sqrt((vector * vector).sum())


def test_an_ensemble_is_the_mean_of_unit_embeddings(case: Case) -> None:
    ex = whyclip.explain(case.view, case.image, [PROMPTS], method="grad_eclip", sides=("image",))
    target = unit(torch.stack([unit(case.text_embedding(p)) for p in PROMPTS]).mean(0))
    expected = case.patches("grad_eclip", target)
    assert_same(ex.maps[0], expected, "ensemble")
    assert ex.scores[0].item() == pytest.approx(expected.score, abs=1e-5)


def test_against_is_the_difference_of_two_explanations(case: Case) -> None:
    """A gradient is linear in its target: unit direction minus unit direction."""
    ex = whyclip.explain(
        case.view,
        case.image,
        PROMPTS[0],
        method="grad_eclip",
        against=PROMPTS[1],
        sides=("image",),
        relu=False,
    )
    one, other = (
        case.patches("grad_eclip", case.text_embedding(prompt), relu=False) for prompt in PROMPTS
    )
    difference = Relevance(one.values - other.values, one.score - other.score, one.size)
    assert_same(ex.maps[0], difference, "against")
    assert ex.scores[0].item() == pytest.approx(difference.score, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["openclip", "hf"])
def test_a_model_of_true_size(family: str) -> None:
    """ViT-B/16 with its 12-layer text tower, seeded weights, both sides of every method."""
    case = true_size(family)
    prompt = PROMPTS[1]
    target, image = case.text_embedding(prompt), case.image_embedding()
    runs: list[tuple[str, dict[str, Any]]] = [
        ("grad_eclip", {}),
        ("grad_eclip", {"heads": "single", "qk": "out_proj", "norm_over": "context"}),
        ("attention_eclip", {}),
        ("contribution", {"layers": 1}),
        ("raw_attention", {}),
    ]
    for method, options in runs:
        ex = whyclip.explain(case.view, case.image, prompt, method=method, **options)
        assert ex.maps is not None
        what = f"{method} {named(options)}"
        assert_same(ex.maps[0], case.patches(method, target, **options), f"{what} maps")
        words = case.words(method, prompt, image, **options)
        assert_same(relevances(ex, 0), words, f"{what} words")


def true_size(family: str) -> Case:
    return Case.of(true_size_parts(family), 224, 224)
