"""Sparse concepts: optimality against a plain loop, recovery of known sums, means, and refusals."""

from __future__ import annotations

import builtins
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import whyclip
from whyclip.errors import ImageError, OptionError, OutputError, PromptError
from whyclip.models import ModelView
from whyclip.sparse_concepts.coding import sparse_code, unit_rows

WORDS = ["a dog", "a cat", "a red car", "a tree", "water", "a house", "a boat", "snow", "a man"]


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def view() -> ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


@pytest.fixture(scope="module")
def ref(view: ModelView) -> whyclip.Reference:
    return whyclip.reference(view, [noise(seed) for seed in range(12)], WORDS)


def projected_gradient(c: np.ndarray, z: np.ndarray, penalty: float) -> np.ndarray:
    """Minimise ½|wC − z|² + λ Σ w over w ≥ 0 by many small steps."""
    step = 1 / np.linalg.eigvalsh(c @ c.T).max()
    w = np.zeros(len(c))
    for _ in range(60_000):
        before = w
        w = np.maximum(w - step * (c @ (w @ c - z) + penalty), 0)
        if np.abs(w - before).max() < 1e-10:
            break
    return w


@pytest.mark.parametrize("penalty", [0.05, 0.2, 0.4])
def test_the_code_is_that_of_projected_gradients_and_optimal(penalty: float) -> None:
    generator = np.random.default_rng(3)
    c, z = unit_rows(generator.standard_normal((40, 16))), unit_rows(generator.standard_normal(16))
    w = sparse_code(c, z, penalty)
    assert w == pytest.approx(projected_gradient(c, z, penalty), abs=1e-5)
    # Karush, Kuhn and Tucker: the gradient is λ where w > 0, and at most λ elsewhere.
    gradient = c @ (z - w @ c)
    assert (w >= 0).all()
    assert gradient[w > 1e-9] == pytest.approx(penalty, abs=1e-5)
    assert (gradient <= penalty + 1e-5).all()
    assert 0 < (w > 0).sum() < 40


def test_a_known_sum_is_recovered() -> None:
    generator = np.random.default_rng(0)
    c = unit_rows(generator.standard_normal((300, 128)))
    true = np.zeros(300)
    true[[7, 80, 211]] = [0.6, 0.5, 0.4]
    w = sparse_code(c, unit_rows(true @ c), 0.1)
    assert set(np.argsort(-w)[:3]) == {7, 80, 211}
    assert list(np.argsort(-w)[:3]) == [7, 80, 211]
    assert w[w > 0.05].size == 3


def test_beyond_the_largest_cosine_nothing_is_left() -> None:
    generator = np.random.default_rng(1)
    c, z = unit_rows(generator.standard_normal((20, 8))), unit_rows(generator.standard_normal(8))
    largest = float((c @ z).max())
    assert not sparse_code(c, z, 1.001 * largest).any()
    assert sparse_code(c, z, 0.999 * largest).any()


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, float)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def embeddings(view: ModelView) -> tuple[Any, Any]:
    """The model's own encoders, called by hand."""
    model, preprocess, tokenizer = tiny.openclip_parts()

    def image(given: Image.Image) -> np.ndarray:
        with torch.no_grad():
            return unit(model.encode_image(preprocess(given)[None])[0])

    def text(given: str) -> np.ndarray:
        with torch.no_grad():
            return unit(model.encode_text(tokenizer([given]))[0])

    return image, text


def test_images_texts_differences_and_means(
    view: ModelView, ref: whyclip.Reference, tmp_path: Path
) -> None:
    image, text = embeddings(view)
    words = np.stack([text(word) for word in WORDS])
    c = unit(words - words.mean(0))
    mean_image = np.mean([image(noise(seed)) for seed in range(12)], axis=0)
    for seed in (50, 51):
        noise(seed).save(tmp_path / f"{seed}.png")
    a, b, t, u = image(noise(50)), image(noise(51)), text("a sheep"), text("a cow")
    cases: list[tuple[np.ndarray, dict[str, Any]]] = [
        (a - mean_image, {"source": noise(50)}),
        ((a + b) / 2 - mean_image, {"source": tmp_path}),
        ((a + b) / 2 - mean_image, {"source": [noise(50), noise(51)]}),
        (t - words.mean(0), {"source": "a sheep"}),
        (a - b, {"source": noise(50), "against": noise(51)}),
        (t - u, {"source": "a sheep", "against": "a cow"}),
        ((a - mean_image) - (t - words.mean(0)), {"source": noise(50), "against": "a sheep"}),
    ]
    for centred, inputs in cases:
        z = unit(centred)
        expected = projected_gradient(c, z, 0.1)
        result = whyclip.concepts(view, reference=ref, penalty=0.1, **inputs)
        weights = {row.text: row.weight for row in result}
        for word, weight in zip(WORDS, expected, strict=True):
            # Half precision in the reference moves the last digits.
            assert weights.get(word, 0.0) == pytest.approx(weight, abs=3e-3), inputs
        rebuilt = expected @ c
        assert result.cosine == pytest.approx(float(unit(rebuilt) @ z), abs=3e-3)
        assert [row.weight for row in result] == sorted(weights.values(), reverse=True)
        for row in result:
            assert row.cosine == pytest.approx(float(c[WORDS.index(row.text)] @ z), abs=3e-3)
        assert result.vocabulary == len(WORDS)


