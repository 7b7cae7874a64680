"""Same as the formula: every method and switch against tests/reference.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor

import reference
import tiny
import whyclip
from reference import Relevance

# The tokenizer cuts the longer words of the second one into several pieces.
PROMPTS = ["a red dog", "two supercalifragilistic elephants near a playground"]
PATCH = tiny.PATCH
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
ENCODE = SimpleTokenizer().encode
ECLIP = {"grad_eclip": "gradient", "attention_eclip": "attention"}


@dataclass
class Case:
    """A model in both readings, and a picture that its preprocessing leaves as large as it is."""

    view: Any
    image_tower: reference.PlainTower
    text_tower: reference.PlainTower
    image: Image.Image
    padding: int
    embeddings: dict[str, Tensor] = field(default_factory=dict)

    def image_tokens(self) -> Tensor:
        rgb = torch.from_numpy(np.array(self.image)).permute(2, 0, 1).double() / 255
        mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
        return reference.stem_image(self.image_tower, (rgb - mean) / std)

    def text_tokens(self, prompt: str, padded: bool = False) -> tuple[Tensor, int, list[list[int]]]:
        """Tokens, EOS, positions of each word; what follows EOS is left out where never seen."""
        pieces = [ENCODE(word) for word in prompt.split()]
        ids = [49406, *(i for word in pieces for i in word), 49407]
        words, at, eos = [], 1, len(ids) - 1
        for word in pieces:
            words.append(list(range(at, at + len(word))))
            at += len(word)
        if padded:
            ids += [self.padding] * (tiny.CONTEXT - len(ids))
        return reference.stem_text(self.text_tower, torch.tensor(ids)), eos, words

    def image_embedding(self) -> Tensor:
        if "" not in self.embeddings:
            self.embeddings[""] = reference.embed(self.image_tower, self.image_tokens(), 0)
        return self.embeddings[""]

    def text_embedding(self, prompt: str) -> Tensor:
        if prompt not in self.embeddings:
            tokens, eos, _ = self.text_tokens(prompt)
            self.embeddings[prompt] = reference.embed(self.text_tower, tokens, eos)
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
        tokens, eos, words = self.text_tokens(prompt, options.get("norm_over") == "context")
        content = [i for word in words for i in word]
        if method in ECLIP:
            options = {"route": ECLIP[method], "layers": 8, **options}
        found = formula(method)(self.text_tower, tokens, eos, content, target, **options)
        found.values = torch.stack([found.values[[i - 1 for i in word]].sum() for word in words])
        return found


def formula(method: str) -> Any:
    return reference.eclip if method in ECLIP else getattr(reference, method)


def case_of(parts: tuple[Any, Any, Any], width: int, height: int) -> Case:
    model, _, tokenizer = parts
    noise = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    padding = 0 if isinstance(tokenizer, SimpleTokenizer) else tokenizer.pad_token_id
    towers = reference.towers_of(model)
    return Case(whyclip.wrap(*parts), *towers, Image.fromarray(noise), padding)


def tiny_case(family: str, width: int = tiny.IMAGE_SIZE, height: int = tiny.IMAGE_SIZE) -> Case:
    if family == "hf":
        return case_of(tiny.hf_parts(seed=3), width, height)
    return case_of(tiny.openclip_parts(seed=3), width, height)


@pytest.fixture(scope="module", params=["openclip", "hf"])
def case(request: pytest.FixtureRequest) -> Case:
    return tiny_case(request.param)


@pytest.fixture(scope="module", params=["openclip", "hf"])
def wide(request: pytest.FixtureRequest) -> Case:
    """A 4 x 7 grid on a model whose own is 4 x 4."""
    return tiny_case(request.param, width=7 * PATCH, height=4 * PATCH)


def assert_same(found: Any, expected: Relevance, what: str) -> None:
    """Relative to the largest value before the ReLU, which may leave nothing."""
    values = torch.as_tensor(found, dtype=torch.float64).flatten()
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
    ex = whyclip.explain(case.view, case.image, [PROMPTS], sides=("image",))
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
    import open_clip

    torch.manual_seed(0)
    if family == "openclip":
        model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-16-quickgelu")
        return case_of((model.eval(), preprocess, SimpleTokenizer()), 224, 224)
    import transformers

    config = transformers.CLIPConfig(
        text_config={"bos_token_id": 49406, "eos_token_id": 49407},
        vision_config={"patch_size": 16},
    )
    model = transformers.CLIPModel(config)
    preprocess = transformers.CLIPImageProcessor()
    return case_of((model.eval(), preprocess, tiny.hf_tokenizer()), 224, 224)
