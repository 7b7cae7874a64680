"""Methods on a plain classifier, whose score is a logit: no cosine, and with a bias."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import whyclip
from families import picture
from families_hf import classifier
from whyclip.forward.targets import Targets
from whyclip.methods.clip_surgery import SHARPNESS

NAMES = ["cat", "dog", "car", "tree"]


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    model, look = classifier(NAMES)
    with torch.no_grad():
        # Logits far apart, as trained classifiers have them.
        model.classifier.weight *= 12
    return whyclip.wrap(model, look, None, "vit")


@pytest.mark.parametrize("against", [None, ["car", "tree"]])
def test_a_decomposed_logit_adds_up(view: whyclip.ModelView, against: Any) -> None:
    ex = whyclip.explain(view, picture(), ["cat", "dog"], against=against, method="decomposition")
    assert float(ex.scores.abs().max()) > 5
    assert max(ex.certificate.diagnostics["additivity gap, image side"]) < 1e-3


def test_a_bottleneck_that_lets_nearly_all_pass_keeps_the_logit(view: whyclip.ModelView) -> None:
    ex = whyclip.explain(
        view, picture(), NAMES, method="m2ib", steps=1, samples=2, variance=1e-8, lr=1e-6
    )
    lost = torch.tensor(ex.certificate.diagnostics["score lost to the noise, image side"])
    assert float(ex.scores.abs().max()) > 5
    assert float(lost.abs().max()) < 0.1 * float(ex.scores.abs().max())


def test_surgery_weighs_classes_by_unit_features(view: whyclip.ModelView) -> None:
    """The maps less their weights ``w`` share one mean; with logits for ``w`` most would be it."""
    names = NAMES[:3]
    ex = whyclip.explain(view, picture(), names, method="clip_surgery")
    plain = whyclip.explain(view, picture(), names, method="clip_surgery", redundant="none")
    assert ex.maps is not None
    assert plain.maps is not None
    classes = view.classes
    assert classes is not None
    pixels = view.preprocess(images=picture(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        unit = F.normalize(view.image.encode(pixels), dim=-1)[0]
    weights = (SHARPNESS * classes.weight[:3] @ unit).softmax(0)
    weighted = plain.maps * (weights / weights.mean())[:, None, None]
    torch.testing.assert_close(ex.maps, weighted - weighted.mean(0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bias", [None, torch.tensor([0.5, -2.0, 3.0])])
def test_one_target_each_scores_as_all_targets_do(bias: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(3, 8, generator=generator), dim=-1)
    embeddings = 5 * torch.randn(2, 4, 8, generator=generator)
    targets, numbers = Targets(directions, bias=bias), torch.tensor([2, 0, 1, 2])
    expected = targets.score(embeddings)[:, torch.arange(4), numbers]
    torch.testing.assert_close(targets.paired(embeddings, numbers), expected)
