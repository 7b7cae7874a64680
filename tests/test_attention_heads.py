"""Scores by layer and head against plain loops, and TextSpan against its algorithm in NumPy."""

from __future__ import annotations

import csv
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
from paths_reference import back_through_norm, backwards
from whyclip.attention_heads.textspan import text_span
from whyclip.errors import (
    ImageError,
    InputError,
    OptionError,
    OutputError,
    PromptError,
    UnsupportedModelError,
)
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.methods.head_paths import head_vectors

PROMPTS = ["a dog", "two red cars"]
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def pictures(n: int = 1) -> list[Image.Image]:
    noise = np.random.default_rng(6).integers(0, 255, (n, 32, 32, 3), dtype=np.uint8)
    return [Image.fromarray(part) for part in noise]


def tokens_of(tower: reference.PlainTower, image: Image.Image) -> Tensor:
    rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1).double() / 255
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
    return reference.stem_image(tower, (rgb - mean) / std)


def by_head(tower: reference.PlainTower, x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors ``[l, h, t, e]`` that each head writes by each token, and the embedding."""
    written = []
    width = x.shape[1] // tower.heads
    for block in tower.blocks:
        update, trace = reference.attend(tower, block, x, 0, tower.heads)
        layer = []
        for h, weights in enumerate(trace.rows[0]):
            lanes = slice(h * width, (h + 1) * width)
            values = zip(weights, trace.v[:, lanes], strict=True)
            layer.append(torch.stack([block.wo[:, lanes] @ (a * v) for a, v in values]))
        written.append(torch.stack(layer))
        x = x + update
        z = reference.norm(x, block.norm2) @ block.w1.T + block.b1
        x = x + reference.activation(z, tower.quick) @ block.w2.T + block.b2
    # Rows of the transposed frozen norm are those of the map itself.
    through = back_through_norm(tower.projection, x[0], tower.final_norm)
    embedding = tower.projection @ reference.norm(x[0], tower.final_norm)
    return torch.stack(written) @ through.T, embedding


@pytest.fixture(scope="module", params=["openclip", "hf"])
def parts(request: pytest.FixtureRequest) -> Any:
    return tiny.openclip_parts(seed=3) if request.param == "openclip" else tiny.hf_parts(seed=3)


def test_the_table_and_maps_are_the_heads_own(parts: Any) -> None:
    view, [image] = whyclip.wrap(*parts), pictures()
    towers = reference.towers_of(parts[0])
    vectors, embedding = by_head(towers[0], tokens_of(towers[0], image))
    heads = whyclip.heads(view, image, PROMPTS)
    for index, prompt in enumerate(PROMPTS):
        ids = torch.tensor([49406, *tiny.tokenizer().encode(prompt), 49407])
        _, _, text = backwards(towers[1], reference.stem_text(towers[1], ids), len(ids) - 1)
        expected = vectors @ text / (text.norm() * embedding.norm())
        scale = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(
            heads.table[index].double(), expected.sum(-1), atol=scale, rtol=1e-4
        )
        maps = heads.maps[index].flatten(2).double()
        torch.testing.assert_close(maps, expected[..., 1:], atol=scale, rtol=1e-4)


@pytest.mark.parametrize("paths", ["direct", "readout"])
@pytest.mark.parametrize("against", [None, "a cat"])
def test_the_sum_over_heads_is_the_decomposition(parts: Any, paths: Any, against: Any) -> None:
    view, [image] = whyclip.wrap(*parts), pictures()
    heads = whyclip.heads(view, image, PROMPTS, paths=paths, against=against)
    ex = whyclip.explain(
        view, image, PROMPTS, method="decomposition", sides=("image",), paths=paths, against=against
    )
    torch.testing.assert_close(heads.maps.sum((1, 2)), ex.maps, atol=1e-6, rtol=0)
    torch.testing.assert_close(heads.scores, ex.scores)
    assert heads.certificate.explains_score


@pytest.mark.parametrize("family", ["siglip", "timm-eva", "timm-pe", "resnet", "vit-qk-norm"])
def test_readout_paths_split_up_other_families(family: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    with pytest.raises(OptionError, match="decomposition needs"):
        whyclip.heads(view, families.picture(), "a dog")
    heads = whyclip.heads(view, families.picture(), "a dog", paths="readout")
    ex = whyclip.explain(
        view, families.picture(), "a dog", method="decomposition:paths=readout", sides=("image",)
    )
    torch.testing.assert_close(heads.maps.sum((1, 2)), ex.maps, atol=1e-6, rtol=0)
    layers = len(view.image.blocks)
    assert heads.first_layer == (layers - 1 if view.image.has_pooling_head else 0)


def test_the_strongest_heads_and_their_maps(tmp_path: Path) -> None:
    view, [image] = whyclip.wrap(*tiny.openclip_parts(seed=3)), pictures()
    heads = whyclip.heads(view, image, PROMPTS)
    cells = [
        (abs(value), layer, head, value)
        for layer, row in enumerate(heads.table[1].tolist())
        for head, value in enumerate(row)
    ]
    best = [part[1:] for part in sorted(cells, reverse=True)[:3]]
    assert [tuple(head) for head in heads.top(3, 1)] == best
    ex = heads.explanation(3, 1)
    assert ex.prompts[0] == f"layer {best[0][0]}, head {best[0][1]}"
    assert ex.maps is not None
    for values, (layer, head, _) in zip(ex.maps, best, strict=True):
        assert torch.equal(values, heads.maps[1, layer, head])
    lines = list(csv.reader(heads.save(tmp_path / "heads.csv").read_text().splitlines()))[1:]
    values = torch.tensor([float(line[3]) for line in lines]).view_as(heads.table)
    torch.testing.assert_close(values, heads.table)
    for ending in ("png", "svg", "html"):
        assert heads.save(tmp_path / f"heads.{ending}").stat().st_size > 1000
    page = heads._repr_html_()
    assert "Layers and heads" in page
    assert f"layer {best[0][0]}, head {best[0][1]}" in page
    assert heads == whyclip.heads(view, image, PROMPTS)
    with pytest.raises(OutputError, match="end it in one of"):
        heads.save(tmp_path / "heads.json")
    for k in (0, -1, 1.5, "3", None, True):
        with pytest.raises(OptionError, match="^k=.*: give a whole number, 1 or more"):
            heads.top(k)  # type: ignore[arg-type]
    for prompt in (2, -3, 1.5, "a", None):
        with pytest.raises(InputError, match="^prompt=.*: give the index of a prompt, 0 to 1"):
            heads.top(3, prompt)  # type: ignore[arg-type]


def test_an_encoder_without_attention_has_no_heads() -> None:
    view = whyclip.wrap(*families.SMALL["vit-average"]())
    with pytest.raises(UnsupportedModelError, match="exposes no heads"):
        whyclip.heads(view, families.picture(), "a dog")
    with pytest.raises(UnsupportedModelError, match="exposes no heads"):
        whyclip.describe_heads(view, pictures(2), ["a dog"])


# TextSpan


def test_head_vectors_are_written_by_all_tokens(parts: Any) -> None:
    view, [image] = whyclip.wrap(*parts), pictures()
    plain = reference.towers_of(parts[0])[0]
    pixels = whyclip.models.model_inputs(view, [image])[0][0][None]
    nothing = Targets(torch.empty(0, 0))
    forward_pass = run_tower(view.image, pixels, nothing, keep=tiny.LAYERS)
    expected = by_head(plain, tokens_of(plain, image))[0].sum(2)
    largest = float(expected.abs().max())
    torch.testing.assert_close(
        head_vectors(forward_pass)[0].double(), expected, atol=1e-5 * largest, rtol=1e-4
    )


def plain_text_span(data: np.ndarray, texts: np.ndarray, count: int, rank: int) -> list[int]:
    """Algorithm 1 of Gandelsman et al. 2024, as their code has it: by standard deviations."""
    basis = np.linalg.svd(data, full_matrices=False)[2][:rank]
    texts = texts @ basis.T @ np.linalg.inv(basis @ basis.T) @ basis
    data = data - data.mean(0)
    chosen = []
    for _ in range(count):
        best = int(np.argmax((data @ texts.T).std(0)))
        chosen.append(best)
        row, length = texts[best], texts[best] @ texts[best]
        data = data - np.outer(data @ row / length, row)
        texts = texts - np.outer(texts @ row / length, row)
    return chosen


def test_text_span_is_the_papers_algorithm() -> None:
    random = np.random.default_rng(2)
    data = random.normal(size=(40, 12)) @ np.diag(np.linspace(3, 0.1, 12)) + 5
    texts = random.normal(size=(30, 12))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    names = [str(index) for index in range(30)]
    for rank in (12, 5):
        chosen, shares = text_span(torch.tensor(data), torch.tensor(texts), names, 4, rank)
        assert [int(name) for name in chosen] == plain_text_span(data, texts, 4, rank)
        assert 0 < sum(shares) <= 1
    # Five directions are all that a rank of five leaves, so that more texts have none.
    chosen, shares = text_span(torch.tensor(data), torch.tensor(texts), names, 20, 5)
    assert len(chosen) == 5


def test_text_span_finds_the_planted_texts() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    outputs = torch.zeros(200, 16)
    for place, size in ((7, 3.0), (2, 2.0), (11, 1.0)):
        outputs += size * torch.randn(200, 1, generator=generator) * directions[place]
    chosen, shares = text_span(outputs, directions, [str(i) for i in range(16)], 3, 80)
    assert chosen == ("7", "2", "11")
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert shares[0] > shares[1] > shares[2]


def test_equal_images_have_nothing_to_describe() -> None:
    """Encodings of one image differ by rounding errors, along which some text always lies."""
    outputs = torch.randn(1, 16).repeat(5, 1)
    outputs = outputs + 1e-7 * torch.randn(5, 16)
    assert text_span(outputs, torch.eye(16), list("abcdefghijklmnop"), 3, 80) == ((), ())


def test_heads_are_described_from_a_dataset_and_an_array_of_texts() -> None:
    view, texts = whyclip.wrap(*tiny.openclip_parts(seed=3)), ["a dog", "two red cars"]
    scenes = whyclip.open_dataset("scenes:3")
    images = [scenes[index].source for index in range(3)]
    described = whyclip.describe_heads(view, scenes, np.array(texts), layers=1)  # type: ignore[arg-type]
    assert described == whyclip.describe_heads(view, images, texts, layers=1)


def test_heads_are_described_from_a_folder(tmp_path: Path) -> None:
    view, images = whyclip.wrap(*tiny.openclip_parts(seed=3)), pictures(5)
    for index, image in enumerate(images):
        image.save(tmp_path / f"{index}.png")
    texts = ["a dog", "two red cars", "a tree"]
    (tmp_path / "notes.txt").write_text("no image")
    descriptions = whyclip.describe_heads(view, tmp_path, texts, layers=1, texts_per_head=2)
    assert descriptions == whyclip.describe_heads(view, images, texts, layers=1, texts_per_head=2)
    assert [(entry.layer, entry.head) for entry in descriptions] == [
        (1, head) for head in range(tiny.HEADS)
    ]
    assert all(
        len(set(entry.texts)) == 2 and set(entry.texts) <= set(texts) for entry in descriptions
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": "no/such/folder"}, ImageError, "no such folder"),
        ({"images": pictures(1)}, ImageError, "images has 1; give two or more"),
        ({"images": None}, ImageError, "images=None: give a folder or a list"),
        ({"images": torch.zeros(3, 8, 8)}, ImageError, "give a folder or a list"),
        ({"texts": []}, PromptError, "the list is empty"),
        ({"texts": None}, PromptError, "texts=None: give a list of texts"),
        ({"texts": "a dog"}, PromptError, "give a list of texts"),
        ({"layers": 3}, OptionError, "layers=3: the image encoder has 2"),
        ({"layers": 0}, OptionError, "layers=0: give a whole number"),
        ({"rank": 0}, OptionError, "rank=0: give a whole number, 1 or more"),
        ({"texts_per_head": 1.5}, OptionError, "texts_per_head=1.5"),
    ],
)
def test_what_cannot_be_described(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    options = {"images": pictures(3), "texts": ["a dog", "a cat"], "layers": 1, **change}
    with pytest.raises(error, match=message):
        whyclip.describe_heads(whyclip.wrap(*tiny.openclip_parts(seed=3)), **options)
