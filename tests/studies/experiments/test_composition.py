"""Maps of wholes and parts, correlated again by numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import whyclip
from pictures import Pictures
from whyclip.datasets import Sample
from whyclip.errors import InputError
from whyclip.studies.experiments import ExperimentInput
from whyclip.studies.experiments.composition import (
    PUBLISHED,
    THINGS,
    WORDS,
    composition,
    content_words,
    explained_share,
    joined,
)


def rows_of(setting: ExperimentInput) -> dict[tuple[str, str], Any]:
    table: Any = composition(setting).sections[0]
    return {(row["kind"], row["method"]): row for row in table.rows}


def test_correlations_are_those_of_numpy(setting: ExperimentInput) -> None:
    expected: dict[str, list[float]] = {"parts": [], "one": [], "fitted": []}
    for sample in setting.dataset:
        if len(sample.prompts) < 2:
            continue
        a, b = sample.prompts
        both = [f"{a} and {b}", a, b]
        maps = whyclip.explain(setting.model, sample.image, both, method="grad_eclip").maps
        assert maps is not None
        whole, one, other = maps.flatten(1).numpy().astype(np.float64)
        expected["parts"].append(np.corrcoef(whole, one + other)[0, 1])
        singles = [np.corrcoef(whole, part)[0, 1] for part in (one, other)]
        expected["one"].append(max(singles))
        # With a constant, the share is the squared multiple correlation.
        between = np.corrcoef(one, other)[0, 1]
        r1, r2 = singles
        squared = (r1**2 + r2**2 - 2 * r1 * r2 * between) / (1 - between**2)
        expected["fitted"].append(squared)
    row = rows_of(setting)[THINGS, "Grad-ECLIP, ReLU"]
    assert row["n"] == len(expected["parts"]) > 1
    for name, values in expected.items():
        assert row[name].mean == pytest.approx(np.mean(values), abs=1e-5), name


class Phrases(Pictures):
    """Short phrases of two words that say something, or three."""

    def sample(self, index: int) -> Sample:
        whole = super().sample(index)
        return replace(whole, prompts=tuple(f"the photo of a blue {n}" for n in whole.labels))


def test_words_of_a_phrase_are_added_too(setting: ExperimentInput) -> None:
    phrase_setting = replace(setting, dataset=Phrases())
    row = rows_of(phrase_setting)[WORDS, "Contribution"]
    expected = []
    every = {label for sample in phrase_setting.dataset for label in sample.labels}
    for sample in phrase_setting.dataset:
        # Unrelated words must be as many as the phrase has; the six classes have few.
        unrelated = {word for label in every - {*sample.labels} for word in label.split()}
        for label, prompt in zip(sample.labels, sample.prompts, strict=True):
            words = ["blue", *label.split()]
            if len(unrelated) < len(words):
                continue
            explanation = whyclip.explain(
                setting.model, sample.image, [prompt, *words], method="contribution"
            )
            assert explanation.maps is not None
            whole, *parts = explanation.maps.flatten(1).double().numpy()
            expected.append(np.corrcoef(whole, sum(parts))[0, 1])
    assert row["n"] == len(expected) > 3
    assert row["parts"].mean == pytest.approx(np.mean(expected), abs=1e-5)


def test_a_direction_that_is_the_sum_has_the_sum_of_the_maps(
    setting: ExperimentInput, plain: Any
) -> None:
    """The page states that signed maps are linear in the text embedding."""
    directions = plain.texts("a dog", "a red car")
    image = setting.dataset[0].image
    whole = F.normalize(directions.sum(0), dim=-1)[None]
    maps = whyclip.explain(
        setting.model, image, torch.cat([whole, directions]), method="grad_eclip", relu=False
    ).maps
    assert maps is not None
    length = directions.sum(0).norm()
    torch.testing.assert_close(maps[0] * length, maps[1] + maps[2], rtol=1e-4, atol=1e-7)


class Alone(Pictures):
    """One label and one word each: nothing to compose."""

    def sample(self, index: int) -> Sample:
        whole = super().sample(index)
        return replace(whole, labels=whole.labels[:1], prompts=("a dog",))


def test_without_wholes_it_says_what_has_some(setting: ExperimentInput) -> None:
    with pytest.raises(InputError, match="two labels; use scenes:200"):
        composition(replace(setting, dataset=Alone()))


def test_the_bound_decides_what_is_additive(setting: ExperimentInput) -> None:
    """Five pictures decide nothing, whatever the bound; their number is in the sentence."""
    result = composition(setting, bound=-1.0)
    assert {v.verdict for v in result.findings} == {"inconclusive"}
    assert PUBLISHED in result.sections[1].caption  # type: ignore[union-attr]


def test_joining_and_taking_apart() -> None:
    assert joined("a dog.", "a photo of a cat") == "a dog and a photo of a cat"
    assert content_words("the dog and the dog") == ("dog",)
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(2, 30))
    assert explained_share(2 * parts[0] - parts[1] + 3, parts) == pytest.approx(1)
    assert explained_share(rng.normal(size=4000), rng.normal(size=(2, 4000))) < 0.01
    assert np.isnan(explained_share(np.ones(30), parts))