def test_the_mean_may_come_from_images(view: ModelView, ref: whyclip.Reference) -> None:
    images = [noise(seed) for seed in range(12)]
    given = whyclip.concepts(view, noise(50), WORDS, images=images, penalty=0.1)
    kept = whyclip.concepts(view, noise(50), reference=ref, penalty=0.1)
    assert [row.text for row in given] == [row.text for row in kept]
    # Texts, and differences of two images, need no images.
    assert whyclip.concepts(view, "a sheep", WORDS).vocabulary == len(WORDS)
    assert whyclip.concepts(view, noise(50), WORDS, against=noise(51)).source
    assert whyclip.concepts(view, "a sheep").vocabulary > 1000


def test_rounding_errors_are_not_described(view: ModelView) -> None:
    """Embeddings of one image differ by rounding, which some words would always resemble."""
    same = [noise(3)] * 7
    assert not len(whyclip.concepts(view, noise(3), WORDS, images=same, penalty=0.01))
    half = whyclip.reference(view, same, WORDS)
    assert not len(whyclip.concepts(view, noise(3), reference=half, penalty=0.01))
    assert not len(whyclip.concepts(view, noise(3), WORDS, against=same, penalty=0.01))


@pytest.mark.parametrize(
    ("source", "message"), [("no/folder/", "no such folder"), ("", "is empty"), (" ", "is empty")]
)
def test_a_folder_that_is_not_there_is_no_text(source: str, message: str, view: ModelView) -> None:
    with pytest.raises((ImageError, PromptError), match=message):
        whyclip.concepts(view, source, WORDS)


def test_a_word_of_the_vocabulary_describes_itself(view: ModelView) -> None:
    result = whyclip.concepts(view, "a tree", WORDS, penalty=0.2)
    assert result[0].text == "a tree"
    assert result[0].cosine == pytest.approx(1, abs=1e-5)


def test_files_tables_and_figures(view: ModelView, ref: whyclip.Reference, tmp_path: Path) -> None:
    result = whyclip.concepts(view, noise(50), reference=ref, penalty=0.05)
    assert len(result) >= 2
    with result.save(tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [row.text for row in result]
    record = json.loads(result.save(tmp_path / "x.json").read_text())
    assert record["rows"][0]["weight"] == result[0].weight
    assert result[0].text in result.save(tmp_path / "x.html").read_text()
    assert result.save(tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert list(result.to_dataframe().weight) == [row.weight for row in result]
    assert "iframe" in result._repr_html_()
    bars = [bar.get_width() for bar in result.figure().axes[0].patches]
    assert bars[::-1] == pytest.approx([row.weight for row in result])
    with pytest.raises(OutputError, match="end it in one of"):
        result.save(tmp_path / "x.txt")


WRONG = {
    "no mean": (lambda v: whyclip.concepts(v, noise(0), WORDS), OptionError, "mean of many"),
    "penalty": (lambda v: whyclip.concepts(v, "x", WORDS, penalty=0), OptionError, "penalty"),
    "vocabulary": (lambda v: whyclip.concepts(v, "x", "a dog"), OptionError, "vocabulary"),
    "one word": (lambda v: whyclip.concepts(v, "x", ["a"]), OptionError, "at least two"),
    "empty": (lambda v: whyclip.concepts(v, " ", WORDS), PromptError, "empty"),
    "no file": (lambda v: whyclip.concepts(v, "no.png", WORDS), ImageError, "no such image"),
    "number": (lambda v: whyclip.concepts(v, 3, WORDS), ImageError, "3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name: str, view: ModelView) -> None:
    call, kind, words = WRONG[name]
    with pytest.raises(kind, match=words) as caught:
        call(view)
    assert "\n" not in str(caught.value)


def test_another_models_reference_is_refused(ref: whyclip.Reference) -> None:
    other = whyclip.wrap(*tiny.openclip_parts(seed=1), name="other")
    with pytest.raises(OptionError, match="other weights"):
        whyclip.concepts(other, "a sheep", reference=ref)


def test_without_scikit_learn_the_error_says_what_to_install(
    view: ModelView, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(OptionError, match=r"pip install 'whyclip\[concepts\]'"):
        whyclip.concepts(view, "a sheep", WORDS)
